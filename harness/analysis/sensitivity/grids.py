"""What energy is in grams of greenhouse gases and behind a building's meter: stated grids and PUEs, nothing measured.

Neither changes a ratio of two energies: both sides are multiplied alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.analysis.multipliers import Pair
from harness.analysis.points import cost_of
from harness.analysis.results import FrontierPoint
from harness.analysis.sensitivity.recompute import Study
from harness.analysis.sensitivity.results import Emissions, Grid
from harness.core.readings import Grade, worst_grade
from harness.sensors.carbon import CarbonIntensity, to_co2e_kg

# 1.1: the best fleets' own figures; 1.58: the mean of the Uptime Institute's survey of data centres in 2023.
PUES = (1.0, 1.1, 1.2, 1.58)
_EMBER = "Ember, yearly electricity data"
GRIDS: tuple[Grid, ...] = (
    Grid(id="clean", name="Norway", g_per_kwh=30.08, source=f"{_EMBER}, mean of Norway in 2023 (as codecarbon has it)"),
    Grid(id="world", name="world", g_per_kwh=481.0, source=f"{_EMBER}, mean of the world in 2023"),
    Grid(id="coal", name="India", g_per_kwh=713.44, source=f"{_EMBER}, mean of India in 2023 (as codecarbon has it)"),
)


def list_emissions(study: Study) -> tuple[Emissions, ...]:
    """Return joules and grams of training to the matched loss, of a task and of a correct answer, for each arm."""
    match = study.match
    pair = study.pair(match.points)
    found = [_training(pair, arm, study.loss()) for arm in pair.arms]
    for quantity in ("one task", "one correct answer"):
        for task in match.arm_tasks:
            correct = quantity == "one correct answer"
            energy = task.energy_per_correct_j if correct else task.energy_per_task_j
            reason = task.energy_per_correct_reason if correct else "the energy of a task is unknown"
            found.append(
                convert_energy(quantity, task.arm, energy, task.energy_grade, task.run_ids, task.simulated, reason)
            )
    return tuple(found)


def _training(pair: Pair, arm: str, loss: float) -> Emissions:
    """Return the geometric mean over seeds of what training to `loss` costs."""
    reached = [pair.frontiers[arm, seed].cost_at(loss, "energy") for seed in pair.seeds]
    runs: list[FrontierPoint] = [point for found in reached if found is not None for point, _ in found.runs]
    grades: list[Grade] = [point.energy_grade for point in runs if point.energy_grade is not None]
    reason = None
    if not reached or any(found is None for found in reached):
        known = all(cost_of(p, "energy") for seed in pair.seeds for p in pair.frontiers[arm, seed].points)
        reason = "no runs of one size bracket this loss in every seed" if known else "the energy of a run is unknown"
    costs = [math.log(found.cost) for found in reached if found is not None]
    return convert_energy(
        "training to the matched loss",
        arm,
        math.exp(math.fsum(costs) / len(costs)) if reason is None else None,
        worst_grade(*grades) if grades else None,
        tuple(sorted({point.run_id for point in runs})),
        any(point.simulated for point in runs),
        reason,
    )


def convert_energy(  # noqa: PLR0917 - the fields of the row in their order
    quantity: str,
    arm: str,
    energy_j: float | None,
    grade: Grade | None,
    run_ids: Sequence[str],
    simulated: bool,
    reason: str | None,
) -> Emissions:
    """Return `energy_j` of `quantity` behind a building's meter and in grams; where it is unknown, the `reason`."""
    return Emissions(
        quantity=quantity,
        arm=arm,
        energy_j=energy_j,
        grade=grade,
        simulated=simulated,
        joules_at_pue=tuple((pue, None if energy_j is None else energy_j * pue) for pue in PUES),
        grams_at_grid=tuple((grid.id, None if energy_j is None else _grams(energy_j, grid)) for grid in GRIDS),
        run_ids=tuple(run_ids),
        reason=None if energy_j is not None else reason,
    )


def _grams(energy_j: float, grid: Grid) -> float:
    return 1000 * to_co2e_kg(energy_j, CarbonIntensity(kg_per_kwh=grid.g_per_kwh / 1000, source=grid.source))
