"""Opens the windows of inference on a meter and keeps their records; findings of many windows become one each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.core.boundary import sum_boundary
from harness.core.inference import Regime, name_regime
from harness.core.readings import Finding
from harness.core.records import WindowRecord
from harness.measure import Meter
from harness.run.device import peak_memory_bytes, reset_peak_memory, synchroniser
from harness.tasks.passes import WindowSlot


class InferenceWindows:
    """Windows of inference on `device`: `open` is what the routines of `harness.tasks` call.

    The peak memory of a window with a regime is that window's own; without one it is the peak of the run so far. The
    caches of all batches that the window's passes go through are in it: of a sweep one batch, of a kind all of them.
    """

    def __init__(self, meter: Meter, device: torch.device) -> None:
        self._meter = meter
        self._device = device
        self._found: list[tuple[str, Finding]] = []
        self.records: list[WindowRecord] = []

    @contextmanager
    def open(self, phase: str, repetition: int, regime: Regime | None) -> Iterator[WindowSlot]:
        """Open a window; when it has closed, fill the slot's account from it."""
        slot = WindowSlot()
        if regime is not None:
            reset_peak_memory(self._device)
        with self._meter.window(phase, repetition=repetition, sync=synchroniser(self._device)) as window:
            yield slot
        peak_bytes = peak_memory_bytes(self._device)
        slot.work = slot.describe() if slot.describe is not None else None
        record = dataclasses.replace(window.to_record(work=slot.work, peak_memory_bytes=peak_bytes), regime=regime)
        energy = sum_boundary(record.energy)
        slot.duration_s, slot.energy_j, slot.energy_grade = record.duration_s, energy.energy_j, energy.grade
        self.records.append(record)
        where = "" if regime is None else f"{phase} of {name_regime(regime)}: "
        self._found.extend((where, finding) for finding in window.findings)

    @property
    def findings(self) -> list[Finding]:
        """What a reader must know of the windows: of several with the same one the first stands for all."""
        merged: list[Finding] = []
        groups: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
        for where, finding in self._found:
            if where:
                groups.setdefault((finding.code, finding.severity), []).append((where, finding))
            else:
                merged.append(finding)
        for found in groups.values():
            where, first = found[0]
            others = f" (and {len(found) - 1} more windows of inference)" if len(found) > 1 else ""
            merged.append(dataclasses.replace(first, text=f"{where}{first.text}{others}"))
        return merged
