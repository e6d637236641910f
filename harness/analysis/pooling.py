"""Which records may be compared at all: those that agree in everything that changes what a number means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.errors import RecordError
from harness.core.records import QualityReading, RunRecord


def read_config(record: RunRecord, path: str) -> Any:
    """Return the configured value at a dotted `path`, ``None`` where there is none."""
    value: Any = record.config
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _read_task_version(metric: str) -> Callable[[RunRecord], Any]:
    return lambda record: next((q.task_version for q in record.quality if q.metric == metric), None)


def _by_kind(record: RunRecord, read: Callable[[QualityReading], Any]) -> dict[str, Any] | None:
    """Return what `read` says of each kind of task that the run answered; ``None`` without any."""
    return {q.task: read(q) for q in record.quality if q.higher_is_better} or None


def _read_task_versions(record: RunRecord) -> dict[str, Any] | None:
    """Return the version of each kind of task; ``None`` for a single kind, whose version has a key of its own."""
    versions = _by_kind(record, lambda q: q.task_version)
    return versions if versions and len(versions) > 1 else None


def _read_capability(record: RunRecord) -> str | None:
    """Return the vector instructions of a run on the CPU: one model name stands for machines that differ in them."""
    environment = record.environment
    return environment.cpu_capability if environment is not None and environment.device == "cpu" else None


POOL_KEYS: dict[str, Callable[[RunRecord], Any]] = {
    "schema_version": lambda r: r.schema_version,
    "environment.device": lambda r: r.environment.device if r.environment else None,
    "environment.device_name": lambda r: r.environment.device_name if r.environment else None,
    "environment.cpu_capability": _read_capability,
    "environment.num_threads": lambda r: r.environment.num_threads if r.environment else None,
    "train.precision": lambda r: read_config(r, "train.precision"),
    "data.sha256": lambda r: r.data.sha256 if r.data else None,
    "data.tokenizer_sha256": lambda r: r.data.tokenizer_sha256 if r.data else None,
    "task.version": lambda r: read_config(r, "task.version"),
    "task version of the validation loss": _read_task_version("validation_bits_per_byte"),
    "task version of exact_match": _read_task_version("exact_match"),
    "task versions": _read_task_versions,
    "prompts": lambda r: _by_kind(r, lambda q: q.data_sha256) if _read_task_versions(r) else None,
    "flops.formula_version": lambda r: r.flops.formula_version if r.flops else None,
}
_ADVICE = {
    "model_source.precision": "load both in one precision, e.g. model.dtype=bf16.",
    "prompts": "ask both with the same task settings and data.",
}
# Models that were not trained here have tokenizers of their own; what they were asked decides whether they compare.
INFERENCE_KEYS: dict[str, Callable[[RunRecord], Any]] = {
    "schema_version": lambda r: r.schema_version,
    "environment.device": lambda r: r.environment.device if r.environment else None,
    "environment.device_name": lambda r: r.environment.device_name if r.environment else None,
    "environment.cpu_capability": _read_capability,
    "environment.num_threads": lambda r: r.environment.num_threads if r.environment else None,
    "model_source.precision": lambda r: r.model_source.precision if r.model_source else None,
    "task.mode": lambda r: read_config(r, "task.mode"),
    "task versions": lambda r: _by_kind(r, lambda q: q.task_version),
    "prompts": lambda r: _by_kind(r, lambda q: q.data_sha256),
    "flops.formula_version": lambda r: r.flops.formula_version if r.flops else None,
}


def require_poolable(records: Sequence[RunRecord], keys: Mapping[str, Callable[[RunRecord], Any]] = POOL_KEYS) -> None:
    """Check that finished `records` agree in every key of `keys`; what a record does not know is not compared.

    Raises:
        RecordError: two records differ; the message names the key and one run of either value.
    """
    for key, read in keys.items():
        first: RunRecord | None = None
        for record in records:
            value = read(record)
            if value is None:
                continue
            if first is None:
                first = record
            elif (difference := _find_difference(read(first), value)) is not None:
                place, before, after = difference
                raise RecordError(
                    f"records that differ in {key}{place} are not pooled: '{first.run_id}' has {_short(before)}, "
                    f"'{record.run_id}' has {_short(after)}; {_ADVICE.get(key, 'put them in folders of their own.')}"
                )


def _find_difference(before: Any, after: Any) -> tuple[str, Any, Any] | None:
    """Return where two values differ and both sides, ``None`` where they agree; kinds that one lacks do not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        kind = next((name for name in sorted(set(before) & set(after)) if before[name] != after[name]), None)
        return None if kind is None else (f", kind {kind},", before[kind], after[kind])
    return None if before == after else ("", before, after)


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:12]}...")
