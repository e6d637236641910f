"""Sensors, machines and data, each with the runs that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from harness.core.provenance import DataInfo, Environment
from harness.core.readings import SensorInfo
from harness.core.records import RunRecord
from harness.report.page import numbers as n
from harness.report.page.blocks import Section, Table, text_columns
from harness.report.page.numbers import GRADE_WORDS
from harness.report.sections.run_lists import list_runs

T = TypeVar("T")
Row = tuple[str, ...]


def sources_section(records: Sequence[RunRecord]) -> Section:
    """Return sensors, grades, environments and data, each with the runs that it stands for."""
    named = [record.run_id for record in records]
    sensors = _group((_sensor_key(s), s, r.run_id) for r in records for s in r.sensors)
    environments = _group((_environment_key(e), e, r.run_id) for r in records if (e := r.environment) is not None)
    data = _group((_data_key(d), d, r.run_id) for r in records if (d := r.data) is not None)
    groups: tuple[tuple[str, str, tuple[str, ...], dict[Row, list[str]]], ...] = (
        (
            "sensors",
            "Sensors",
            ("Sensor", "Domain", "Device", "Method", "Grade", "Update period", "Source", "Runs"),
            _rows(sensors, _sensor_row),
        ),
        (
            "environments",
            "Environments",
            ("Device", "CPU and memory", "System", "Versions", "Commit", "Threads", "Determinism", "Runs"),
            _rows(environments, _environment_row),
        ),
        (
            "data",
            "Data",
            ("Corpus", "SHA-256", "Tokenizer", "Splits", "Bytes", "Files", "Runs"),
            _rows(data, _data_row),
        ),
    )
    tables = tuple(
        Table(
            id=key,
            caption=caption,
            columns=text_columns(*names),
            rows=tuple((*row, list_runs(found, named)) for row, found in sorted(group.items())),
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


def _group(found: Iterable[tuple[Hashable, T, str]]) -> list[tuple[T, list[str]]]:
    """Return what agrees in its key once, with its runs: thousands of runs name few sensors and machines."""
    groups: dict[Hashable, tuple[T, list[str]]] = {}
    for key, value, run_id in found:
        if key in groups:
            groups[key][1].append(run_id)
        else:
            groups[key] = (value, [run_id])
    return list(groups.values())


def _rows(groups: Iterable[tuple[T, list[str]]], show: Callable[[T], Row]) -> dict[Row, list[str]]:
    rows: dict[Row, list[str]] = {}
    for value, run_ids in groups:
        rows.setdefault(show(value), []).extend(run_ids)
    return rows


def _sensor_key(s: SensorInfo) -> Hashable:
    return s.name, s.simulated, s.domain, s.device, s.method, s.grade, s.update_period_s, s.source


def _sensor_row(s: SensorInfo) -> Row:
    period = "unknown (the sensor does not say)" if s.update_period_s is None else f"{s.update_period_s:g} s"
    name = f"{s.name} (simulated)" if s.simulated else s.name
    return name, s.domain, s.device, s.method, f"{s.grade}: {GRADE_WORDS[s.grade]}", period, s.source


def describe_cpu(e: Environment) -> str:
    """Return model, number of CPUs and, where it is known, the vector instructions that torch used."""
    capability = f", {e.cpu_capability}" if e.cpu_capability else ""
    return f"{e.cpu_model}, {e.num_cpus} CPUs{capability}"


def _environment_key(e: Environment) -> Hashable:
    packages = tuple(sorted(e.packages.items()))
    place = e.device_name, e.cpu_model, e.num_cpus, e.memory_bytes, e.os, e.num_threads, e.determinism, e.cpu_capability
    return (*place, e.isojoule_version, e.python_version, packages, e.git_commit, e.git_dirty)


def _environment_row(e: Environment) -> Row:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(e.packages.items()))
    commit = (e.git_commit or "unknown (not a checkout)") + (" with local changes" if e.git_dirty else "")
    memory = f"{e.memory_bytes / 2**30:.1f} GiB"
    return (
        e.device_name,
        f"{describe_cpu(e)}, {memory}",
        e.os,
        f"isojoule {e.isojoule_version}, Python {e.python_version}, {packages}",
        commit,
        str(e.num_threads),
        e.determinism,
    )


def _data_key(d: DataInfo) -> Hashable:
    splits = d.train_tokens, d.validation_tokens, d.test_tokens, d.train_bytes, d.validation_bytes, d.test_bytes
    return (d.corpus, d.sha256, d.tokenizer, d.vocab_size, d.num_files, d.num_duplicates_removed, *splits)


def _data_row(d: DataInfo) -> Row:
    source = f"data {d.sha256[:8]}"
    splits = n.counts(
        ("train {}", "validation {}", "test {} tokens"), (d.train_tokens, d.validation_tokens, d.test_tokens), source
    )
    size = n.counts(("{}", "{}", "{} bytes"), (d.train_bytes, d.validation_bytes, d.test_bytes), source)
    files = n.counts(("{} files", "{} copies removed"), (d.num_files, d.num_duplicates_removed), source)
    return d.corpus, d.sha256, f"{d.tokenizer} ({d.vocab_size})", splits, size, files
