"""A dense and a sparse-expert model on one card: everything that a ratio depends on, in one immutable value."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.constants import DecodeConstants
from harness.analysis.projection.decode import DecodeStep, estimate_decode_step
from harness.analysis.projection.hardware import Card
from harness.analysis.projection.load import Load, build_load
from harness.flops.published.shape import Shape

_SAME_PRECISION = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both models' loads with the card, its constants and the assumptions; `context` is that of the decode steps."""

    dense: Load
    moe: Load
    card: Card
    constants: DecodeConstants
    assumptions: Assumptions
    context: int


def build_comparison(
    dense: Shape,
    moe: Shape,
    *,
    card: Card,
    constants: DecodeConstants,
    assumptions: Assumptions,
    context: int,
    dtype: str | None = None,
    kv_dtype: str | None = None,
) -> Comparison:
    """Return the comparison of two models; `dtype` and `kv_dtype` override both configs' data types."""
    return Comparison(
        dense=build_load(dense, dtype=dtype, kv_dtype=kv_dtype),
        moe=build_load(moe, dtype=dtype, kv_dtype=kv_dtype),
        card=card,
        constants=constants,
        assumptions=assumptions,
        context=context,
    )


def differs_in_precision(setup: Comparison) -> bool:
    """Return whether a parameter takes clearly more bytes in one model than in the other (fp8 against bf16)."""
    dense, moe = (load.stored_bytes / load.num_params for load in (setup.dense, setup.moe))
    return not math.isclose(dense, moe, rel_tol=_SAME_PRECISION)


def with_weights(setup: Comparison, dtype: str) -> Comparison:
    """Return the comparison with both models' weights in `dtype`, their caches as they were."""
    dense, moe = (build_load(load.shape, dtype=dtype, kv_dtype=load.cache_dtype) for load in (setup.dense, setup.moe))
    return dataclasses.replace(setup, dense=dense, moe=moe)


def estimate_steps(setup: Comparison, batch: int, context: int | None = None) -> tuple[DecodeStep, DecodeStep]:
    """Return the dense and the sparse-expert step at one batch; `context` replaces the comparison's."""
    attended = setup.context if context is None else context
    dense, moe = (
        estimate_decode_step(load, setup.card, setup.constants, setup.assumptions, batch=batch, context=attended)
        for load in (setup.dense, setup.moe)
    )
    return dense, moe


def estimate_ratio(setup: Comparison, batch: int) -> float:
    """Return joules per decoded token, sparse-expert over dense."""
    dense, moe = estimate_steps(setup, batch)
    return moe.joules / dense.joules
