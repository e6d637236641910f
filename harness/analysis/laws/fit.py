"""Fits of one or more families together: every parameter its own, or some of them shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.forms import Form, name_values
from harness.analysis.laws.intervals import Quantity, Sampling, Scale, Unit, estimate_quantity
from harness.analysis.laws.objective import Array, Block, Problem, predict_log
from harness.analysis.laws.points import LawPoints, check_enough
from harness.analysis.laws.resample import draw_weights
from harness.analysis.laws.solve import COARSE, solve, solve_from_grid
from harness.core.errors import RecordError

NUM_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """One family's law: `vector` (p,) as `Form` orders it, and bootstrap `draws` (R, p) of it.

    `objective` is the sum of Huber terms of everything that was fitted together; `residuals` (n,) are predicted minus
    observed log loss; draws of fits made in one call belong together, row by row.
    """

    points: LawPoints
    vector: Array
    draws: Array
    residuals: Array
    objective: float
    shared: tuple[str, ...]
    converged: bool
    share_converged: float

    @property
    def form(self) -> Form:
        """The form that was fitted."""
        return self.points.form

    @property
    def sampling(self) -> Sampling:
        """What the intervals' small-sample correction goes by."""
        unit: Unit = "configurations" if self.points.trunks is None else "trunks"
        return Sampling(self.points.num_units, self.form.num_params, unit)

    @property
    def parameters(self) -> dict[str, Quantity]:
        """Each parameter by name."""
        values, draws = name_values(self.form, self.vector), name_values(self.form, self.draws)
        scale: dict[str, Scale] = {"E": "not negative", "A": "log", "B": "log"}
        return {
            name: estimate_quantity(float(values[name]), draws[name], self.sampling, scale=scale.get(name, "linear"))
            for name in self.form.parameters
        }


def fit_laws(
    families: Sequence[LawPoints],
    *,
    shared: Sequence[str] = (),
    resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    seeds_within: bool = False,
    first_stream: int = 0,
) -> tuple[LawFit, ...]:
    """Fit all families at once; parameters named in `shared` (of E, alpha, beta) take one value for all of them.

    Families are resampled apart from each other, the first with the random stream (seed, `first_stream`). Nothing
    depends on the order of rows, nor on units of params, tokens or FLOPs: columns are divided by their geometric mean
    before the fit. `seeds_within` draws seeds inside configurations once more (see `resample`).

    Raises:
        RecordError: a family has too few points, sizes or budgets for its form, or the forms differ.
        ValueError: `shared` names a parameter that cannot be shared.
    """
    if set(shared) - {"E", "alpha", "beta"}:
        raise ValueError(f"only E, alpha and beta can be shared, not {sorted(set(shared) - {'E', 'alpha', 'beta'})}")
    if len({family.form for family in families}) != 1:
        raise RecordError("families of different forms cannot be fitted together; give all of them the same columns.")
    for family in families:
        reason = check_enough(family)
        if reason is not None:
            of_family = f" of family '{family.family}'" if family.family is not None else ""
            raise RecordError(f"too few points{of_family}: {reason}.")
    center = float(np.mean(np.concatenate([np.log(family.loss) for family in families])))
    problem, means = _build_problem(families, tuple(shared), center)
    best = solve_from_grid(problem)
    weights = [
        draw_weights(
            family.units, resamples, np.random.default_rng([seed, first_stream + i]), seeds_within=seeds_within
        )
        for i, family in enumerate(families)
    ]
    boot = solve(problem, np.repeat(best.theta, resamples, axis=0), weights, tolerance=COARSE)
    return tuple(
        LawFit(
            points=family,
            vector=_to_vector(best.theta[:, block.index], mean, center)[0],
            draws=_to_vector(boot.theta[:, block.index], mean, center),
            residuals=predict_log(best.theta[:, block.index], block.x)[0] - block.y,
            objective=float(best.value[0]),
            shared=tuple(shared),
            converged=bool(best.converged[0]),
            share_converged=float(np.mean(boot.converged)) if resamples else 1.0,
        )
        for family, block, mean in zip(families, problem.blocks, means, strict=True)
    )


def fit_apart(families: Sequence[LawPoints], *, resamples: int = NUM_RESAMPLES, seed: int = 0) -> tuple[LawFit, ...]:
    """Fit each family on its own, resampled as `fit_laws` resamples them together; forms may differ."""
    return tuple(
        fit_laws([family], resamples=resamples, seed=seed, first_stream=i)[0] for i, family in enumerate(families)
    )


def fit_law(points: LawPoints, *, resamples: int = NUM_RESAMPLES, seed: int = 0) -> LawFit:
    """Fit one family; see `fit_laws`."""
    return fit_laws([points], resamples=resamples, seed=seed)[0]


def _build_problem(
    families: Sequence[LawPoints], shared: tuple[str, ...], center: float
) -> tuple[Problem, tuple[Array, ...]]:
    names = families[0].form.parameters
    numbers: dict[tuple[int | None, str], int] = {}
    blocks, means = [], []
    for i, family in enumerate(families):
        keys = [(None if name in shared else i, name) for name in names]
        index = tuple(numbers.setdefault(key, len(numbers)) for key in keys)
        logs = np.log(np.stack([family.column(name) for name in family.form.columns], axis=1))
        mean = logs.mean(axis=0)
        blocks.append(Block(x=logs - mean, y=np.log(family.loss) - center, index=index))
        means.append(mean)
    return Problem(tuple(blocks), len(numbers)), tuple(means)


def _to_vector(theta: Array, mean: Array, center: float) -> Array:
    """Undo the centring of (R, p) parameters."""
    vector = theta.copy()
    vector[:, 0] += center
    for k in range(len(mean)):
        vector[:, 1 + 2 * k] += center + theta[:, 2 + 2 * k] * mean[k]
    return vector
