"""What decides the meaning of a study's numbers, read off its finished runs: one entry a key, its distinct values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness.analysis.comparison.load import JudgedStore
from harness.analysis.comparison.results import Side
from harness.analysis.inference.results import InferenceResult
from harness.analysis.match import keep_planned
from harness.analysis.points import LOSS_METRIC
from harness.analysis.pooling import read_config
from harness.core.records import RunRecord

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _environment(name: str) -> Callable[[RunRecord], Any]:
    return lambda record: getattr(record.environment, name) if record.environment is not None else None


def _data(name: str) -> Callable[[RunRecord], Any]:
    return lambda record: getattr(record.data, name) if record.data is not None else None


def _package(name: str) -> Callable[[RunRecord], Any]:
    return lambda record: record.environment.packages.get(name) if record.environment is not None else None


def _precision(record: RunRecord) -> str | None:
    if record.model_source is not None:
        return record.model_source.precision
    if record.batches is not None:
        return record.batches.precision
    configured = read_config(record, "train.precision")
    return None if configured is None else f"{configured} (as configured)"


def _commit(record: RunRecord) -> str | None:
    environment = record.environment
    if environment is None or environment.git_commit is None:
        return None
    return environment.git_commit + (" with local changes" if environment.git_dirty else "")


def _loss_version(record: RunRecord) -> str | None:
    found = next((q for q in record.quality if q.metric == LOSS_METRIC), None)
    if found is None:
        return None
    context, judged = (read_config(record, f"train.{name}") for name in ("context_length", "eval_bytes"))
    return f"{found.task} version {found.task_version}, context {context}, over {judged} bytes"


def _memory(record: RunRecord) -> str | None:
    return None if record.environment is None else f"{record.environment.memory_bytes / 2**30:.1f} GiB"


_SINGLE: dict[str, Callable[[RunRecord], Any]] = {
    "device": _environment("device_name"),
    "device_kind": _environment("device"),
    "device_uuid": _environment("gpu_uuid"),
    "cpu": _environment("cpu_model"),
    "num_cpus": _environment("num_cpus"),
    "cpu_capability": _environment("cpu_capability"),
    "memory": _memory,
    "os": _environment("os"),
    "driver": _environment("driver_version"),
    "threads": _environment("num_threads"),
    "commit": _commit,
    "isojoule": _environment("isojoule_version"),
    "python": _environment("python_version"),
    "torch": _package("torch"),
    "schema": lambda record: record.schema_version,
    "corpus": _data("corpus"),
    "data": _data("sha256"),
    "tokenizer": _data("tokenizer_sha256"),
    "precision": _precision,
    "loss_version": _loss_version,
    "formula": lambda record: record.flops.formula_version if record.flops is not None else None,
    "convention": lambda record: record.flops.convention if record.flops is not None else None,
}


def build_side(position: int, judged: JudgedStore) -> Side:
    """Return the study at `position` of the comparison with its facts; only planned runs count."""
    content, result = judged.content, judged.result
    kept, _ = keep_planned(content.records, content.study, [])
    finished = [record for record in kept if record.status == "finished"]
    facts = {key: _distinct(read(record) for record in finished) for key, read in _SINGLE.items()}
    facts["tasks"] = _distinct(task for record in finished for task in _tasks(record))
    facts["task_shape"] = _distinct(_task_shape(record) for record in finished)
    facts["sensors"] = _distinct(
        f"{s.name} ({s.domain}, {s.method}, grade {s.grade}{', simulated' if s.simulated else ''}): {s.source}"
        for record in finished
        for s in record.sensors
    )
    if isinstance(result, InferenceResult):
        facts["kind"] = ("models or servers as they are",)
        facts["boundary"] = _distinct("+".join(one) for one in result.boundaries)
        facts["grade"] = _distinct(result.grades)
        simulated = result.suite is not None and any(arm.simulated for arm in result.suite.arms)
    else:
        facts["kind"] = ("trained to a matched loss",)
        facts["boundary"] = _distinct("+".join(point.energy_domains) for point in result.points)
        facts["grade"] = _distinct(point.energy_grade for point in result.points)
        simulated = any(point.simulated for point in result.points)
    facts["simulated"] = ("simulated",) if simulated else ("no simulated sensor",)
    facts["arms"] = (f"{result.baseline_arm} against {result.candidate_arm}",)
    facts["rule"] = (result.rule,)
    planned = {run.run_id for run in content.study.runs} if content.study is not None else set()
    held = {record.run_id for record in content.records}
    return Side(
        letter=LETTERS[position],
        name=result.study or content.folder,
        judged=judged,
        facts=facts,
        seeds=tuple(sorted({record.seed for record in finished})),
        num_finished=len(finished),
        num_failed=sum(record.status == "failed" for record in kept),
        num_missing=len(planned - held) if planned else None,
    )


def _tasks(record: RunRecord) -> list[str]:
    """Return each kind of task that the run answered with its version and the hash of what was asked."""
    return [f"{q.task} v{q.task_version} {q.data_sha256[:8]}" for q in record.quality if q.higher_is_better]


def _task_shape(record: RunRecord) -> str | None:
    """Return how tasks were asked, which moves what they cost: batch, context and the limit on answers."""
    if not _tasks(record):
        return None
    batch, context, limit = (
        read_config(record, f"task.{name}") for name in ("batch_size", "context_length", "max_answer_tokens")
    )
    return f"batch {batch}, context {context}, answers of up to {limit} tokens"


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in values if value is not None and value != ""}))
