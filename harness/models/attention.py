"""Grouped-query attention with rotary positions, optional QK-norm and a KV cache.

Shape suffixes: B batch, T time, S cached time, D model width, H query heads, G key/value heads, K head width.
"""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.config import ModelConfig
from harness.models.layers import RMSNorm, apply_rope


class LayerCache(Protocol):
    """Keys and values of one layer: takes the new ones, returns all up to now."""

    def extend(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Append and return keys and values, each (B, G, S, K)."""


class GroupedQueryAttention(nn.Module):
    """Causal self-attention in which groups of query heads share one key/value head (Ainslie et al., 2023)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.d_head = config.d_model // config.num_heads
        self.qkv = nn.Linear(config.d_model, (self.num_heads + 2 * self.num_kv_heads) * self.d_head, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)
        self.q_norm = RMSNorm(self.d_head, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.d_head, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(self, x_BTD: Tensor, rope: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Attend; `rope` (2, T, K/2) holds the angles of these T positions; returns (B, T, D).

        With a cache, T must be the whole prompt (empty cache) or 1 (one decoded token).
        """
        batch, time, _ = x_BTD.shape
        heads = self.qkv(x_BTD).view(batch, time, self.num_heads + 2 * self.num_kv_heads, self.d_head).transpose(1, 2)
        q, k, v = heads.split((self.num_heads, self.num_kv_heads, self.num_kv_heads), dim=1)
        q = apply_rope(self.q_norm(q), rope)
        k = apply_rope(self.k_norm(k), rope)
        if cache is not None:
            k, v = cache.extend(k, v)
        mixed = F.scaled_dot_product_attention(
            q, k, v.to(q.dtype), is_causal=time > 1, enable_gqa=self.num_heads != self.num_kv_heads
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, time, self.num_heads * self.d_head))
