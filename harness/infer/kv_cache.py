"""Keys and values of past positions, in buffers of a fixed size.

Shape suffixes: B batch, G key/value heads, S cached positions, K head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.core.config import ModelConfig


class KVCache:
    """The cache of one layer; `length` positions are filled."""

    def __init__(self, config: ModelConfig, batch_size: int, max_length: int, device: torch.device) -> None:
        shape = (batch_size, config.num_kv_heads, max_length, config.d_model // config.num_heads)
        self.k_BGSK = torch.zeros(shape, device=device)
        self.v_BGSK = torch.zeros(shape, device=device)
        self.length = 0

    def extend(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Append T positions; return all keys and values up to now, each (B, G, S, K)."""
        end = self.length + k_BGTK.shape[2]
        self.k_BGSK[:, :, self.length : end] = k_BGTK
        self.v_BGSK[:, :, self.length : end] = v_BGTK
        self.length = end
        return self.k_BGSK[:, :, :end], self.v_BGSK[:, :, :end]

    def rewind(self, length: int) -> None:
        """Forget the positions from `length` on."""
        self.length = length


def build_caches(config: ModelConfig, batch_size: int, max_length: int, device: torch.device) -> list[KVCache]:
    """Return an empty cache for each layer."""
    return [KVCache(config, batch_size, max_length, device) for _ in range(config.num_layers)]
