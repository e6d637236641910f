"""What a record tells a tracker: numbers with a unit in each name, and the configuration without places."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from harness.core.boundary import sum_boundary
from harness.core.config import RunConfig
from harness.core.records import RunRecord
from harness.core.run_id import config_without_places

MAX_VALUE_LENGTH = 500
_WORD_OF_GRADE = {"A": "", "B": "", "C": "modelled_", "D": "modelled_"}


def collect_metrics(record: RunRecord) -> dict[str, float]:
    """Return the numbers of a record by name; what is unknown is left out, energy that no sensor measured says so.

    Energy is that of the whole path inside the headline boundary: ``energy_j``, or ``modelled_energy_j``, or
    ``simulated_energy_j``.
    """
    found: dict[str, float | None] = {quality.metric: quality.value for quality in record.quality}
    found.update(
        mfu=record.mfu, train_flops_per_s=record.train_flops_per_s, epochs=record.epochs,
        num_findings=float(len(record.findings)),
    )  # fmt: skip
    if record.params is not None:
        found.update(params_total=record.params.total, params_active=record.params.active)
    if record.path is not None:
        path = record.path
        energy = sum_boundary(path.energy)
        word = "simulated_" if energy.simulated else _WORD_OF_GRADE.get(energy.grade or "", "")
        found.update(
            {
                "train_tokens": path.tokens,
                "train_flops": path.flops,
                "train_duration_s": path.duration_s,
                "peak_memory_bytes": path.peak_memory_bytes,
                f"{word}energy_j": energy.energy_j,
                f"{word}net_energy_j": energy.net_energy_j,
            }
        )
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def collect_tags(record: RunRecord) -> dict[str, str]:
    """Return what a tracker shows beside the numbers: study, arm, how it ended, the grade of its energy."""
    tags = {"study": record.study, "arm": record.arm, "size": record.size, "role": record.role, "status": record.status}
    grade = sum_boundary(record.path.energy).grade if record.path is not None else None
    if grade is not None:
        tags["energy_grade"] = grade
    if record.environment is not None:
        tags["device"] = record.environment.device_name
    if record.error:
        tags["error"] = record.error.splitlines()[0][:MAX_VALUE_LENGTH]
    return tags


def collect_params(config: RunConfig) -> dict[str, str]:
    """Return the settings of a run by their dotted names, as a record holds them: no folder, no other machine."""
    return dict(_flatten(config_without_places(config), ""))


def _flatten(values: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)[:MAX_VALUE_LENGTH]
