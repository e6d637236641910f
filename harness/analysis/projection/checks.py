"""The projection beside what others measured of the same pair on the same card: how far the model is off."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harness.analysis.projection.comparison import Comparison, estimate_steps
from harness.analysis.projection.hardware import load_card
from harness.analysis.projection.pairs import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCheck:
    """One batch that others measured; ratios are sparse-expert over dense, joules are per token."""

    batch: int
    context: int
    measured_ratio: float
    projected_ratio: float
    measured_dense_joules: float
    projected_dense_joules: float
    measured_moe_joules: float
    projected_moe_joules: float


def check_against_public(setup: Comparison, pair: Pair | None) -> tuple[PublicCheck, ...]:
    """Return the pair's public measurements on this card, each with the projection of the same batch."""
    if pair is None or pair.measurements is None:
        return ()
    there = dataclasses.replace(setup, context=pair.measurements.context)
    checks = []
    for point in pair.measurements.points:
        if load_card(point.hardware).name != setup.card.name:
            continue
        dense, moe = estimate_steps(there, point.batch)
        checks.append(
            PublicCheck(
                batch=point.batch,
                context=there.context,
                measured_ratio=point.moe_j_per_token / point.dense_j_per_token,
                projected_ratio=moe.joules / dense.joules,
                measured_dense_joules=point.dense_j_per_token,
                projected_dense_joules=dense.joules_per_token,
                measured_moe_joules=point.moe_j_per_token,
                projected_moe_joules=moe.joules_per_token,
            )
        )
    return tuple(checks)
