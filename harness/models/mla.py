"""Multi-head latent attention of DeepSeek-V2 and V3 (arXiv 2405.04434, section 2.1): all keys and values from a latent.

Shape suffixes: B batch, T time, S cached time, D model width, H heads, R latent rank, P plain (not rotated) width of a
query or key, K rotated width, V value width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.model_config import ModelConfig, head_dims
from harness.models.attention import LayerCache
from harness.models.layers import RMSNorm
from harness.models.linear import Linear
from harness.models.rope import apply_rope, softmax_scale


class LatentAttention(nn.Module):
    """Keys and values are linear in a latent of rank R; a small rotated key, shared by all heads, carries the position.

    The cache holds the latent and the rotated key, R + K numbers a token for all heads. A decoded token attends in the
    latent space itself: the up-projections are folded into the query and the output, so no key is ever built.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dims = head_dims(config)
        self.num_heads = config.num_heads
        self.d_plain, self.d_rope, self.d_value, self.rank = dims.d_plain, dims.d_rope, dims.d_value, dims.kv_lora_rank
        self.scale = softmax_scale(config)
        if dims.q_lora_rank:
            self.q_down: nn.Module = Linear(config.d_model, dims.q_lora_rank, bias=False)
            self.q_norm: nn.Module = RMSNorm(dims.q_lora_rank, config.norm_eps)
        else:
            self.q_down, self.q_norm = nn.Identity(), nn.Identity()
        self.q_up = Linear(dims.q_lora_rank or config.d_model, self.num_heads * dims.d_qk, bias=False)
        self.kv_down = Linear(config.d_model, self.rank + self.d_rope, bias=False)
        self.kv_norm = RMSNorm(self.rank, config.norm_eps)
        self.kv_up = Linear(self.rank, self.num_heads * (self.d_plain + self.d_value), bias=False)
        self.out = Linear(self.num_heads * self.d_value, config.d_model, bias=False)

    def forward(self, x_BTD: Tensor, rope: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Attend; `rope` (2, T, K/2) holds the angles of these T positions; returns (B, T, D).

        With a cache, T must be the whole prompt (empty cache) or 1 (one decoded token).
        """
        batch, time, _ = x_BTD.shape
        q = self.q_up(self.q_norm(self.q_down(x_BTD))).view(batch, time, self.num_heads, -1).transpose(1, 2)
        q_plain, q_rope = q.split((self.d_plain, self.d_rope), dim=-1)
        q_rope = apply_rope(q_rope, rope)
        latent_BTR, k_rope = self.kv_down(x_BTD).split((self.rank, self.d_rope), dim=-1)
        latent_BTR = self.kv_norm(latent_BTR)
        k_rope_B1TK = apply_rope(k_rope[:, None], rope)
        if cache is not None:
            latent_B1SR, rope_B1SK, mask = cache.extend(latent_BTR[:, None], k_rope_B1TK)
            if time == 1:
                mixed = self._attend_latent(q_plain, q_rope, latent_B1SR, rope_B1SK, mask)
                return self.out(mixed.transpose(1, 2).reshape(batch, time, -1))
        kv = self.kv_up(latent_BTR).view(batch, time, self.num_heads, -1).transpose(1, 2)
        k_plain, v = kv.split((self.d_plain, self.d_value), dim=-1)
        k = torch.cat((k_plain, k_rope_B1TK.expand(-1, self.num_heads, -1, -1)), dim=-1)
        mixed = F.scaled_dot_product_attention(
            torch.cat((q_plain, q_rope), dim=-1), k, v, is_causal=time > 1, scale=self.scale
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, time, -1))

    def _attend_latent(
        self, q_BHTP: Tensor, q_BHTK: Tensor, latent_B1SR: Tensor, rope_B1SK: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Attend over the cached latents as if each were the one key and value of all heads; returns (B, H, T, V)."""
        up_HXR = self.kv_up.weight.view(self.num_heads, self.d_plain + self.d_value, self.rank)
        key_HPR, value_HVR = up_HXR.split((self.d_plain, self.d_value), dim=1)
        latent_B1SR, rope_B1SK = latent_B1SR.to(q_BHTP.dtype), rope_B1SK.to(q_BHTP.dtype)
        batch, heads, time, _ = q_BHTP.shape
        # one key head: the heads are as good as positions of one head
        q_latent = torch.einsum("bhtp,hpr->bhtr", q_BHTP, key_HPR).reshape(batch, heads * time, self.rank)
        scores = q_latent @ latent_B1SR[:, 0].transpose(1, 2)
        scores = scores + q_BHTK.reshape(batch, heads * time, self.d_rope) @ rope_B1SK[:, 0].transpose(1, 2)
        scores = (scores * self.scale).view(batch, heads, time, -1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = torch.softmax(scores.float(), dim=-1).to(q_BHTP.dtype)
        mixed_BHTR = (weights.reshape(batch, heads * time, -1) @ latent_B1SR[:, 0]).view(batch, heads, time, self.rank)
        return torch.einsum("bhtr,hvr->bhtv", mixed_BHTR, value_HVR)
