"""The table of every run."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.results import FrontierPoint, MatchResult
from harness.core.records import RunRecord
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Column, Section, Table


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
