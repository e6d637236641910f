"""What a projection assumes beside the models and the card; each default with its reason."""

from __future__ import annotations

from dataclasses import dataclass

LAUNCH_S = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Assumptions that a user can change; `SOURCES` says where each default comes from.

    `routing_correlation` is the share of further tokens that bring no choice of experts of their own (0: uniform and
    independent); `expert_overhead` multiplies time and energy of bytes and FLOPs of a model that has routed experts;
    `launch_s` is the time of a decode step beside its bytes and FLOPs, ``None`` for the card's own (or `LAUNCH_S`);
    `time_overlap` is the share of the shorter of memory and compute time that hides behind the longer (1: roofline).
    """

    bandwidth_efficiency: float = 0.75
    flops_efficiency: float = 0.55
    time_overlap: float = 0.0
    launch_s: float | None = None
    usable_memory: float = 0.9
    routing_correlation: float = 0.0
    expert_overhead: float = 1.0
    prefill_mfu: float = 0.5
    dense_train_mfu: float = 0.37
    moe_train_mfu: float = 0.26


_LATENCIES = (
    "chosen to agree with inter-token latencies of Qwen3-14B on one H100 (ML.ENERGY leaderboard, chat: 12.5 to 38.4 ms"
    " at batch 8 to 256)"
)
SOURCES: dict[str, str] = {
    "bandwidth_efficiency": f"of the peak bandwidth; {_LATENCIES}",
    "flops_efficiency": f"of the peak rate in a decode step; {_LATENCIES}",
    "time_overlap": f"memory and compute time add up; 1 is the ideal roofline; {_LATENCIES}",
    "launch_s": "the card's own where its file gives one, else 1 ms",
    "usable_memory": "share of a card's memory for weights and cache; the default of vLLM",
    "routing_correlation": "tokens choose experts uniformly and independently: the most distinct experts there can be",
    "expert_overhead": "products of experts run as well as dense ones: the sensitivity table shows when they do not",
    "prefill_mfu": "assumed; prefill runs at the power limit, so its energy is an upper estimate",
    "dense_train_mfu": (
        "Llama 3.1 405B: architecture FLOPs (full attention, context 8192) over its published 30.84M H100-hours at the"
        " BF16 peak"
    ),
    "moe_train_mfu": "0.7 of the dense one: published pairs reach 0.63 to 0.76 (OLMoE, nanochat)",
}
