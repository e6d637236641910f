"""What a run's training has cost so far: kept beside the state in its checkpoints, and summed over windows."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import RunFailedError
from harness.core.readings import EnergyReading, Finding, worst_grade
from harness.core.records import PathCost, WindowRecord
from harness.core.strict import StrictReader

_WINDOWS = StrictReader(list[WindowRecord])
_PATH = StrictReader(PathCost)
_FINDINGS = StrictReader(list[Finding])


@dataclass(slots=True)
class Spent:
    """The trunk's path (`prefix`), the run's own windows and findings, and whether a budget has ended training."""

    prefix: PathCost | None = None
    windows: list[WindowRecord] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    stopped: bool = False


def pack_spent(spent: Spent, path: PathCost) -> dict[str, Any]:
    """Return what a checkpoint keeps as JSON: what was spent, and the whole `path` that a branch begins with."""
    return {
        "windows": _WINDOWS.to_plain(spent.windows),
        "prefix": _PATH.to_plain(spent.prefix) if spent.prefix else None,
        "path": _PATH.to_plain(path),
        "findings": _FINDINGS.to_plain(spent.findings),
        "stopped": spent.stopped,
    }


def unpack_spent(extra: dict[str, Any], checkpoint: Path) -> Spent:
    """Return what a run had spent at its own `checkpoint`, of which `extra` is the rest.

    Raises:
        RunFailedError: it does not say so.
    """
    with _only_whole(checkpoint):
        return Spent(
            prefix=_PATH.take(extra["prefix"]) if extra["prefix"] else None,
            windows=_WINDOWS.take(extra["windows"]),
            findings=_FINDINGS.take(extra.get("findings", [])),
            stopped=bool(extra.get("stopped", False)),
        )


def unpack_path(extra: dict[str, Any], checkpoint: Path) -> PathCost:
    """Return the cost of the whole path to a trunk's `checkpoint`.

    Raises:
        RunFailedError: it does not say so.
    """
    with _only_whole(checkpoint):
        return _PATH.take(extra["path"])


@contextlib.contextmanager
def _only_whole(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise RunFailedError(
            f"checkpoint '{checkpoint.name}' of '{checkpoint.parent.name}' cannot be used: it does not say what its "
            f"training has cost ({type(error).__name__}); remove '{checkpoint}'."
        ) from error


def sum_readings(readings: list[EnergyReading]) -> tuple[EnergyReading, ...]:
    """Add up readings over windows, one sum per sensor, device and domain; one unknown part makes a sum unknown."""
    groups: dict[tuple[str, str, int], list[EnergyReading]] = {}
    for reading in readings:
        groups.setdefault((reading.sensor, reading.domain, reading.device_index), []).append(reading)
    return tuple(_sum_group(group) for group in groups.values())


def _sum_group(group: list[EnergyReading]) -> EnergyReading:
    def total(name: str) -> float | None:
        values = [getattr(reading, name) for reading in group]
        return None if any(value is None for value in values) else sum(values)

    coverages = [reading.coverage for reading in group if reading.coverage is not None]
    reasons = [reading.reason for reading in group if reading.reason]
    return dataclasses.replace(
        group[0],
        energy_j=total("energy_j"),
        crosscheck_j=total("crosscheck_j"),
        net_energy_j=total("net_energy_j"),
        uncertainty_j=total("uncertainty_j"),
        num_samples=sum(reading.num_samples for reading in group),
        coverage=min(coverages, default=None),
        simulated=any(reading.simulated for reading in group),
        grade=worst_grade(*(reading.grade for reading in group)),
        reason=reasons[0] if reasons else None,
        peak_power_w=max((reading.peak_power_w for reading in group if reading.peak_power_w is not None), default=None),
    )
