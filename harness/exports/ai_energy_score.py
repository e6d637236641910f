"""The unit of AI Energy Score: GPU watt-hours per 1,000 queries, from windows of batch 1.

The score proper is set under conditions that are listed beside each figure with whether this measurement met them.
Only GPU energy counts: energy of a CPU is no stand-in, and gives null.
Sources: https://huggingface.github.io/AIEnergyScore (metric, batch, hardware, precision, ten runs of 1,000 queries of
its own datasets); huggingface/optimum-benchmark, energy_star/text_generation.yaml (batch_size 1, num_samples 1000).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.analysis.energy_sum import EnergySum, sum_domain
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord
from harness.exports.files import write_json
from harness.exports.inference import InferenceGroup, cost_per_task, group_windows
from harness.exports.options import ExportOptions
from harness.exports.source import ExportSource

SCHEMA_VERSION = 1
NUM_QUERIES = 1000
NUM_RUNS = 10
J_PER_WH = 3600.0
_HARDWARE = "H100"


def export_ai_energy_score(source: ExportSource, out: Path, _: ExportOptions) -> tuple[list[Path], list[str]]:
    """Write GPU Wh per 1,000 queries of every run and kind of task to the JSON file `out`.

    Raises:
        ConfigError: `out` cannot be written.
    """
    results: list[dict[str, Any]] = []
    for record in source.iterate_records():
        results += _score_run(record)
    content = {
        "schema_version": SCHEMA_VERSION,
        "unit": "GPU Wh per 1,000 queries",
        "comparable_with_leaderboard": False,
        "comparable_reason": "the leaderboard's datasets are not asked here; see the conditions of each result",
        "results": results,
    }
    write_json(out, content)
    if not results:
        return [out], ["no run has inference windows, so there is no score in the file."]
    if all(result["gpu_wh_per_1000_queries"] is None for result in results):
        return [out], [f"no score is known: {results[0]['reason']}."]
    return [out], []


def _score_run(record: RunRecord) -> list[dict[str, Any]]:
    groups = group_windows(record)
    single = [group for group in groups if group.batch_size == 1]
    if single or not groups:
        return [_score(record, group) for group in single]
    batches = ", ".join(sorted({"a server's own" if g.batch_size is None else str(g.batch_size) for g in groups}))
    return [
        {
            **_identify(record, None),
            "gpu_wh_per_1000_queries": None,
            "energy_grade": None,
            "energy_kind": "unknown",
            "num_queries": None,
            "reason": f"no window of batch 1 was measured (batch: {batches})",
            "conditions": [],
        }
    ]


def _score(record: RunRecord, group: InferenceGroup) -> dict[str, Any]:
    cost = cost_per_task(group, sum_gpu)
    energy, reason = cost.energy, cost.reason
    score = None if cost.energy_j is None else cost.energy_j * NUM_QUERIES / J_PER_WH
    if not energy.sensors:
        reason = "no GPU energy was measured; energy of a CPU is not GPU energy"
    elif score is not None and energy.word != "measured":
        score, reason = None, f"GPU energy is {energy.word}, not measured"
    return {
        **_identify(record, group),
        "gpu_wh_per_1000_queries": score,
        "energy_grade": energy.grade,
        "energy_kind": energy.word,
        "num_queries": cost.num_units or None,
        "reason": reason if score is None else None,
        "conditions": _check_conditions(record, group),
    }


def sum_gpu(readings: Sequence[EnergyReading]) -> EnergySum:
    """Add up the GPUs of one window."""
    return sum_domain(readings, "gpu")


def _identify(record: RunRecord, group: InferenceGroup | None) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "arm": record.arm,
        "size": record.size,
        "seed": record.seed,
        "status": record.status,
        "kind": None if group is None else group.kind,
        "regime": None if group is None else group.label,
    }


def _check_conditions(record: RunRecord, group: InferenceGroup) -> list[dict[str, Any]]:
    """Return the conditions of the score and whether this measurement met them (null: not recorded)."""
    device = record.environment.device_name if record.environment is not None else None
    gpus = {reading.device_index for phase in group.phases for w in group.windows[phase] for reading in w.energy
            if reading.domain == "gpu"}  # fmt: skip
    num_examples = next((q.num_samples for q in record.quality if q.task == group.kind), None)
    repetitions = min((len(group.windows[phase]) for phase in group.phases), default=0)
    precision = _read_precision(record)
    return [
        _condition("batch size 1", True, "batch 1"),
        _condition("GPU energy alone, measured", bool(gpus), f"{len(gpus)} GPUs were read"),
        _condition("one NVIDIA H100", None if device is None else _HARDWARE in device and len(gpus) == 1, device),
        _condition("the score's own dataset of the task", False, f"asked: {group.kind}"),
        _condition(
            "1,000 different queries",
            None if num_examples is None else num_examples == NUM_QUERIES,
            None if num_examples is None else f"{num_examples} examples",
        ),
        _condition("10 runs of them", repetitions == NUM_RUNS, f"{repetitions} windows of each phase"),
        _condition("10 warm-up queries", *_read_warmup(record)),
        _condition(
            "16-bit weights (text generation)",
            None if precision is None else precision in {"fp16", "bf16", "float16", "bfloat16"},
            precision,
        ),
    ]


def _condition(text: str, met: bool | None, found: str | None) -> dict[str, Any]:
    return {"condition": text, "met": met, "found": found}


def _read_warmup(record: RunRecord) -> tuple[bool | None, str | None]:
    warmup = record.windows_of("warmup")
    counted = sum(window.work.num_tasks for window in warmup if window.work is not None)
    if counted:
        return counted >= 10, f"{counted} tasks"
    return None, "the record does not count warm-up queries"


def _read_precision(record: RunRecord) -> str | None:
    if record.model_source is not None:
        return record.model_source.precision
    return record.batches.precision if record.batches is not None else None
