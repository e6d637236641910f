"""Simulated studies whose law, noise and true multiplier are known: ladders, laws, and noise as the studies have it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.analysis.points import build_points
from harness.analysis.results import FrontierPoint
from harness.core.store import Store

# A loss near those of the CPU study (bits per byte): L = E + A N^-alpha + B (m D)^-beta with FLOPs = 6 N D.
FLOOR, ALPHA, BETA = 1.0, 0.35, 0.30
SCALE_N, SCALE_D = 0.45 * 2.6e5**ALPHA, 0.66 * 1.5e6**BETA
SIZES = {"s": 1.3e5, "m": 2.6e5, "l": 5.2e5, "xl": 1.0e6, "2xl": 2.0e6}
FIRST_BUDGET = 6e11
# A size is trained at a budget where its loss is within this of the best size's.
LADDER_WIDTH = 0.12
ARMS = ("dense", "moe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Standard deviations of a loss in bits per byte: `trunk` is common to all budgets of a size and seed.

    `shared` of the variance (0 to 1) is common to both arms of a seed; `jump` is the chance that a run learns something
    as a step and ends `JUMP` lower; `spread` is the standard deviation of ln(noise) from cell to cell.
    """

    trunk: float
    branch: float
    shared: float = 0.0
    jump: float = 0.0
    spread: float = 0.0


JUMP = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a study plans: sizes, seeds, and budgets of either arm that double from `first` times the first budget."""

    sizes: tuple[str, ...]
    num_seeds: int
    num_dense: int
    num_moe: int
    offset: float = 1.0

    def budgets(self, arm: str) -> list[float]:
        """Return the budgets of `arm` in training FLOPs."""
        first, count = (FIRST_BUDGET, self.num_dense) if arm == "dense" else (FIRST_BUDGET * self.offset, self.num_moe)
        return [first * 2**k for k in range(count)]


def true_loss(params: float, flops: float, multiplier: float) -> float:
    """Return the loss without noise; an arm of `multiplier` m needs 1/m of the tokens."""
    tokens = flops / (6 * params)
    return float(FLOOR + SCALE_N * params**-ALPHA + SCALE_D * (multiplier * tokens) ** -BETA)


def true_cost(loss: float, multiplier: float, sizes: Sequence[str]) -> float:
    """Return the FLOPs at which the cheapest of `sizes` reaches `loss`."""
    costs = []
    for size in sizes:
        room = loss - FLOOR - SCALE_N * SIZES[size] ** -ALPHA
        if room > 0:
            costs.append(6 * SIZES[size] * (room / SCALE_D) ** (-1 / BETA) / multiplier)
    return min(costs)


def true_multiplier(loss: float, multiplier: float, sizes: Sequence[str]) -> float:
    """Return the ratio of both arms' true costs at `loss`."""
    return true_cost(loss, 1.0, sizes) / true_cost(loss, multiplier, sizes)


def simulate_points(rng: np.random.Generator, design: Design, multiplier: float, noise: Noise) -> list[FrontierPoint]:
    """Return the points of one simulated study."""
    common = {
        (size, seed): rng.normal(0, noise.trunk * math.sqrt(noise.shared))
        for size in design.sizes
        for seed in range(design.num_seeds)
    }
    points = []
    for arm in ARMS:
        true = multiplier if arm == "moe" else 1.0
        for budget in design.budgets(arm):
            best = min(true_loss(SIZES[size], budget, true) for size in design.sizes)
            for size in design.sizes:
                loss = true_loss(SIZES[size], budget, true)
                if loss > best + LADDER_WIDTH:
                    continue
                branch = noise.branch * math.exp(rng.normal(0, noise.spread)) if noise.spread else noise.branch
                points += [
                    _point(arm, size, seed, budget, loss + common[size, seed] + rng.normal(0, branch))
                    for seed in range(design.num_seeds)
                ]
    trunks = {
        (arm, size, seed): rng.normal(0, noise.trunk * math.sqrt(1 - noise.shared))
        for arm in ARMS
        for size in design.sizes
        for seed in range(design.num_seeds)
    }
    return [_shift(p, trunks[p.arm, p.size, p.seed] - (JUMP if rng.random() < noise.jump else 0.0)) for p in points]


def _point(arm: str, size: str, seed: int, flops: float, loss: float) -> FrontierPoint:
    params = SIZES[size]
    return FrontierPoint(
        run_id=f"{arm}-{size}-{flops:.4g}-{seed}",
        arm=arm,
        size=size,
        seed=seed,
        tokens=round(flops / (6 * params)),
        loss=loss,
        flops=flops,
        seconds=flops / 1e10,
        energy_j=None,
        net_energy_j=None,
        peak_memory_bytes=None,
        energy_grade=None,
        energy_domains=(),
        active_params=int(params),
        total_params=int(params),
    )


def _shift(point: FrontierPoint, by: float) -> FrontierPoint:
    values = {name: getattr(point, name) for name in FrontierPoint.__dataclass_fields__}
    return FrontierPoint(**{**values, "loss": point.loss + by})


def measure_noise(folders: Sequence[Path]) -> Noise:
    """Return the noise of real studies: variance components between and inside the trunks of each arm and size.

    Every run counts, also one that learned something as a step at a seed of its own; that makes `branch` larger than
    the noise of most runs is (`measure_typical_noise`).
    """
    return _components([_deviations(ladder) for folder in folders for ladder in _read_ladders(folder)])


def measure_typical_noise(folders: Sequence[Path]) -> Noise:
    """Return the same without cells whose spread is beyond four times the median cell's: steps, not noise."""
    tables = [_deviations(ladder) for folder in folders for ladder in _read_ladders(folder)]
    spreads = np.concatenate([table.std(axis=1, ddof=1) for table in tables])
    limit = 4 * float(np.median(spreads))
    kept = [table[table.std(axis=1, ddof=1) <= limit] for table in tables]
    return _components([table for table in kept if len(table)])


def _read_ladders(folder: Path) -> list[np.ndarray]:
    """Return a table of losses, budgets x seeds, for each arm and size whose budgets have all seeds."""
    records, _ = Store(folder).load_records()
    points, _ = build_points(records)
    cells: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for point in points:
        cells.setdefault((point.arm, point.size), {}).setdefault(point.tokens, {})[point.seed] = point.loss
    seeds = sorted({point.seed for point in points})
    return [_table(ladder, seeds) for _, ladder in sorted(cells.items())]


def _table(ladder: Mapping[int, Mapping[int, float]], seeds: Sequence[int]) -> np.ndarray:
    return np.array([[row[s] for s in seeds] for _, row in sorted(ladder.items()) if set(row) == set(seeds)])


def _deviations(table: np.ndarray) -> np.ndarray:
    return np.asarray(table - table.mean(axis=1, keepdims=True))


def _components(tables: Sequence[np.ndarray]) -> Noise:
    """Split deviations into what a trunk shares and the rest, by the mean squares of a one-way layout."""
    between = within = 0.0
    between_df = within_df = 0
    lengths = []
    for table in tables:
        num_budgets, num_seeds = table.shape
        means = table.mean(axis=0)
        between += num_budgets * float(means @ means)
        between_df += num_seeds - 1
        within += float(((table - means) ** 2).sum())
        within_df += (num_budgets - 1) * (num_seeds - 1)
        lengths.append(num_budgets)
    branch = within / within_df
    trunk = max(0.0, (between / between_df - branch) / float(np.mean(lengths)))
    return Noise(trunk=math.sqrt(trunk), branch=math.sqrt(branch))
