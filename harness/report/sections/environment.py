"""Sensors, machines and data, each with the runs that it stands for."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.records import RunRecord
from harness.report.page import numbers as n
from harness.report.page.blocks import Section, Table, text_columns
from harness.report.page.numbers import GRADE_WORDS


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
            splits = n.counts(
                ("train {}", "validation {}", "test {} tokens"),
                (d.train_tokens, d.validation_tokens, d.test_tokens),
                source,
            )
            size = n.counts(("{}", "{}", "{} bytes"), (d.train_bytes, d.validation_bytes, d.test_bytes), source)
            files = n.counts(("{} files", "{} copies removed"), (d.num_files, d.num_duplicates_removed), source)
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
            columns=text_columns(*names),
            rows=tuple((*row, n.where(found)) for row, found in sorted(group.items())),
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
