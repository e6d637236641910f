"""One layer of the decoder: attention, then a feed-forward part that is dense or made of experts.

Shape suffixes: B batch, T time, N = B * T tokens, D model width.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.core.model_config import ModelConfig, MoEConfig
from harness.models.attention import ATTENTIONS, LayerCache
from harness.models.experts import RoutedExperts
from harness.models.layers import RMSNorm, SwiGLU
from harness.models.router import ROUTERS, Routing


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
    """Pre-norm residual block: attention, then the feed-forward part, `sparse` or dense."""

    def __init__(self, config: ModelConfig, *, sparse: bool) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attention = ATTENTIONS.get(config.attention)(config)
        self.ffn_norm = RMSNorm(config.d_model, config.norm_eps)
        is_expert = sparse and isinstance(config, MoEConfig)
        self.feed_forward = ExpertFeedForward(config) if is_expert else DenseFeedForward(config)

    def forward(self, x_BTD: Tensor, rope: Tensor, cache: LayerCache | None) -> tuple[Tensor, Routing | None]:
        """Return the new residual stream and the routing of this layer."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), rope, cache)
        y_BTD, routing = self.feed_forward(self.ffn_norm(x_BTD))
        return x_BTD + y_BTD, routing
