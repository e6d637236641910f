"""Other ways to book energy: what of the idle power is subtracted, and which devices are inside the boundary."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

from harness.analysis.boundary import BoundaryEnergy, sum_boundary
from harness.analysis.energy_sum import sum_domain
from harness.analysis.sensitivity.recompute import HEADLINE, Booking, Recomputed, Study, recompute_energy
from harness.analysis.task_costs import RunTask, SumBoundary, measure_task
from harness.core.readings import Domain, EnergyReading, Grade, worst_grade
from harness.core.records import RunRecord

NO_IDLE = "the idle power of some reading is unknown"
NO_GPU = "no accelerator was read"
# The share of the measured idle energy that is taken off, and in words.
IDLE_SHARES: tuple[tuple[float, str], ...] = (
    (0.5, "net of half the measured idle power"),
    (1.0, "net of the measured idle power"),
    (2.0, "net of twice the measured idle power"),
)
BOUNDARIES: tuple[tuple[tuple[Domain, ...], str], ...] = (
    (("gpu",), "accelerators alone"),
    (("gpu", "cpu", "dram"), "accelerators, CPU and DRAM"),
    (("cpu",), "CPU alone"),
    (("cpu", "dram"), "CPU and DRAM"),
    (("system",), "the whole machine"),
)


def list_idle(study: Study) -> list[tuple[str, Recomputed]]:
    """Return the ratios gross and net of several idle powers; the same share is taken off for both arms."""
    gross = ("gross: nothing subtracted", recompute_energy(study, HEADLINE))
    return [gross, *((words, recompute_energy(study, subtract_idle(share))) for share, words in IDLE_SHARES)]


def list_boundaries(study: Study) -> list[tuple[str, Recomputed]]:
    """Return the ratios with other devices inside the boundary; those that nobody read say so.

    The headline's own boundary is left out, and so is what a study without accelerators cannot tell apart from it.
    """
    had = {domains for point in study.match.points if (domains := point.energy_domains)}
    read = {
        reading.domain
        for point in study.match.points
        if (path := study.records[point.run_id].path) is not None
        for reading in path.energy
    }
    found: list[tuple[str, Recomputed]] = []
    for domains, words in choose_boundaries(had, read):
        if set(domains) <= read:
            found.append((words, recompute_energy(study, count_domains(domains), tuple(sorted(domains)))))
        else:
            found.append((words, Recomputed(reason=NO_GPU)))
    return found


def choose_boundaries(had: set[tuple[str, ...]], read: set[Domain]) -> list[tuple[tuple[Domain, ...], str]]:
    """Return other boundaries than those that runs `had`, by the domains that were `read`, with their words.

    Accelerators alone are among them where none was read, to say so; what a study without accelerators cannot tell
    apart from its own boundary is not.
    """
    return [
        (domains, words)
        for domains, words in BOUNDARIES
        if had != {tuple(sorted(domains))}
        and not ("gpu" in read and words.startswith("CPU"))
        and (set(domains) <= read or domains == ("gpu",))
    ]


def subtract_idle(share: float) -> Booking:
    """Return the headline's booking less `share` of the idle energy, as the record has it.

    Of a task it is taken off what its phases add up to, so they are not told apart.
    """

    def sum_readings(readings: Sequence[EnergyReading]) -> BoundaryEnergy:
        found = sum_boundary(readings)
        left = _subtract(found.energy_j, found.net_energy_j, share)
        reason = NO_IDLE if left is None and found.energy_j is not None else found.reason
        return dataclasses.replace(found, energy_j=left, net_energy_j=None, reason=reason)

    def measure(record: RunRecord, kind: str | None) -> RunTask:
        task = measure_task(record, kind)
        left = _subtract(task.energy_j, task.net_energy_j, share)
        return dataclasses.replace(task, energy_j=left, net_energy_j=None, prefill_j=None, decode_j=None)

    return Booking(sum_readings, measure)


def _subtract(energy_j: float | None, net_energy_j: float | None, share: float) -> float | None:
    return None if energy_j is None or net_energy_j is None else energy_j - share * (energy_j - net_energy_j)


def count_domains(domains: Sequence[Domain]) -> Booking:
    """Return the booking of the devices of `domains`; one that is missing makes the sum unknown."""
    sum_readings = sum_domains(domains)
    return Booking(sum_readings, lambda record, kind: measure_task(record, kind, sum_readings=sum_readings))


def sum_domains(domains: Sequence[Domain]) -> SumBoundary:
    """Return what adds up the devices of `domains`; one that is missing makes the sum unknown."""
    wanted = tuple(domains)

    def sum_readings(readings: Sequence[EnergyReading]) -> BoundaryEnergy:
        kinds = tuple([(r.domain, r.device_index, r.grade, r.simulated) for r in readings])
        places, missing, grade, simulated = _choose(kinds, wanted)
        own = [readings[place] for place in places]
        known = [reading.energy_j for reading in own if reading.energy_j is not None]
        net = [reading.net_energy_j for reading in own if reading.net_energy_j is not None]
        reason = f"no reading of {' and '.join(missing)}" if missing else None
        if not missing and len(known) < len(own):
            parts = (sum_domain(readings, domain) for domain in wanted)
            reason = next(part.reason for part in parts if part.reason is not None)
        return BoundaryEnergy(
            energy_j=math.fsum(known) if reason is None else None,
            net_energy_j=math.fsum(net) if not missing and len(net) == len(own) else None,
            grade=grade,
            domains=tuple(sorted(wanted)),
            simulated=simulated,
            reason=reason,
        )

    return sum_readings


_Kinds = tuple[tuple[Domain, int, Grade, bool], ...]


@functools.lru_cache(maxsize=1024)
def _choose(kinds: _Kinds, domains: tuple[Domain, ...]) -> tuple[tuple[int, ...], tuple[Domain, ...], Grade, bool]:
    """Return places of the readings that count, domains that nobody read, worst grade, and whether one is simulated.

    Of two sensors the better grade counts. Windows by the thousand are of one kind.
    """
    best: dict[tuple[Domain, int], int] = {}
    for place, (domain, index, grade, _) in enumerate(kinds):
        if domain in domains and ((domain, index) not in best or grade < kinds[best[domain, index]][2]):
            best[domain, index] = place
    missing = tuple(domain for domain in domains if all(read != domain for read, _ in best))
    grades: list[Grade] = [kinds[place][2] for place in best.values()]
    simulated = any(kinds[place][3] for place in best.values())
    return tuple(best.values()), missing, "D" if simulated or not grades else worst_grade(*grades), simulated
