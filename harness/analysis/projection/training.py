"""Training compute from architecture and tokens, and GPU-hours and energy from an assumed MFU."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.projection.hardware import Card
from harness.flops.formulas import TRAIN_FACTOR
from harness.flops.published.count import count_causal_flops, count_forward_flops, count_model
from harness.flops.published.shape import Shape

_SECONDS_PER_HOUR = 3600
_JOULES_PER_MWH = 3.6e9


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
