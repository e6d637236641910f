"""Energy of prefill: a prompt at full throughput, at the power limit; decode's constants would not hold there."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.hardware import Card
from harness.analysis.projection.load import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill:
    """One projected prompt; `gpu_seconds` add up over its cards."""

    num_tokens: int
    flops: float
    weight_bytes: float
    gpu_seconds: float
    joules: float


def estimate_prefill(load: Load, card: Card, assumptions: Assumptions, num_tokens: int) -> Prefill:
    """Return the projected prefill of one prompt: an upper estimate, since it is taken to draw the whole power limit.

    Its time is the longer of FLOPs at `prefill_mfu` of the peak and the weights read once; experts are covered by the
    prompt's tokens. The decode fit's energy per FLOP is not used: at this rate it would exceed the card's power.
    """
    flops = load.count_prompt_flops(num_tokens)
    weight_bytes = load.count_weight_bytes(num_tokens, assumptions.routing_correlation)
    compute = flops / (card.peak_flops_per_s(fp8=load.is_fp8) * assumptions.prefill_mfu)
    memory = weight_bytes / (card.bandwidth_bytes_per_s.value * assumptions.bandwidth_efficiency)
    overhead = assumptions.expert_overhead if load.routed else 1.0
    gpu_seconds = overhead * max(compute, memory)
    return Prefill(
        num_tokens=num_tokens,
        flops=flops,
        weight_bytes=weight_bytes,
        gpu_seconds=gpu_seconds,
        joules=card.power_limit_w.value * gpu_seconds,
    )
