"""Least squares with constants that are not negative, on relative residuals; workloads can be left out cheaply.

A row is a window: ``(1, bytes, FLOPs) / joules``, and its target 1, so that a step of a millijoule and one of a joule
weigh the same. The rows of each workload are kept as the R of their QR decomposition (at most 4 rows), which gives the
same solutions as all rows, to the digits of an orthogonal transformation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize  # type: ignore[import-untyped, unused-ignore]

from harness.analysis.roofline.observations import Observations
from harness.analysis.roofline.results import TERMS

# Below this share of every window's joules a constant is rounding, and counts as 0.
_NOTHING = 1e-9
# Singular values below this share of the largest cannot be told from rounding.
_RANK = 1e-9
# A constant takes part in what cannot be told apart if it has this much of the weakest direction.
_PART = 0.3


@dataclass(frozen=True, slots=True)
class Design:
    """The rows of a fit by workload, columns scaled to length 1.

    `blocks` are (up to 4, 4) each, the target last; `scale` (3,) holds the lengths of the columns, `shares` (3,) their
    largest entries.
    """

    blocks: tuple[Any, ...]
    scale: Any
    shares: Any


def build_design(workloads: Sequence[Observations]) -> Design:
    """Return the design of `workloads`, of which there is at least one window each."""
    rows = [
        np.column_stack([np.ones(len(group)), group.num_bytes, group.flops]) / group.joules[:, None]
        for group in workloads
    ]
    whole = np.vstack(rows)
    scale = np.linalg.norm(whole, axis=0)
    scale[scale == 0] = 1.0
    blocks = tuple(np.linalg.qr(np.column_stack([block / scale, np.ones(len(block))]), mode="r") for block in rows)
    return Design(blocks, scale, whole.max(axis=0))


def solve(design: Design, leave_out: int | None = None, terms: Sequence[int] = (0, 1, 2)) -> tuple[float, ...]:
    """Return the three constants (J per step, byte, FLOP), none negative; those not among `terms` are 0.

    `leave_out` is the number of a workload that the fit does not see.
    """
    stacked = _stack(design, leave_out)
    found, _ = optimize.nnls(stacked[:, list(terms)], stacked[:, 3])
    values = [0.0] * len(TERMS)
    for place, value in zip(terms, found, strict=True):
        constant = float(value) / float(design.scale[place])
        values[place] = constant if constant * float(design.shares[place]) > _NOTHING else 0.0
    return tuple(values)


def solve_free(design: Design, leave_out: int | None = None) -> tuple[float, ...] | None:
    """Return the three constants of any sign, ``None`` where the windows do not determine them."""
    stacked = _stack(design, leave_out)
    found, _, rank, _ = np.linalg.lstsq(stacked[:, :3], stacked[:, 3], rcond=_RANK)
    if rank < len(TERMS):
        return None
    return tuple(float(value) / float(length) for value, length in zip(found, design.scale, strict=True))


def measure_condition(design: Design) -> tuple[float | None, tuple[int, ...]]:
    """Return the condition number of the scaled design and the constants that its weakest direction mixes.

    ``None`` where the design has no full rank: then no number of windows like these tells those constants apart.
    """
    _, singular, directions = np.linalg.svd(_stack(design, None)[:, :3], full_matrices=False)
    if len(singular) < len(TERMS):
        return None, tuple(range(len(TERMS)))
    mixed = tuple(place for place in range(len(TERMS)) if abs(float(directions[-1, place])) > _PART)
    if singular[-1] <= _RANK * singular[0]:
        return None, mixed
    return float(singular[0] / singular[-1]), mixed


def correlate(observations: Observations) -> float | None:
    """Return the correlation of bytes and FLOPs of a step over windows, ``None`` where either does not vary."""
    num_bytes, flops = observations.num_bytes, observations.flops
    spread = float(num_bytes.std()) * float(flops.std())
    if spread <= 1e-12 * float(num_bytes.mean()) * float(flops.mean()):
        return None
    value = float(((num_bytes - num_bytes.mean()) * (flops - flops.mean())).mean()) / spread
    return max(-1.0, min(1.0, value))


def predict(constants: Sequence[float], rows: Observations, power_limit_w: float | None) -> tuple[Any, Any]:
    """Return the predicted joules of each step, and whether the power limit of its cards over its seconds cut them."""
    joules = constants[0] + constants[1] * rows.num_bytes + constants[2] * rows.flops
    if power_limit_w is None:
        return joules, np.zeros(len(rows), dtype=bool)
    num_gpus = rows.num_gpus()
    limit = np.where(num_gpus > 0, num_gpus * power_limit_w * rows.seconds, np.inf)
    return np.minimum(joules, limit), joules > limit


def rms(values: Any) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _stack(design: Design, leave_out: int | None) -> Any:
    return np.vstack([block for place, block in enumerate(design.blocks) if place != leave_out])
