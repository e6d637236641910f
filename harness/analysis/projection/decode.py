"""Energy of one decode step: a cost for the step, for each byte and for each FLOP, under the card's power limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.analysis.projection.assumptions import LAUNCH_S, Assumptions
from harness.analysis.projection.constants import DecodeConstants
from harness.analysis.projection.hardware import Card
from harness.analysis.projection.load import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeStep:
    """One projected decode step of a whole batch, over all its cards.

    `coverage` is the share of routed experts' weights that are read, ``None`` for a dense model. `capped` says that the
    power limit held the energy down from `uncapped_joules`.
    """

    batch: int
    context: int
    num_gpus: int
    coverage: float | None
    weight_bytes: float
    cache_bytes: int
    flops: int
    seconds: float
    watts_per_gpu: float
    uncapped_joules: float
    joules: float
    joules_per_token: float
    capped: bool


def count_gpus(load: Load, card: Card, assumptions: Assumptions, batch: int, context: int) -> int:
    """Return how many cards hold the weights and the cache of the batch."""
    needed = load.stored_bytes + batch * load.count_cache_bytes(context)
    return math.ceil(needed / (card.memory_bytes.value * assumptions.usable_memory))


def estimate_decode_step(
    load: Load, card: Card, constants: DecodeConstants, assumptions: Assumptions, *, batch: int, context: int
) -> DecodeStep:
    """Return the projected step of `batch` sequences that each attend over `context` positions.

    With several cards, bytes and FLOPs are split evenly, the cost of a step is paid on each, and communication is not
    modelled. Source of the form and of the constants: a fit to public measurements of dense models (see the card).
    """
    num_gpus = count_gpus(load, card, assumptions, batch, context)
    weight_bytes = load.count_weight_bytes(batch, assumptions.routing_correlation)
    cache_bytes = batch * load.count_cache_bytes(context)
    num_bytes = weight_bytes + cache_bytes
    flops = batch * load.count_decode_flops(context)
    overhead = assumptions.expert_overhead if load.routed else 1.0
    work = overhead * (constants.j_per_byte * num_bytes + constants.j_per_flop * flops)
    uncapped = num_gpus * constants.j_per_step + work
    seconds = _estimate_seconds(load, card, assumptions, overhead * num_bytes / num_gpus, overhead * flops / num_gpus)
    limit = num_gpus * card.power_limit_w.value * seconds
    joules = min(uncapped, limit)
    return DecodeStep(
        batch=batch,
        context=context,
        num_gpus=num_gpus,
        coverage=load.coverage(batch, assumptions.routing_correlation),
        weight_bytes=weight_bytes,
        cache_bytes=cache_bytes,
        flops=flops,
        seconds=seconds,
        watts_per_gpu=joules / seconds / num_gpus,
        uncapped_joules=uncapped,
        joules=joules,
        joules_per_token=joules / batch,
        capped=uncapped > limit,
    )


def _estimate_seconds(load: Load, card: Card, assumptions: Assumptions, num_bytes: float, flops: float) -> float:
    """Return the step's time on one card from its share of bytes and FLOPs."""
    memory = num_bytes / (card.bandwidth_bytes_per_s.value * assumptions.bandwidth_efficiency)
    compute = flops / (card.peak_flops_per_s(fp8=load.is_fp8) * assumptions.flops_efficiency)
    launch = assumptions.launch_s
    if launch is None:
        launch = card.launch_s.value or LAUNCH_S
    hidden = assumptions.time_overlap * min(memory, compute)
    return memory + compute - hidden + launch
