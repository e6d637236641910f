"""Each run beside what the law of its family says of it, and the spread that seeds alone make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.fit import LawFit
from harness.analysis.laws.forms import predict_loss
from harness.analysis.results import FrontierPoint
from harness.analysis.stats import t_critical


@dataclass(frozen=True, slots=True, kw_only=True)
class LawRun:
    """One run and its law: losses in bits per byte, `log_residual` is predicted minus observed log loss."""

    run_id: str
    family: str
    size: str
    params: float
    tokens: float
    flops: float
    loss: float
    fitted: float
    log_residual: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LawLine:
    """The law of one family at one size over the tokens of its runs; `flops` rise, losses are in bits per byte."""

    family: str
    size: str
    flops: tuple[float, ...]
    losses: tuple[float, ...]


def fit_runs(fit: LawFit, points: Sequence[FrontierPoint]) -> tuple[LawRun, ...]:
    """Return the runs of the fit's family with what its law says at their parameters and tokens, by size and FLOPs."""
    own = [p for p in points if p.arm == fit.points.family and p.active_params is not None]
    own.sort(key=lambda p: (p.active_params or 0, p.flops, p.seed, p.run_id))
    if not own:
        return ()
    columns = {
        "params": np.array([float(p.active_params or 0) for p in own]),
        "tokens": np.array([float(p.tokens) for p in own]),
        "flops": np.array([p.flops for p in own]),
    }
    fitted = predict_loss(fit.form, fit.vector[None, :], columns)[0]
    return tuple(
        LawRun(
            run_id=p.run_id,
            family=p.arm,
            size=p.size,
            params=float(p.active_params or 0),
            tokens=float(p.tokens),
            flops=p.flops,
            loss=p.loss,
            fitted=float(value),
            log_residual=math.log(float(value)) - math.log(p.loss),
        )
        for p, value in zip(own, fitted, strict=True)
    )


def draw_lines(fit: LawFit, runs: Sequence[LawRun], num_points: int = 24) -> tuple[LawLine, ...]:
    """Return the law at each size, from the fewest to the most tokens that a run of that size saw, never beyond."""
    lines = []
    for size in dict.fromkeys(run.size for run in runs):
        own = [run for run in runs if run.size == size]
        tokens = np.geomspace(min(run.tokens for run in own), max(run.tokens for run in own), num_points)
        flops = tokens * (own[0].flops / own[0].tokens)
        columns = {"params": np.full(num_points, own[0].params), "tokens": tokens, "flops": flops}
        losses = predict_loss(fit.form, fit.vector[None, :], columns)[0]
        lines.append(
            LawLine(
                family=own[0].family,
                size=size,
                flops=tuple(float(f) for f in flops),
                losses=tuple(float(loss) for loss in losses),
            )
        )
    return tuple(lines)


def estimate_seed_band(fit: LawFit, seed_noise: float | None) -> float | None:
    """Return the half-width of the band that 95% of single runs fall into by the noise of seeds alone (log loss).

    `seed_noise` is the pooled standard deviation inside configurations; ``None`` without repeated seeds.
    """
    repeats = len(fit.points) - fit.points.num_configurations
    return None if seed_noise is None or repeats < 1 else t_critical(repeats + 1) * seed_noise
