"""Training tokens per second against transformers' models of the same dimensions, in the same loop.

Both sides run as they come and through ``torch.compile``; the best arm of each side counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from bench.models.peers import build_ours, build_peer, make_dense, make_sparse
from bench.models.timing import fastest, ratio, time_in_turn
from harness.core.model_config import ModelConfig, MoEConfig
from harness.models.transformer import Transformer
from harness.train.loss import training_loss

# Name: model width, layers, feed-forward width, heads, width of one of 16 experts (top-2), sequences, length.
SIZES = {"d 80": (80, 4, 240, 4, 120, 8, 128), "d 256": (256, 4, 640, 8, 320, 8, 256)}
VOCAB = 1024
BARS = {"dense": 1.1, "sparse": 1.2}


def measure(rounds: int) -> dict[str, Any]:
    """Return tokens per second and speed-ups of both families at each size."""
    result: dict[str, Any] = {}
    for size, (d_model, num_layers, d_ff, num_heads, d_expert, batch, length) in SIZES.items():
        tokens = torch.randint(0, VOCAB, (batch, length + 1), generator=torch.Generator().manual_seed(0))
        dense = make_dense(d_model, num_layers, d_ff, VOCAB, num_heads)
        for family, config in (("dense", dense), ("sparse", make_sparse(dense, 16, 2, d_expert))):
            eager = _build_arms(config, tokens)
            arms = eager | {f"{arm} compiled": step for arm, step in _build_arms(config, tokens, compiled=True).items()}
            times = time_in_turn(arms, rounds)
            mine, best = fastest(times, "ours"), fastest(times, "transformers")
            best_eager = fastest({arm: times[arm] for arm in eager}, "transformers")
            result[f"{family}, {size}"] = {
                "tokens_per_s": {arm: batch * length / sorted(ts)[len(ts) // 2] for arm, ts in times.items()},
                "ours": mine,
                "peer": best,
                "speedup": ratio(times[best], times[mine]),
                "speedup_as_they_come": ratio(times[best_eager], times["ours"]),
            }
    return result


def _build_arms(config: ModelConfig, tokens: Tensor, *, compiled: bool = False) -> dict[str, Callable[[], None]]:
    """Return a training step of our model and of transformers', by name, each with weights of its own.

    Of transformers' experts only the implementation that is the faster one as it comes is compiled: grouped products.
    """
    routed = isinstance(config, MoEConfig)
    ours = build_ours(config).train()
    losses = {"ours": (ours, _our_loss(ours))}
    for kind in ("grouped_mm", "eager") if routed and not compiled else ("grouped_mm",):
        peer = build_peer(config, kind).train()
        losses[f"transformers {kind}" if routed else "transformers"] = (peer, peer_loss(peer, config))
    return {
        arm: make_step(model, torch.compile(loss) if compiled else loss, tokens)
        for arm, (model, loss) in losses.items()
    }


def _our_loss(model: Transformer) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda inputs, targets: training_loss(model(inputs), targets, model.config)[1]


def peer_loss(peer: Any, config: ModelConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """Return transformers' loss with its own balance loss (its training switch adds it in the same way)."""
    routed = isinstance(config, MoEConfig)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        output = peer(inputs, use_cache=False, **({"output_router_logits": True} if routed else {}))
        total = F.cross_entropy(output.logits.flatten(0, 1).float(), targets.flatten())
        if isinstance(config, MoEConfig):
            total = total + 0.01 * load_balancing_loss_func(output.router_logits, config.num_experts, config.top_k)
        return total

    return loss


def make_step(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    tokens: Tensor,
    optimizer: torch.optim.Optimizer | None = None,
) -> Callable[[], None]:
    """Return one training step on `tokens` (sequences, length + 1), with an optimiser of its own if none is given."""
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(tokens[:, :-1], tokens[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return run
