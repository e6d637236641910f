"""One readable pre-norm decoder for both families; only the feed-forward part differs.

Shape suffixes: B batch, T time, D model width, V vocabulary, L expert layers, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.config import ModelConfig, MoEConfig
from harness.models.attention import GroupedQueryAttention, LayerCache
from harness.models.experts import RoutedExperts
from harness.models.layers import RMSNorm, SwiGLU, rope_table
from harness.models.router import ROUTERS, Routing


@dataclass(frozen=True, slots=True)
class Output:
    """`logits_BTV`, the summed balance loss (0 for dense), and tokens per expert of each expert layer."""

    logits_BTV: Tensor
    balance_loss: Tensor | None
    loads: tuple[Tensor, ...]


class DenseFeedForward(nn.Module):
    """A SwiGLU with the interface of `ExpertFeedForward`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ffn = SwiGLU(config.d_model, config.d_ff)

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Routing | None]:
        """Return (B, T, D) and no routing."""
        return self.ffn(x_BTD), None


class ExpertFeedForward(nn.Module):
    """Routed experts plus always-on shared experts (DeepSeekMoE, arXiv 2401.06066)."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.router = ROUTERS.get(config.router)(config)
        self.experts = RoutedExperts(config)
        shared_width = config.num_shared_experts * config.d_expert
        self.shared = SwiGLU(config.d_model, shared_width) if shared_width else None

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Routing | None]:
        """Return (B, T, D) and the routing decision."""
        batch, time, width = x_BTD.shape
        x_ND = x_BTD.reshape(batch * time, width)
        routing = self.router(x_ND, time)
        y_BTD = self.experts(x_ND, routing).view(batch, time, width)
        return (y_BTD if self.shared is None else y_BTD + self.shared(x_BTD)), routing


class Block(nn.Module):
    """Pre-norm residual block: attention, then the feed-forward part."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = GroupedQueryAttention(config)
        self.ffn_norm = RMSNorm(config.d_model, config.norm_eps)
        sparse = isinstance(config, MoEConfig) and layer >= config.num_dense_layers
        self.feed_forward = ExpertFeedForward(config) if sparse else DenseFeedForward(config)

    def forward(self, x_BTD: Tensor, rope: Tensor, cache: LayerCache | None) -> tuple[Tensor, Routing | None]:
        """Return the new residual stream and the routing of this layer."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), rope, cache)
        y_BTD, routing = self.feed_forward(self.ffn_norm(x_BTD))
        return x_BTD + y_BTD, routing


class Transformer(nn.Module):
    """A decoder language model; `config.vocab_size` must be set."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.head = None if config.tie_embeddings else nn.Linear(config.d_model, config.vocab_size, bias=False)
        self._rope: Tensor | None = None

    def forward(
        self,
        tokens_BT: Tensor,
        caches: Sequence[LayerCache] | None = None,
        position: int = 0,
        *,
        last_only: bool = False,
    ) -> Output:
        """Predict the next token at each of T positions that start at `position`; `last_only` keeps the last logits."""
        rope = self._rope_slice(position, tokens_BT.shape[1], tokens_BT.device)
        x_BTD = self.embedding(tokens_BT)
        balance_loss: Tensor | None = None
        loads: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            x_BTD, routing = block(x_BTD, rope, caches[layer] if caches is not None else None)
            if routing is not None:
                balance_loss = routing.balance_loss if balance_loss is None else balance_loss + routing.balance_loss
                loads.append(routing.load_E)
        x_BTD = self.norm(x_BTD[:, -1:] if last_only else x_BTD)
        weight = self.embedding.weight if self.head is None else self.head.weight
        return Output(F.linear(x_BTD, weight), balance_loss, tuple(loads))

    def update_router_bias(self, loads: Sequence[Tensor]) -> None:
        """Move the routers' biases after an optimiser step; does nothing for a dense model."""
        if not isinstance(self.config, MoEConfig):
            return
        routers = [b.feed_forward.router for b in self.blocks if isinstance(b.feed_forward, ExpertFeedForward)]
        for router, load in zip(routers, loads, strict=True):
            router.update_bias(load, self.config.bias_update_rate)

    def _rope_slice(self, position: int, time: int, device: torch.device) -> Tensor:
        end = position + time
        if self._rope is None or self._rope.shape[1] < end or self._rope.device != device:
            d_head = self.config.d_model // self.config.num_heads
            length = max(256, 1 << (end - 1).bit_length())
            with torch.inference_mode(False):  # the table outlives this call and may serve a training step later
                self._rope = rope_table(d_head, length, self.config.rope_theta, device)
        return self._rope[:, position:end]
