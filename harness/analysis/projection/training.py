"""Training compute from architecture and tokens, and GPU-hours and energy from an assumed MFU."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.hardware import Card
from harness.analysis.projection.load import Load
from harness.flops.formulas import TRAIN_FACTOR
from harness.flops.published.count import count_causal_flops, count_forward_flops, count_model
from harness.flops.published.shape import Shape

_SECONDS_PER_HOUR = 3600
_JOULES_PER_MWH = 3.6e9


DEFAULT_TRAIN_CONTEXT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Tokens of both trainings and the length of their sequences."""

    dense_tokens: float
    moe_tokens: float
    dense_context: int = DEFAULT_TRAIN_CONTEXT
    moe_context: int = DEFAULT_TRAIN_CONTEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One projected pre-training run of one model.

    `flops` take attention in full, `flops_causal` halve it, `six_n_d` is 6 x active parameters x tokens without it.
    `gpu_hours` follow from `flops`; `power_limit_mwh` is every card at its power limit: an upper estimate.
    """

    tokens: float
    context: int
    flops: float
    flops_causal: float
    six_n_d: float
    mfu: float
    gpu_hours: float
    power_limit_mwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingComparison:
    """Both trainings and their ratios, sparse-expert over dense; MFUs are assumptions."""

    dense: Training
    moe: Training
    flops_ratio: float
    flops_causal_ratio: float
    six_n_d_ratio: float
    gpu_hours_ratio: float


def estimate_training(shape: Shape, card: Card, *, tokens: float, context: int, mfu: float) -> Training:
    """Return the projected training of a model on `tokens` tokens in sequences of `context`.

    The backward pass is twice the forward pass; modules that predict further tokens, failed runs, ablations and
    post-training are left out. MFU is of the BF16 peak.
    """
    flops = TRAIN_FACTOR * tokens * count_forward_flops(shape, context)
    gpu_seconds = flops / (card.bf16_flops_per_s.value * mfu)
    return Training(
        tokens=tokens,
        context=context,
        flops=flops,
        flops_causal=TRAIN_FACTOR * tokens * count_causal_flops(shape, context),
        six_n_d=6 * tokens * count_model(shape).active_params,
        mfu=mfu,
        gpu_hours=gpu_seconds / _SECONDS_PER_HOUR,
        power_limit_mwh=gpu_seconds * card.power_limit_w.value / _JOULES_PER_MWH,
    )


def compare_training(
    dense_load: Load, moe_load: Load, card: Card, assumptions: Assumptions, plan: TrainingPlan
) -> TrainingComparison:
    """Return both trainings on one card and their ratios; a model with routed experts has its own assumed MFU."""
    dense = estimate_training(
        dense_load.shape,
        card,
        tokens=plan.dense_tokens,
        context=plan.dense_context,
        mfu=_train_mfu(dense_load, assumptions),
    )
    moe = estimate_training(
        moe_load.shape,
        card,
        tokens=plan.moe_tokens,
        context=plan.moe_context,
        mfu=_train_mfu(moe_load, assumptions),
    )
    ratios = {
        f"{name}_ratio": getattr(moe, name) / getattr(dense, name)
        for name in (field.name for field in dataclasses.fields(dense))
        if name in ("flops", "flops_causal", "six_n_d", "gpu_hours")
    }
    return TrainingComparison(dense=dense, moe=moe, **ratios)


def _train_mfu(load: Load, assumptions: Assumptions) -> float:
    return assumptions.moe_train_mfu if load.routed else assumptions.dense_train_mfu
