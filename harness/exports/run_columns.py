"""The table of runs: one row a run with its model, cost, quality and, for a server, what its clients saw."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, get_args

from harness.analysis.energy_sum import EnergySum, sum_all, sum_domain
from harness.analysis.once import once
from harness.core.readings import Domain
from harness.core.records import QualityReading, RunRecord
from harness.exports.columns import Column, ColumnType

DOMAINS: tuple[Domain, ...] = get_args(Domain)
_LATENCIES = ("ttft_s", "itl_s", "tpot_s", "e2e_s")
_PERCENTILES = ("mean", "p50", "p90", "p95", "p99", "maximum")


def collect_quality(records: Iterable[RunRecord]) -> tuple[tuple[str, str], ...]:
    """Return the (task, metric) pairs that any of the records has, sorted: each becomes a group of columns."""
    return tuple(sorted({(reading.task, reading.metric) for record in records for reading in record.quality}))


def make_run_columns(quality: Iterable[tuple[str, str]]) -> tuple[Column[RunRecord], ...]:
    """Return the columns of the table of runs, with those of the quality readings that the store has.

    A reading gives ``quality_<task>_<metric>`` and the same with ``_stderr``, ``_n``, ``_chance`` and ``_reason``:
    shares (0 to 1) or bits per byte, as the metric's name says.
    """
    return (*_IDENTITY, *_MODEL, *_path_columns(), *_quality_columns(quality), *_serving_columns(), *_CLOSING)


def make_compact_columns(quality: Iterable[tuple[str, str]]) -> tuple[Column[RunRecord], ...]:
    """Return the columns of a run that a reader checks first: what it was, what it cost, how good it got.

    They are those of `make_run_columns` with the same names, and what of the configuration tells runs apart.
    """
    pairs = tuple(quality)
    kept = {column.name for column in _quality_columns(pairs) if not column.name.endswith(("_chance", "_reason"))}
    found = [column for column in make_run_columns(pairs) if column.name in _COMPACT | kept]
    return (*found, *_ESSENTIALS)


def _at(*path: str) -> Callable[[RunRecord], Any]:
    """Return a reader of a dotted path of attributes that gives ``None`` where a part is missing."""

    def read(record: RunRecord) -> Any:
        value: Any = record
        for name in path:
            value = None if value is None else getattr(value, name)
        return value

    return read


def _column(kind: ColumnType, *path: str, name: str | None = None) -> Column[RunRecord]:
    return Column(name=name or path[-1], type=kind, read=_at(*path))


def _config(*path: str) -> Callable[[RunRecord], Any]:
    """Return a reader of a number of the configuration; ``None`` where it has none there."""

    def read(record: RunRecord) -> Any:
        value: Any = record.config
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    return read


_COMPACT = {
    *("run_id", "role", "arm", "size", "seed", "status", "error", "device_name", "model_name", "params_total"),
    *("params_active", "path_tokens", "path_flops", "path_duration_s", "path_peak_memory_bytes", "train_flops_per_s"),
    *("mfu_share", "path_total_energy_j", "path_total_energy_grade", "path_total_energy_kind", "num_findings"),
    *("serving_num_sent", "serving_num_failed", "serving_duration_s", "serving_ttft_p50_s", "serving_goodput_per_s"),
    *(f"path_{domain}_energy_j" for domain in DOMAINS),
}
_ESSENTIALS: tuple[Column[RunRecord], ...] = (
    Column(name="config_learning_rate", type="float", read=_config("train", "learning_rate")),
    Column(name="config_batch_size", type="int", read=_config("train", "batch_size")),
)
_IDENTITY: tuple[Column[RunRecord], ...] = (
    _column("text", "run_id"),
    _column("text", "study"),
    _column("text", "role"),
    _column("text", "arm"),
    _column("text", "size"),
    _column("int", "seed"),
    _column("text", "status"),
    _column("text", "error"),
    _column("text", "started_utc"),
    _column("int", "schema_version"),
    _column("text", "config_hash"),
    _column("text", "environment", "isojoule_version"),
    _column("text", "environment", "device"),
    _column("text", "environment", "device_name"),
    _column("int", "environment", "num_threads"),
)
_MODEL: tuple[Column[RunRecord], ...] = (
    _column("text", "model_source", "name", name="model_name"),
    _column("text", "model_source", "architecture", name="model_architecture"),
    _column("text", "model_source", "precision", name="model_precision"),
    _column("text", "data", "corpus"),
    _column("text", "data", "sha256", name="data_sha256"),
    _column("text", "data", "tokenizer_sha256"),
    _column("int", "params", "total", name="params_total"),
    _column("int", "params", "active", name="params_active"),
    _column("int", "params", "embedding", name="params_embedding"),
    _column("int", "params", "active_non_embedding", name="params_active_non_embedding"),
    _column("float", "flops", "forward_per_token", name="forward_flops_per_token"),
    _column("float", "flops", "train_per_token", name="train_flops_per_token"),
    _column("float", "flops", "executed_train_per_token", name="executed_train_flops_per_token"),
    _column("int", "flops", "formula_version", name="flops_formula_version"),
    _column("float", "train_flops_per_s"),
    _column("float", "mfu", name="mfu_share"),
    _column("text", "batches", "precision", name="train_precision"),
)
_CLOSING: tuple[Column[RunRecord], ...] = (
    Column(name="num_windows", type="int", read=lambda record: len(record.windows)),
    Column(name="num_findings", type="int", read=lambda record: len(record.findings)),
    Column(
        name="findings", type="text", read=lambda r: "; ".join(f"{f.severity}: {f.text}" for f in r.findings) or None
    ),
    Column(
        name="config_json",
        type="text",
        read=lambda record: json.dumps(record.config, sort_keys=True, ensure_ascii=False, allow_nan=False),
    ),
)


def _path_columns() -> list[Column[RunRecord]]:
    columns = [
        _column("int", "path", "tokens", name="path_tokens"),
        _column("float", "path", "flops", name="path_flops"),
        _column("float", "path", "duration_s", name="path_duration_s"),
        _column("int", "path", "peak_memory_bytes", name="path_peak_memory_bytes"),
        _column("text", "path", "trunk_run_id"),
        _column("int", "path", "fork_tokens"),
    ]
    for domain in DOMAINS:
        columns += _energy_columns(f"path_{domain}", lambda record, domain=domain: _sum_path(record, domain))  # type: ignore[misc]
    return columns + _energy_columns("path_total", lambda record: _sum_path(record, None))


@once
def _sum_path(record: RunRecord, domain: Domain | None) -> EnergySum | None:
    """Return the energy of the path, in one domain or in all that do not overlap; ``None`` where nothing was read."""
    readings = () if record.path is None else record.path.energy
    total = sum_all(readings) if domain is None else sum_domain(readings, domain)
    return total if total.sensors else None


def _energy_columns(prefix: str, read: Callable[[RunRecord], EnergySum | None]) -> list[Column[RunRecord]]:
    def of(name: str) -> Callable[[RunRecord], Any]:
        def value(record: RunRecord) -> Any:
            total = read(record)
            return None if total is None else getattr(total, name)

        return value

    return [
        Column(name=f"{prefix}_energy_j", type="float", read=of("energy_j")),
        Column(name=f"{prefix}_net_energy_j", type="float", read=of("net_energy_j")),
        Column(name=f"{prefix}_energy_grade", type="text", read=of("grade")),
        Column(name=f"{prefix}_energy_kind", type="text", read=of("word")),
        Column(name=f"{prefix}_energy_reason", type="text", read=of("reason")),
    ]


def _quality_columns(quality: Iterable[tuple[str, str]]) -> list[Column[RunRecord]]:
    columns: list[Column[RunRecord]] = []
    used: set[str] = set()
    for task, metric in quality:
        prefix = plain = "quality_" + re.sub(r"\W+", "_", f"{task}_{metric}")
        number = 2
        while prefix in used:  # names that differ in signs alone stay apart
            prefix, number = f"{plain}_{number}", number + 1
        used.add(prefix)
        for suffix, name, kind in (
            ("", "value", "float"),
            ("_stderr", "stderr", "float"),
            ("_n", "num_samples", "int"),
            ("_chance", "chance", "float"),
            ("_reason", "reason", "text"),
        ):
            columns.append(_quality_column(prefix + suffix, task, metric, name, kind))  # type: ignore[arg-type]
    return columns


def _quality_column(column: str, task: str, metric: str, name: str, kind: ColumnType) -> Column[RunRecord]:
    def find(record: RunRecord) -> QualityReading | None:
        return next((q for q in record.quality if (q.task, q.metric) == (task, metric)), None)

    def read(record: RunRecord) -> Any:
        reading = find(record)
        return None if reading is None else getattr(reading, name)

    return Column(name=column, type=kind, read=read)


def _serving_columns() -> list[Column[RunRecord]]:
    whole: dict[str, ColumnType] = {
        "server_model": "text", "api": "text", "concurrency": "int", "request_rate_per_s": "float",
        "num_sent": "int", "num_answered": "int", "num_failed": "int", "num_retries": "int", "duration_s": "float",
        "num_input_tokens": "int", "num_output_tokens": "int", "token_source": "text", "requests_per_s": "float",
        "output_tokens_per_s": "float", "goodput_per_s": "float",
    }  # fmt: skip
    columns = [_column(kind, "serving", name, name=f"serving_{name}") for name, kind in whole.items()]
    for latency in _LATENCIES:
        short = latency.removesuffix("_s")
        columns += [_column("float", "serving", latency, p, name=f"serving_{short}_{p}_s") for p in _PERCENTILES]
    return columns
