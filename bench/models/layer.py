"""A sparse layer against a dense one of the same active width and against transformers' block, both passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.models.peers import IMPLEMENTATIONS, build_peer_block
from bench.models.timing import Ratio, fastest, ratio, time_in_turn
from harness.core.model_config import MoEConfig
from harness.models.block import ExpertFeedForward
from harness.models.layers import SwiGLU

NUM_SEQUENCES, LENGTH, D_MODEL, D_FF = 8, 512, 256, 640
SHAPES = {"16 experts, top-2": (16, 2, 320), "64 experts, top-8": (64, 8, 80)}
# Most time against the dense layer, and least speed-up over transformers' block.
BARS = {"16 experts, top-2": (1.15, 1.1), "64 experts, top-8": (1.5, 1.4)}


def measure(rounds: int) -> dict[str, Any]:
    """Return times in seconds and ratios of each shape."""
    torch.manual_seed(0)
    x, slope = torch.randn(NUM_SEQUENCES, LENGTH, D_MODEL), torch.randn(NUM_SEQUENCES, LENGTH, D_MODEL)
    result: dict[str, Any] = {}
    for name, (num_experts, top_k, d_expert) in SHAPES.items():
        arms = {
            "dense": make_step(SwiGLU(D_MODEL, D_FF), x, slope),
            "ours": make_step(build_layer(num_experts, top_k, D_MODEL, d_expert), x, slope),
        }
        for implementation in IMPLEMENTATIONS[:2]:  # the third copies weights for every token: 40 GB at these shapes
            block = build_peer_block(num_experts, top_k, D_MODEL, d_expert, implementation)
            arms[f"transformers {implementation}"] = make_step(block, x, slope)
        times = time_in_turn(arms, rounds)
        best = fastest(times, "transformers")
        result[name] = {
            "median_s": {arm: sorted(values)[len(values) // 2] for arm, values in times.items()},
            "to_dense": ratio(times["ours"], times["dense"]),
            "to_dense_one_thread": _compare_on_one_thread(arms, rounds),
            "peer": best,
            "speedup": ratio(times[best], times["ours"]),
            "peer_to_dense": ratio(times[best], times["dense"]),
        }
    return result


def _compare_on_one_thread(arms: dict[str, Callable[[], None]], rounds: int) -> Ratio:
    """Return our layer's time to the dense one's on one thread, where no rows change hands between processors."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = time_in_turn({arm: arms[arm] for arm in ("dense", "ours")}, rounds)
    finally:
        torch.set_num_threads(num_threads)
    return ratio(times["ours"], times["dense"])


def build_layer(num_experts: int, top_k: int, d_model: int, d_expert: int) -> ExpertFeedForward:
    """Return our router and experts with random weights."""
    config = MoEConfig(
        d_model=d_model,
        num_experts=num_experts,
        top_k=top_k,
        d_expert=d_expert,
        num_shared_experts=0,
        router="mixtral",
        balance_loss_weight=0.0,  # the peer's block computes none
    )
    layer = ExpertFeedForward(config)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0.0, 0.06)
    return layer


def make_step(layer: torch.nn.Module, x: torch.Tensor, slope: torch.Tensor) -> Callable[[], None]:
    """Return one forward and backward pass through `layer`."""

    def run() -> None:
        layer.zero_grad()
        inputs = x.clone().requires_grad_()
        y = layer(inputs)
        (y[0] if isinstance(y, tuple) else y).backward(slope)

    return run
