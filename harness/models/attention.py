"""Attention by name: what every kind offers to a block, and grouped-query attention.

Shape suffixes: B batch, T time, S cached time, D model width, H query heads, G key/value heads, Q query heads of one
key/value head, K head width.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.model_config import ModelConfig, head_dims
from harness.core.registry import Registry
from harness.models.fused import rotated_heads
from harness.models.layers import RMSNorm
from harness.models.linear import Linear
from harness.models.rope import apply_rope, softmax_scale


class LayerCache(Protocol):
    """What one layer keeps of past positions: two tensors, (B, G, S, width) each."""

    def extend(self, first_BGTK: Tensor, second_BGTK: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Append T positions; return both tensors up to now and which of their positions count.

        The mask, (1, 1, T, S) and boolean, is ``None`` where all of them count (a buffer of fixed shape has more).
        """


class GroupedQueryAttention(nn.Module):
    """Causal self-attention in which groups of query heads share one key/value head (Ainslie et al., 2023)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.d_head = head_dims(config).d_qk
        num_rows = (self.num_heads + 2 * self.num_kv_heads) * self.d_head
        self.qkv = Linear(config.d_model, num_rows, bias=config.qkv_bias)
        self.out = Linear(self.num_heads * self.d_head, config.d_model, bias=False)
        self.scale = softmax_scale(config)
        self.normed = config.qk_norm
        self.norm_per_head = config.qk_norm_width == "head"
        self.q_norm = self._build_norm(config, self.num_heads)
        self.k_norm = self._build_norm(config, self.num_kv_heads)

    def forward(self, x_BTD: Tensor, rope: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Attend; `rope` (2, T, K/2) holds the angles of these T positions; returns (B, T, D).

        With a cache, T must be the whole prompt (empty cache) or 1 (one decoded token).
        """
        batch, time, _ = x_BTD.shape
        qkv = self.qkv(x_BTD)
        if self.normed:
            q, k, v = self._norm_heads(qkv.view(batch, time, -1, self.d_head))
            q, k = apply_rope(q, rope), apply_rope(k, rope)
        else:
            q, k, v = rotated_heads(qkv.view(batch, time, -1, self.d_head), rope, self.num_heads, self.num_kv_heads)
        mask = None
        if cache is not None:
            k, v, mask = cache.extend(k, v)
        k, v = k.to(q.dtype), v.to(q.dtype)
        if mask is not None and not q.is_cuda and torch.compiler.is_compiling():
            mixed = attend_in_sums(q, k, v, mask, self.scale)
        else:
            mixed = F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=mask,
                is_causal=time > 1 and mask is None,
                scale=self.scale,
                enable_gqa=self.num_heads != self.num_kv_heads,
            )
        return self.out(mixed.transpose(1, 2).reshape(batch, time, self.num_heads * self.d_head))

    def _norm_heads(self, qkv_BTHK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalised queries and keys, and values, (B, heads, T, K) each."""
        q, k, v = qkv_BTHK.split((self.num_heads, self.num_kv_heads, self.num_kv_heads), dim=2)
        if self.norm_per_head:
            q, k = self.q_norm(q), self.k_norm(k)
        else:
            q, k = (norm(part.flatten(2)).view_as(part) for norm, part in ((self.q_norm, q), (self.k_norm, k)))
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def _build_norm(self, config: ModelConfig, num_heads: int) -> nn.Module:
        if not config.qk_norm:
            return nn.Identity()
        return RMSNorm(self.d_head * (1 if self.norm_per_head else num_heads), config.norm_eps)


def attend_in_sums(q_BH1K: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask_111S: Tensor, scale: float) -> Tensor:
    """Return what attention gives one position, (B, H, 1, K), written for a compiler, which makes a few loops of it.

    Slow where nothing compiles it: the products are then kept before they are added up.
    """
    q_BGQ1K = q_BH1K.unflatten(1, (k_BGSK.shape[1], -1))
    scores_BGQS = (q_BGQ1K * k_BGSK[:, :, None]).sum(-1, dtype=torch.float32) * scale
    weights = torch.softmax(scores_BGQS.masked_fill(~mask_111S, float("-inf")), dim=-1)
    mixed_BGQK = (weights[..., None] * v_BGSK[:, :, None]).sum(-2)
    return mixed_BGQK.flatten(1, 2)[:, :, None].to(q_BH1K.dtype)


ATTENTIONS = Registry(
    "attention",
    {
        "gqa": "harness.models.attention:GroupedQueryAttention",
        "mla": "harness.models.mla:LatentAttention",
    },
)
