"""The sections that say how far to trust the page: checks, failures, runs and sources."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from harness.analysis.inference.results import InferenceResult
from harness.analysis.results import Check, FrontierPoint, MatchResult
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report import numbers as n
from harness.report.blocks import Cell, Column, Section, Table
from harness.report.numbers import GRADE_WORDS

_OUTCOMES = {"pass": "✓ pass", "fail": "✗ fail", "unknown": "? unknown"}


def checks_section(match: MatchResult | InferenceResult) -> Section:
    """Return the fairness checks, failing ones first."""
    order = {"fail": 0, "unknown": 1, "pass": 2}
    rows = tuple(
        (
            Markup('<span class="outcome {}">{}</span>').format(c.outcome, _OUTCOMES[c.outcome]),
            c.title,
            f"{c.text}{_scope(c)}",
        )
        for c in sorted(match.checks, key=lambda c: (order[c.outcome], c.code))
    )
    table = Table(
        id="checks", caption="Fairness checks", columns=_names("Outcome", "Check", "What was found"), rows=rows
    )
    lead = (
        "Made by the program over the records. A failing check turns a directional verdict "
        "into “inconclusive”, unless it says that it only discloses."
    )
    return Section(
        id="checks-section",
        title="Was the comparison fair?",
        lead=lead,
        tables=(table,) if rows else (),
        notes=() if rows else ("No check could be made: there were no finished runs to check.",),
    )


def findings_section(
    records: Sequence[RunRecord],
    match: MatchResult | InferenceResult,
    unreadable: Sequence[str],
    study: StudyInfo | None,
) -> Section:
    """Return everything that went wrong or was left out; nothing is hidden."""
    failed = [r for r in records if r.status == "failed"]
    seen = {r.run_id for r in records}
    never = [p.run_id for p in study.runs if p.run_id not in seen] if study is not None else []
    tables: list[Table] = []
    found = [(f, "the study") for f in match.findings] + [(f, r.run_id) for r in records for f in r.findings]
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for finding, where in found:
        grouped.setdefault((finding.severity, finding.code, finding.text), []).append(where)
    rank = {"error": 0, "warning": 1, "info": 2}
    if grouped:
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (
                Markup('<span class="severity {}">{}</span>').format(key[0], key[0]),
                key[2],
                Markup("<code>{}</code>").format(key[1]),
                _where(where),
            )
            for key, where in sorted(grouped.items(), key=lambda item: (rank[item[0][0]], item[0]))
        )
        tables.append(
            Table(id="findings", caption="Findings", columns=_names("Severity", "Finding", "Code", "Where"), rows=rows)
        )
    if failed:
        rows = tuple((r.run_id, r.arm, r.size, r.error or "no error text recorded") for r in failed)
        tables.append(
            Table(id="failures", caption="Failed runs", columns=_names("Run", "Family", "Size", "Error"), rows=rows)
        )
    if match.excluded:
        tables.append(
            Table(
                id="excluded",
                caption="Left out of the comparison",
                columns=_names("Run", "Why"),
                rows=tuple(match.excluded),
            )
        )
    if unreadable:
        tables.append(
            Table(
                id="unreadable",
                caption="Files that cannot be read",
                columns=_names("Problem"),
                rows=tuple((line,) for line in unreadable),
            )
        )
    if never:
        tables.append(
            Table(
                id="never",
                caption="Planned runs without a record",
                columns=_names("Run"),
                rows=tuple((run,) for run in never),
            )
        )
    patterns = ("{} failed", "{} left out", "{} unreadable", "{} planned but without a record.")
    lead = _counts(patterns, (len(failed), len(match.excluded), len(unreadable), len(never)), "records of the store")
    return Section(
        id="findings-section",
        title="Findings, failures and exclusions",
        lead=lead,
        tables=tuple(tables),
        notes=() if tables else ("There is nothing to report here.",),
    )


def runs_section(records: Sequence[RunRecord], match: MatchResult) -> Section:
    """Return the table of all runs, failed ones included."""
    names: tuple[str, ...] = (
        "Run",
        "Family",
        "Size",
        "Tokens",
        "Seed",
        "Loss",
        "FLOPs",
        "Seconds",
        "Joules",
        "FLOP/s",
        "Correct",
        "Status",
    )
    known_mfu = any(record.mfu is not None for record in records)
    if known_mfu:
        names = (*names[:-2], "MFU", *names[-2:])
    columns = tuple(Column(name, 3 <= i < len(names) - 1) for i, name in enumerate(names))
    points = {point.run_id: point for point in match.points}
    rows = tuple(_run_row(r, points.get(r.run_id), known_mfu=known_mfu) for r in records)
    table = Table(id="runs", caption="All runs", columns=columns, rows=rows, sortable=True, filterable=True)
    lead = (
        "Cost is that of the whole path to a model: its trunk up to the fork and its own "
        "decay. Loss is in bits per byte on held-out text."
    )
    notes: tuple[Cell, ...] = () if records else ("There is no readable record.",)
    if records and not known_mfu:
        why = "no run names the peak rate of its device, so the reached FLOP/s stand alone"
        notes = (Markup("MFU (the share of the device's peak that training reached): {}.").format(n.unknown(why)),)
    sources = sorted({record.peak_source for record in records if record.mfu is not None and record.peak_source})
    if sources:
        notes = (*notes, f"MFU is the reached FLOP/s over the device's peak ({'; '.join(sources)}).")
    return Section(
        id="runs-section",
        title="Every run",
        lead=lead,
        tables=(table,) if records else (),
        notes=notes,
    )


def sources_section(records: Sequence[RunRecord]) -> Section:
    """Return sensors, grades, environments and data, each with the runs that it stands for."""
    sensors: dict[tuple[str, ...], list[str]] = {}
    environments: dict[tuple[str, ...], list[str]] = {}
    data: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        for s in record.sensors:
            period = "unknown (the sensor does not say)" if s.update_period_s is None else f"{s.update_period_s:g} s"
            name = f"{s.name} (simulated)" if s.simulated else s.name
            sensors.setdefault(
                (name, s.domain, s.device, s.method, f"{s.grade}: {GRADE_WORDS[s.grade]}", period, s.source), []
            ).append(record.run_id)
        if (e := record.environment) is not None:
            packages = ", ".join(f"{name} {version}" for name, version in sorted(e.packages.items()))
            commit = (e.git_commit or "unknown (not a checkout)") + (" with local changes" if e.git_dirty else "")
            memory = f"{e.memory_bytes / 2**30:.1f} GiB"
            cpu = f"{e.cpu_model}, {e.num_cpus} CPUs, {memory}"
            environments.setdefault(
                (
                    e.device_name,
                    cpu,
                    e.os,
                    f"isojoule {e.isojoule_version}, Python {e.python_version}, {packages}",
                    commit,
                    str(e.num_threads),
                    e.determinism,
                ),
                [],
            ).append(record.run_id)
        if (d := record.data) is not None:
            source = f"data {d.sha256[:8]}"
            splits = _counts(
                ("train {}", "validation {}", "test {} tokens"),
                (d.train_tokens, d.validation_tokens, d.test_tokens),
                source,
            )
            size = _counts(("{}", "{}", "{} bytes"), (d.train_bytes, d.validation_bytes, d.test_bytes), source)
            files = _counts(("{} files", "{} copies removed"), (d.num_files, d.num_duplicates_removed), source)
            data.setdefault((d.corpus, d.sha256, f"{d.tokenizer} ({d.vocab_size})", splits, size, files), []).append(
                record.run_id
            )
    groups = (
        (
            "sensors",
            "Sensors",
            ("Sensor", "Domain", "Device", "Method", "Grade", "Update period", "Source", "Runs"),
            sensors,
        ),
        (
            "environments",
            "Environments",
            ("Device", "CPU and memory", "System", "Versions", "Commit", "Threads", "Determinism", "Runs"),
            environments,
        ),
        ("data", "Data", ("Corpus", "SHA-256", "Tokenizer", "Splits", "Bytes", "Files", "Runs"), data),
    )
    tables = tuple(
        Table(
            id=key,
            caption=caption,
            columns=_names(*names),
            rows=tuple((*row, _where(found)) for row, found in sorted(group.items())),
        )
        for key, caption, names, group in groups
        if group
    )
    notes = tuple(
        f"{caption}: unknown, no readable record names any." for key, caption, names, group in groups if not group
    )
    lead = (
        "Grades: A hardware counter, B sampled power, C modelled, D assumed. A sum or a ratio "
        "carries the worst grade among its parts."
    )
    return Section(id="sources-section", title="Where every number came from", lead=lead, tables=tables, notes=notes)


def _run_row(record: RunRecord, point: FrontierPoint | None, *, known_mfu: bool) -> tuple[Cell, ...]:
    run, path = record.run_id, record.path
    why = "the run failed" if record.status == "failed" else "not recorded for this run"
    judged = "a trunk is judged by its branches" if record.role == "trunk" and record.status == "finished" else why
    outcome = "pass" if record.status == "finished" else "fail"
    return (
        run,
        record.arm,
        record.size,
        n.count(path.tokens if path else None, run, why),
        n.count(record.seed, run),
        n.fixed(
            record.quality_value("validation_bits_per_byte"),
            4,
            run,
            _reason(record, "validation_bits_per_byte") or judged,
        ),
        n.si(path.flops if path else None, "FLOP", run, why),
        n.seconds(path.duration_s if path else None, run, why),
        _joules(record, point, why),
        n.si(record.train_flops_per_s, "FLOP/s", run, why),
        *((n.percent(record.mfu, run, why),) if known_mfu else ()),
        n.percent(
            record.quality_value("exact_match"),
            run,
            _reason(record, "exact_match") or (why if record.status == "failed" else "no task was answered"),
        ),
        Markup('<span class="outcome {}">{}</span>').format(outcome, record.status),
    )


def _joules(record: RunRecord, point: FrontierPoint | None, why: str) -> Cell:
    """Return the energy inside the study's boundary, or each device apart: domains may contain one another."""
    run = record.run_id
    if point is not None and point.energy_j is not None:
        return (
            n.si(point.energy_j, "J", f"{run}: {'+'.join(point.energy_domains)}")
            + " "
            + n.grade_badge(point.energy_grade, point.simulated)
        )
    readings = record.path.energy if record.path is not None else ()
    if not readings:
        return n.unknown(why if record.status == "failed" else "no sensor gave a reading", run)
    return n.join(
        (
            Markup("{} {} {}").format(
                r.domain, n.si(r.energy_j, "J", f"{run}: {r.sensor}", r.reason), n.grade_badge(r.grade, r.simulated)
            )
            for r in readings
        ),
        Markup("<br>"),
    )


def _reason(record: RunRecord, metric: str) -> str | None:
    return next((q.reason for q in record.quality if q.metric == metric), None)


def _where(run_ids: Sequence[str]) -> Cell:
    ids = sorted(set(run_ids))
    if len(ids) == 1:
        return ids[0]
    listed = n.join((Markup("<code>{}</code>").format(run) for run in ids), ", ")
    return Markup("<details><summary>{} runs</summary>{}</details>").format(len(ids), listed)


def _scope(check: Check) -> str:
    if not check.blocking:
        return " (this only discloses)"
    return " (counts for claims about energy)" if check.energy_only else ""


def _counts(patterns: Sequence[str], values: Sequence[int], source: str) -> Markup:
    pairs = zip(patterns, values, strict=True)
    return n.join((escape(text).format(n.count(value, source)) for text, value in pairs), ", ")


def _names(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)
