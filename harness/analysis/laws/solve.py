"""Damped Newton for many weightings of one problem at once, and the grid of starts for the first of them.

Each step solves (H + damping * M) d = -g, where M is the Hessian of the quadratic that bounds Huber's loss from above
(iteratively reweighted least squares): a safe step for large damping, Newton's for none.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.objective import Array, Block, Problem, evaluate
from harness.analysis.laws.packing import pack_rows

FINE, COARSE = 1e-20, 1e-8
EXPONENTS = (0.02, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.65, 0.85, 1.1, 1.5, 2.0)
KEPT_STARTS = 12
# Relative error of one rounding; residuals of log losses near 1 are known no better.
ROUNDING = float(np.finfo(np.float64).eps)
SCREENED_ROWS = 500
# Elements of one (chunk, n) array: enough that the work inside numpy outweighs the calls, little enough for the cache.
CHUNK_ELEMENTS = 1 << 18


@dataclass(frozen=True, slots=True)
class Solution:
    """Parameters (R, p), objective (R,), and whether each of the R weightings converged."""

    theta: Array
    value: Array
    converged: np.ndarray


def solve(
    problem: Problem, starts: Array, weights: Sequence[Array], *, tolerance: float = FINE, max_steps: int = 200
) -> Solution:
    """Minimise each of R weightings from its start (R, p); `weights` holds (R, n) or (1, n) for each block.

    `tolerance` bounds the decrease that a Newton step still promises, relative to the objective per unit of weight.
    """
    num = len(starts)
    packings = [pack_rows(block) for block in problem.blocks]
    weights = [packing.pack(w) for packing, w in zip(packings, weights, strict=True)]
    problem = Problem(tuple(packing.block for packing in packings), problem.num_params)
    size = max(1, CHUNK_ELEMENTS // max(1, problem.num_rows))
    chunks = [slice(i, min(i + size, num)) for i in range(0, num, size)]

    def run(chunk: slice) -> Solution:
        part = [w if len(w) == 1 else w[chunk] for w in weights]
        return _solve_chunk(problem, starts[chunk], part, tolerance, max_steps)

    with np.errstate(all="ignore"):
        parts = [run(chunk) for chunk in chunks]
    return Solution(
        np.concatenate([p.theta for p in parts]),
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.converged for p in parts]),
    )


def _solve_chunk(
    problem: Problem, starts: Array, weights: Sequence[Array], tolerance: float, max_steps: int
) -> Solution:
    theta, num = starts.copy(), len(starts)
    params = problem.num_params
    weights = [np.asarray(w, dtype=np.float64) for w in weights]
    mass = np.broadcast_to(sum(w.sum(axis=1) for w in weights), (num,))
    state = evaluate(problem, theta, weights)
    converged = np.zeros(num, dtype=bool)
    damping = np.full(num, 1e-2)
    live = np.flatnonzero(np.isfinite(state.value))
    for _ in range(max_steps):
        if not len(live):
            break
        value, gradient, hessian, bound = (part[live] for part in state)
        diagonal = np.einsum("rii->ri", bound)
        metric = bound + (1e-10 * diagonal + 1e-300)[:, :, None] * np.eye(params)
        step = _solve_each(hessian + damping[live, None, None] * metric + 1e-4 * (metric - bound), -gradient)
        reach = np.abs(step).max(axis=1)
        step *= np.minimum(1.0, 1.5 / np.maximum(reach, 1e-300))[:, None]
        promised = -(gradient * step).sum(axis=1) - 0.5 * np.einsum("ri,rij,rj->r", step, hessian, step)
        descent = (gradient * step).sum(axis=1) < 0
        floor = tolerance * value / mass[live] + ROUNDING**2 * mass[live]
        done = descent & (promised >= 0) & (promised <= floor) & (damping[live] < 1.0)
        trial = theta[live] + step
        trial_weights = [w if len(w) == 1 else w[live] for w in weights]
        found = evaluate(problem, trial, trial_weights)
        gain = value - found.value
        better = descent & (gain > 0) & np.isfinite(found.value)
        # At the bottom rounding hides any gain: what a step still promises is below the value's last digits.
        flat = ~better & (np.abs(promised) <= 2 * ROUNDING * value + ROUNDING**2 * mass[live])
        ratio = gain / np.maximum(np.abs(promised), 1e-300)
        taken = live[better]
        theta[taken] = trial[better]
        for old, new in zip(state, found, strict=True):
            old[taken] = new[better]
        factor = np.where(~better, 8.0, np.where(ratio > 0.7, 0.1, np.where(ratio < 0.25, 3.0, 1.0)))
        damping[live] = np.clip(damping[live] * factor, 1e-9, 1e12)
        damping[live[~better]] = np.maximum(damping[live[~better]], 1e-3)
        stuck = damping[live] >= 1e12
        finished = done | flat
        converged[live[finished]] = True
        live = live[~(finished | stuck)]
    return Solution(theta, state.value, converged)


def _solve_each(matrices: Array, sides: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(matrices, sides[:, :, None])[:, :, 0], dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray((np.linalg.pinv(matrices) @ sides[:, :, None])[:, :, 0], dtype=np.float64)


def solve_from_grid(problem: Problem, *, tolerance: float = FINE) -> Solution:
    """Minimise the unweighted objective from a grid of exponents for each block; return the best as R = 1.

    With its exponents held, a block is linear in (E, A_k): those starts come from least squares on relative errors.
    """
    per_block = [_block_starts(_thin_block(block)) for block in problem.blocks]
    count = max(len(starts) for starts in per_block)
    starts = np.zeros((count, problem.num_params))
    for block, found in zip(problem.blocks, per_block, strict=True):
        order = np.arange(count) % len(found)
        starts[:, list(block.index)] = found[order]
    ones = [np.ones((1, block.num_rows)) for block in problem.blocks]
    first = solve(*_thin(problem, starts), tolerance=1e-6, max_steps=25)
    value = np.where(np.isfinite(first.value), first.value, np.inf)
    best = np.argsort(value, kind="stable")[:KEPT_STARTS]
    final = solve(problem, first.theta[best], ones, tolerance=tolerance, max_steps=500)
    winner = int(np.argmin(np.where(np.isfinite(final.value), final.value, np.inf)))
    pick = slice(winner, winner + 1)
    return Solution(final.theta[pick], final.value[pick], final.converged[pick])


def _thin(problem: Problem, starts: Array) -> tuple[Problem, Array, list[Array]]:
    """Return the problem with at most `SCREENED_ROWS` rows a block, which is enough to rank starts."""
    blocks = tuple(_thin_block(block) for block in problem.blocks)
    return Problem(blocks, problem.num_params), starts, [np.ones((1, block.num_rows)) for block in blocks]


def _thin_block(block: Block) -> Block:
    kept = slice(None, None, max(1, block.num_rows // SCREENED_ROWS))
    return Block(x=block.x[kept], y=block.y[kept], index=block.index)


def _block_starts(block: Block) -> Array:
    """Return starts (S, 1 + 2 T), best by least squares first."""
    loss = np.exp(block.y)
    terms = block.x.shape[1]
    found: list[tuple[float, list[float]]] = []
    for exponents in itertools.product(EXPONENTS, repeat=terms):
        columns = [np.ones_like(loss), *(np.exp(-alpha * block.x[:, k]) for k, alpha in enumerate(exponents))]
        design = np.stack(columns, axis=1) / loss[:, None]
        coefficients, *_ = np.linalg.lstsq(design, np.ones_like(loss), rcond=None)
        coefficients = np.maximum(coefficients, 0.02 * loss.min())
        miss = float(np.abs(np.log(design @ coefficients)).sum())
        start = [float(np.log(coefficients[0]))]
        for k, alpha in enumerate(exponents):
            start += [float(np.log(coefficients[1 + k])), alpha]
        found.append((miss, start))
    found.sort()
    return np.array([start for _, start in found])
