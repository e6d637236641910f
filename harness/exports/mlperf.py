"""The fields of the MLPerf inference energy schema, one object for each run and group of inference windows.

The schema is a proposal (version 6.1, mlcommons/inference pull request 2587 after the discussion in issue 2558, not
adopted): ``energy-reporting/mlperf_energy_schema_v6.json``. It knows hardware sensors alone, so a modelled or simulated
energy never fills its fields: those are null, the reason stands beside them, and the modelled figure stands apart.
Energy is that of the accelerators where there are any, else of CPU and memory.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.boundary import select_boundary
from harness.analysis.energy_sum import EnergySum, add_sums, add_up
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord, WindowRecord
from harness.exports.files import write_json
from harness.exports.inference import InferenceGroup, group_windows, sum_group
from harness.exports.options import ExportOptions
from harness.exports.source import ExportSource

SCHEMA_VERSION = 1
_METHODS = {"nvml": "nvml", "rapl": "rapl", "external": "external_analyzer"}
REQUIRED = (
    "task_type", "total_energy_joules", "static_power_baseline_watts", "inference_active_power_watts",
    "measurement_method", "sampling_rate_hz", "thermal_stabilization_seconds", "scenario", "accelerator_count",
    "energy_per_token_joules", "prefill_energy_joules", "generation_energy_joules", "output_token_count", "batch_size",
    "input_sequence_length", "output_sequence_length",
)  # fmt: skip
_NOTE = (
    "the load is isojoule's own, not LoadGen's; prefill and decode windows may hold unequal numbers of tasks; "
    "beside decode windows output_token_count counts their tokens, without the first of each answer"
)
# A value, or None and why it is not known.
Field = tuple[Any, str | None]


def export_mlperf(source: ExportSource, out: Path, _: ExportOptions) -> tuple[list[Path], list[str]]:
    """Write the fields of every group of inference windows to the JSON file `out`.

    Raises:
        ConfigError: `out` cannot be written.
    """
    results: list[dict[str, Any]] = []
    for record in source.iterate_records():
        results += [describe_group(record, group) for group in group_windows(record)]
    content = {
        "schema_version": SCHEMA_VERSION,
        "schema": "MLPerf Inference Energy Efficiency Reporting, version 6.1 (mlcommons/inference pull 2587, proposed)",
        "results": results,
    }
    write_json(out, content)
    incomplete = sum(bool(result["missing_required"]) for result in results)
    if not results:
        return [out], ["no run has inference windows, so there are no results in the file."]
    if incomplete:
        text = f"{incomplete} of {len(results)} results lack required fields; 'reasons' says why."
        return [out], [text]
    return [out], []


def describe_group(record: RunRecord, group: InferenceGroup) -> dict[str, Any]:
    """Return the fields of one group, the reason for each that is null, and what the schema has no room for."""
    energy = sum_group(group, _sum_boundary)
    windows = [window for phase in group.phases for window in group.windows[phase]]
    readings = [reading for window in windows for reading in select_boundary(window.energy)]
    known = _only_measured(energy)
    fields: dict[str, Field] = {
        "task_type": ("llm", None),
        "total_energy_joules": known(energy.energy_j),
        "static_power_baseline_watts": _baseline(windows, known),
        "inference_active_power_watts": _active_power(windows, energy, readings, known),
        "measurement_method": _method(readings, energy, known),
        "sampling_rate_hz": _sampling_rate(windows, known),
        "thermal_stabilization_seconds": _warmup_seconds(record),
        "scenario": _scenario(record, group),
        "accelerator_count": _accelerators(readings),
        "energy_per_token_joules": _energy_per_token(group, known),
        "prefill_energy_joules": _phase_energy(group, "prefill", known),
        "generation_energy_joules": _phase_energy(group, "decode", known),
        "output_token_count": _output_tokens(group),
        "batch_size": (group.batch_size, "the server chose its batches"),
        "input_sequence_length": (group.num_input_tokens, "tasks differ in length"),
        "output_sequence_length": (group.num_output_tokens, "tasks differ in length"),
    }
    if record.environment is not None:
        versions = {**record.environment.packages, "python": record.environment.python_version}
        fields["software_runtime_versions"] = (versions, None)
    missing = [name for name in REQUIRED if fields[name][0] is None]
    return {
        "run_id": record.run_id,
        "arm": record.arm,
        "size": record.size,
        "seed": record.seed,
        "status": record.status,
        "regime": group.label,
        "energy": {name: value for name, (value, _) in fields.items()},
        "reasons": {name: reason for name, (value, reason) in fields.items() if value is None},
        "missing_required": missing,
        "energy_kind": energy.word,
        "energy_grade": energy.grade,
        "sensors": list(energy.sensors),
        "modelled_energy_joules": energy.energy_j if energy.word == "modelled" else None,
        "num_tasks": {phase: _count(group.windows[phase], "num_tasks") for phase in sorted(group.windows)},
        "duration_s": sum(window.duration_s for window in windows),
        "note": _NOTE,
    }


def _sum_boundary(readings: Sequence[EnergyReading]) -> EnergySum:
    return add_up(select_boundary(readings))


def _only_measured(energy: EnergySum) -> Callable[[Any], Field]:
    """Return a function that keeps a value of `energy` where it was measured, else gives null and why."""

    def keep(value: Any) -> Field:
        if energy.word in {"modelled", "simulated"}:
            return (
                None,
                f"the energy is {energy.word} ({', '.join(energy.sensors)}), and the schema takes measured alone",
            )
        if isinstance(value, float) and value < 0:
            return None, "it came out below 0: the windows are too short for the sensor"
        return value, energy.reason or "the energy is unknown"

    return keep


def _baseline(windows: Sequence[WindowRecord], known: Callable[[Any], Field]) -> Field:
    """Return the idle power of the first window's sensors, all devices together, in watts."""
    readings = select_boundary(windows[0].energy) if windows else ()
    idle = [reading.idle_w for reading in readings if reading.idle_w is not None]
    if not readings or len(idle) < len(readings):
        return None, known(1.0)[1] if known(1.0)[0] is None else "idle power was not measured"
    return known(sum(idle))


def _active_power(
    windows: Sequence[WindowRecord],
    energy: EnergySum,
    readings: Sequence[EnergyReading],
    known: Callable[[Any], Field],
) -> Field:
    """Return mean power over the windows, and the peak where one device alone was read (peaks do not add up)."""
    duration_s = sum(window.duration_s for window in windows)
    if energy.energy_j is None or duration_s <= 0:
        return known(None)
    power = {"mean": energy.energy_j / duration_s}
    peaks = [reading.peak_power_w for reading in readings if reading.peak_power_w is not None]
    if len({(r.domain, r.device_index) for r in readings}) == 1 and peaks and max(peaks) > 0:
        power["peak"] = max(peaks)
    return known(power)


def _method(readings: Sequence[EnergyReading], energy: EnergySum, known: Callable[[Any], Field]) -> Field:
    found = sorted({reading.sensor for reading in readings})
    if known(1.0)[0] is None or energy.energy_j is None:
        return known(None)
    if len(found) != 1 or found[0] not in _METHODS:
        return None, f"the schema has no word for {', '.join(found)}"
    return known(_METHODS[found[0]])


def _sampling_rate(windows: Sequence[WindowRecord], known: Callable[[Any], Field]) -> Field:
    """Return the samples a second of the device that was read least often."""
    duration_s = sum(window.duration_s for window in windows)
    counts: dict[tuple[str, str, int], int] = {}
    for window in windows:
        for reading in select_boundary(window.energy):
            key = (reading.sensor, reading.domain, reading.device_index)
            counts[key] = counts.get(key, 0) + reading.num_samples
    if not counts or duration_s <= 0:
        return known(None)
    return known(min(counts.values()) / duration_s)


def _warmup_seconds(record: RunRecord) -> Field:
    if record.path is not None:
        return None, "the warm-up that was recorded is that of training"
    warmup = record.windows_of("warmup")
    seconds = sum(window.duration_s for window in warmup) if warmup else None
    return seconds, "no warm-up window was recorded"


def _scenario(record: RunRecord, group: InferenceGroup) -> Field:
    """Return the scenario that the load has the shape of."""
    if group.phases != ("serve",):
        return ("singlestream" if group.batch_size == 1 else "offline"), None
    serving = record.serving
    if serving is not None and serving.request_rate_per_s is not None:
        return "server", None
    if serving is not None and serving.concurrency == 1:
        return "singlestream", None
    return None, "a closed loop with several requests under way is none of the schema's scenarios"


def _accelerators(readings: Sequence[EnergyReading]) -> Field:
    gpus = {reading.device_index for reading in readings if reading.domain == "gpu"}
    return (len(gpus) or None), "no accelerator was measured"


def _energy_per_token(group: InferenceGroup, known: Callable[[Any], Field]) -> Field:
    """Return decode energy per output token: over all windows, and its deviation where there are several."""
    windows = [w for w in group.windows.get("decode", ()) if w.work is not None and w.work.num_output_tokens > 0]
    if not windows:
        return None, "there is no decode window, so the energy of generation is not known apart"
    sums = [_sum_boundary(window.energy).energy_j for window in windows]
    tokens = [window.work.num_output_tokens for window in windows if window.work is not None]
    if any(part is None for part in sums):
        return known(None)
    parts = [part for part in sums if part is not None]
    stats = {"mean": sum(parts) / sum(tokens)}
    if len(parts) > 1:
        stats["std"] = statistics.stdev(part / count for part, count in zip(parts, tokens, strict=True))
    return known(stats)


def _phase_energy(group: InferenceGroup, phase: str, known: Callable[[Any], Field]) -> Field:
    windows = group.windows.get(phase)
    if not windows:
        return None, f"there is no {phase} window"
    return known(add_sums([_sum_boundary(window.energy) for window in windows]).energy_j)


def _output_tokens(group: InferenceGroup) -> Field:
    windows = group.windows[group.phases[-1]] if group.phases else ()
    return (_count(windows, "num_output_tokens") or None), "no output token was counted"


def _count(windows: Sequence[WindowRecord], name: str) -> int:
    return sum(getattr(window.work, name) for window in windows if window.work is not None)
