"""Training tokens per second against transformers' models of the same dimensions, in the same loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.peers import build_ours, build_peer, make_dense, make_sparse
from bench.models.timing import ratio, time_in_turn
from harness.core.config import MoEConfig
from harness.train.loop import training_loss

BATCH, LENGTH, VOCAB = 8, 256, 1024
BARS = {"dense": 1.1, "sparse": 1.2}


def measure(rounds: int) -> dict[str, Any]:
    """Return tokens per second and speed-ups of both families."""
    torch.manual_seed(0)
    tokens = torch.randint(0, VOCAB, (BATCH, LENGTH + 1))
    dense = make_dense(256, 4, 640, VOCAB)
    result: dict[str, Any] = {}
    for family, config in (("dense", dense), ("sparse", make_sparse(dense, 16, 2, 320))):
        ours = build_ours(config).train()
        arms = {
            "ours": _step(ours, lambda inputs, targets, m=ours: training_loss(m(inputs), targets, m.config)[1], tokens)
        }
        implementations = ("grouped_mm", "eager") if isinstance(config, MoEConfig) else ("",)
        for implementation in implementations:
            peer = build_peer(config, implementation or "grouped_mm").train()
            arms[f"transformers {implementation}".strip()] = _step(peer, _peer_loss(peer, config), tokens)
        times = time_in_turn(arms, rounds)
        best = min((arm for arm in arms if arm != "ours"), key=lambda arm: sum(times[arm]))
        result[family] = {
            "tokens_per_s": {arm: BATCH * LENGTH / sorted(values)[len(values) // 2] for arm, values in times.items()},
            "peer": best,
            "speedup": ratio(times[best], times["ours"]),
        }
    return result


def _peer_loss(peer: Any, config: Any) -> Callable[[Tensor, Tensor], Tensor]:
    routed = isinstance(config, MoEConfig)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        output = peer(inputs, use_cache=False, **({"output_router_logits": True} if routed else {}))
        total = F.cross_entropy(output.logits.flatten(0, 1).float(), targets.flatten())
        if routed:
            from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

            auxiliary = load_balancing_loss_func(output.router_logits, config.num_experts, config.top_k)
            total = total + 0.01 * auxiliary
        return total

    return loss


def _step(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], tokens: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(tokens[:, :-1], tokens[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return run
