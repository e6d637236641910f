"""Do 95% intervals of a fitted law cover the truth in 95% of studies? Synthetic data sets whose law is known.

The truth is the refit of Chinchilla by Besiroglu et al. (2024); noise is log-normal. Two designs: `spread`, budgets and
tokens per parameter drawn anew for each configuration as in Chinchilla's third approach, and `grid`, few sizes crossed
with few budgets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats as scipy_stats  # type: ignore[import-untyped, unused-ignore]

from harness.analysis.laws.fit import LawFit, fit_law, fit_laws
from harness.analysis.laws.forms import name_values, predict_loss
from harness.analysis.laws.points import LOSS_OF_SIZE_AND_TOKENS, LawPoints
from harness.analysis.stats import LEVEL

FORM = LOSS_OF_SIZE_AND_TOKENS
TRUTH = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
LOG10_BUDGETS = (18.5, 21.8)
LOG10_TOKENS_PER_PARAM = (0.3, 2.3)
GRID_PARAMS = (1e8, 1.6e9)
GRID_FLOPS = (1e19, 1e21)
COVERAGE_BAR = (0.92, 0.98)

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Which points a study has: `num_configurations` spread at random, or `grid` sizes x budgets; seeds in each."""

    num_configurations: int = 240
    num_seeds: int = 1
    noise: float = 0.004
    grid: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The design in words."""
        cells = f"{self.num_configurations} spread" if self.grid is None else "{} sizes x {} budgets".format(*self.grid)
        return f"{cells}, {self.num_seeds} seeds, noise {self.noise:.1%}"


def draw_points(design: Design, rng: np.random.Generator) -> LawPoints:
    """Return one synthetic study."""
    if design.grid is None:
        flops = 10 ** rng.uniform(*LOG10_BUDGETS, design.num_configurations)
        params = np.sqrt(flops / 6 / 10 ** rng.uniform(*LOG10_TOKENS_PER_PARAM, design.num_configurations))
    else:
        sizes, budgets = np.geomspace(*GRID_PARAMS, design.grid[0]), np.geomspace(*GRID_FLOPS, design.grid[1])
        params, flops = (axis.ravel() for axis in np.meshgrid(sizes, budgets))
    params, tokens = np.repeat(params, design.num_seeds), np.repeat(flops / 6 / params, design.num_seeds)
    clean = predict_loss(FORM, _truth_vector()[None], {"params": params, "tokens": tokens})[0]
    loss = clean * np.exp(design.noise * rng.standard_normal(len(clean)))
    labels = tuple(str(i % design.num_seeds) for i in range(len(clean)))
    return LawPoints(family=None, form=FORM, loss=loss, params=params, tokens=tokens, seeds=labels)


def simulate_fits(
    num_sets: int = 200,
    *,
    design: Design | None = None,
    resamples: int = 500,
    seed: int = 0,
    seeds_within: bool = False,
) -> dict[str, Any]:
    """Return how often each parameter's interval covers the truth, beside other constructions from the same draws.

    `coverage` is that of the shipped interval, `alternatives` of the others; `stderr_over_spread` is the median
    standard error over the spread of estimates (1 is ideal), `bias_in_spreads` the mean error in those spreads.
    """
    design = design or Design()
    rng = np.random.default_rng(seed)
    begin = time.perf_counter()
    inside: dict[str, list[list[bool]]] = {}
    errors, stderrs, unconverged = [], [], 0.0
    for i in range(num_sets):
        points = draw_points(design, rng)
        if seeds_within:
            (fit,) = fit_laws([points], resamples=resamples, seed=seed + i, seeds_within=True)
        else:
            fit = fit_law(points, resamples=resamples, seed=seed + i)
        unconverged += 1 - fit.share_converged
        for name, ends in _intervals(fit).items():
            inside.setdefault(name, []).append(_covers(ends))
        errors.append(fit.vector - _truth_vector())
        stderrs.append(fit.draws.std(axis=0) * fit.sampling.inflation)
    spread = np.std(errors, axis=0)
    coverage = {
        name: dict(zip(FORM.parameters, np.mean(rows, axis=0).tolist(), strict=True)) for name, rows in inside.items()
    }
    low, high = COVERAGE_BAR
    return {
        "design": design.name,
        "num_sets": num_sets,
        "resamples": resamples,
        "seeds_within": seeds_within,
        "coverage": coverage.pop("shipped"),
        "passes": all(low <= float(np.mean(column)) <= high for column in np.transpose(inside["shipped"])),
        "alternatives": coverage,
        "stderr_over_spread": dict(zip(FORM.parameters, (np.median(stderrs, axis=0) / spread).tolist(), strict=True)),
        "bias_in_spreads": dict(zip(FORM.parameters, (np.mean(errors, axis=0) / spread).tolist(), strict=True)),
        "share_unconverged": unconverged / num_sets,
        "seconds": time.perf_counter() - begin,
    }


def time_bootstrap(num_points: int = 10_000, resamples: int = 2000, *, seed: int = 0) -> float:
    """Return the seconds that one whole fit with its resamples takes."""
    points = draw_points(Design(num_configurations=num_points), np.random.default_rng(seed))
    begin = time.perf_counter()
    fit_law(points, resamples=resamples, seed=seed)
    return time.perf_counter() - begin


def _truth_vector() -> Array:
    return np.array([TRUTH[name] if name in {"alpha", "beta"} else np.log(TRUTH[name]) for name in FORM.parameters])


def _intervals(fit: LawFit) -> dict[str, tuple[Array, Array]]:
    """Return (low, high) by construction, each (p,) on the scale of the parameters themselves."""
    shipped = [fit.parameters[name].interval for name in FORM.parameters]
    nothing = (np.inf, -np.inf)  # an interval that could not be given covers nothing
    pairs = [(interval.low, interval.high) if interval else nothing for interval in shipped]
    return {
        "shipped": (np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])),
        **{name: _carry_back(*build(fit.vector, fit.draws, fit)) for name, build in _ALTERNATIVES.items()},
    }


def _carry_back(low: Array, high: Array) -> tuple[Array, Array]:
    ends = [name_values(FORM, end) for end in (low, high)]
    return np.array([ends[0][name] for name in FORM.parameters]), np.array([ends[1][name] for name in FORM.parameters])


def _percentile(_: Array, draws: Array, __: LawFit) -> tuple[Array, Array]:
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, tail, axis=0), np.quantile(draws, 1 - tail, axis=0)


def _basic(center: Array, draws: Array, fit: LawFit) -> tuple[Array, Array]:
    low, high = _percentile(center, draws, fit)
    return 2 * center - high, 2 * center - low


def _t_stderr(center: Array, draws: Array, fit: LawFit) -> tuple[Array, Array]:
    half = scipy_stats.t.ppf(0.5 + LEVEL / 2, fit.sampling.degrees) * draws.std(axis=0)
    return center - half, center + half


def _t_corrected(center: Array, draws: Array, fit: LawFit) -> tuple[Array, Array]:
    low, high = _t_stderr(center, draws, fit)
    return center + fit.sampling.inflation * (low - center), center + fit.sampling.inflation * (high - center)


def _bias_corrected(center: Array, draws: Array, _: LawFit) -> tuple[Array, Array]:
    share = np.clip(np.mean(draws < center, axis=0), 1e-3, 1 - 1e-3)
    shift = 2 * scipy_stats.norm.ppf(share)
    z = scipy_stats.norm.ppf(0.5 + LEVEL / 2)
    ends = [scipy_stats.norm.cdf(shift - z), scipy_stats.norm.cdf(shift + z)]
    low, high = (np.array([np.quantile(draws[:, i], end[i]) for i in range(draws.shape[1])]) for end in ends)
    return low, high


def _expanded(center: Array, draws: Array, fit: LawFit) -> tuple[Array, Array]:
    tail = scipy_stats.norm.cdf(-fit.sampling.inflation * scipy_stats.t.ppf(0.5 + LEVEL / 2, fit.sampling.degrees))
    return np.quantile(draws, tail, axis=0), np.quantile(draws, 1 - tail, axis=0)


_ALTERNATIVES: dict[str, Callable[[Array, Array, LawFit], tuple[Array, Array]]] = {
    "percentile": _percentile,
    "basic": _basic,
    "t on stderr, log scale": _t_stderr,
    "t on stderr corrected for p, log scale": _t_corrected,
    "bias-corrected percentile": _bias_corrected,
    "expanded percentile (Hesterberg)": _expanded,
}


def _covers(ends: tuple[Array, Array]) -> list[bool]:
    truth = np.array([TRUTH[name] for name in FORM.parameters])
    return [bool(inside) for inside in (ends[0] <= truth) & (truth <= ends[1])]
