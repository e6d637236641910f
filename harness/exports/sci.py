"""SCI of ISO/IEC 21031: (E x I + M) per functional unit R, from the inference windows of each run.

E is the gross energy of one unit over all domains that were read (every joule once), I the carbon intensity that the
user names, M the embodied emissions of the hardware that the user says fall on one unit. Without M the result is the
operational part alone and says so; it is never taken for 0.
Source: https://sci.greensoftware.foundation (the formula, and R as a unit of work).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.analysis.energy_sum import sum_all
from harness.core.records import RunRecord
from harness.exports.files import write_json
from harness.exports.inference import (
    InferenceGroup,
    UnitCost,
    cost_per_correct,
    cost_per_task,
    cost_per_token,
    group_windows,
)
from harness.exports.options import ExportOptions, Unit, read_intensity
from harness.exports.source import ExportSource
from harness.sensors.carbon import J_PER_KWH, CarbonIntensity

SCHEMA_VERSION = 1
_UNITS: dict[Unit, str] = {
    "task": "one task, prompt and answer",
    "correct": "one correct answer",
    "token": "one output token, its share of the prompt included",
}


def export_sci(source: ExportSource, out: Path, options: ExportOptions) -> tuple[list[Path], list[str]]:
    """Write the SCI of every group of inference windows to the JSON file `out`.

    Raises:
        ConfigError: the options name no carbon intensity, or `out` cannot be written.
    """
    intensity = read_intensity(options, "sci")
    results: list[dict[str, Any]] = []
    for record in source.iterate_records():
        results += [_score(record, group, options, intensity) for group in group_windows(record)]
    embodied = options.embodied_grams
    content = {
        "schema_version": SCHEMA_VERSION,
        "specification": "ISO/IEC 21031:2024, SCI = (E x I + M) per R",
        "functional_unit": options.per,
        "functional_unit_text": _UNITS[options.per],
        "I_g_co2e_per_kwh": intensity.kg_per_kwh * 1000,
        "I_source": intensity.source,
        "M_g_co2e_per_unit": embodied,
        "M_reason": None if embodied is not None else "embodied emissions were not given (--embodied-grams)",
        "results": results,
    }
    write_json(out, content)
    notes = [] if results else ["no run has inference windows, so there is no SCI in the file."]
    if embodied is None:
        notes.append("M is unknown: the SCI is null and the operational part stands alone (add --embodied-grams).")
    return [out], notes


def _score(
    record: RunRecord, group: InferenceGroup, options: ExportOptions, intensity: CarbonIntensity
) -> dict[str, Any]:
    cost = _cost(record, group, options.per)
    operational = None if cost.energy_j is None else cost.energy_j / J_PER_KWH * intensity.kg_per_kwh * 1000
    embodied = options.embodied_grams
    total = None if operational is None or embodied is None else operational + embodied
    reason = cost.reason or (None if embodied is not None else "M is unknown; operational_g_co2e is the part E x I")
    return {
        "run_id": record.run_id,
        "arm": record.arm,
        "size": record.size,
        "seed": record.seed,
        "status": record.status,
        "regime": group.label,
        "kind": group.kind,
        "batch_size": group.batch_size,
        "E_kwh": None if cost.energy_j is None else cost.energy_j / J_PER_KWH,
        "E_j": cost.energy_j,
        "E_kind": cost.energy.word,
        "E_grade": cost.energy.grade,
        "E_sensors": list(cost.energy.sensors),
        "num_units": cost.num_units or None,
        "operational_g_co2e": operational,
        "sci_g_co2e": total,
        "reason": reason if total is None else None,
    }


def _cost(record: RunRecord, group: InferenceGroup, per: Unit) -> UnitCost:
    if per == "correct":
        return cost_per_correct(group, sum_all, record)
    return cost_per_task(group, sum_all) if per == "task" else cost_per_token(group, sum_all)
