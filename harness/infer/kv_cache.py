"""What each layer keeps of past positions, in buffers of a fixed size: keys and values, or latents and rotated keys.

Shape suffixes: B batch, G key/value heads, S cached positions, K width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.core.model_config import ModelConfig, head_dims


class KVCache:
    """The cache of one layer; `length` positions are filled.

    While `position` is set (a tensor on the device, for a recorded graph) one token is written there, and the whole
    buffer is returned with a mask: every shape is then the same at every step.
    """

    def __init__(
        self, config: ModelConfig, batch_size: int, max_length: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.buffers = tuple(
            torch.zeros(batch_size, heads, max_length, width, device=device, dtype=dtype)
            for heads, width in cache_shapes(config)
        )
        self.length = 0
        self.position: Tensor | None = None
        self._places = torch.arange(max_length, device=device)

    def extend(self, first_BGTK: Tensor, second_BGTK: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Append T positions; return both tensors up to now, (B, G, S, K) each, and which positions count."""
        first, second = self.buffers
        if self.position is not None:
            first.index_copy_(2, self.position, first_BGTK.to(first.dtype))
            second.index_copy_(2, self.position, second_BGTK.to(second.dtype))
            return first, second, (self._places <= self.position)[None, None, None]
        time = first_BGTK.shape[2]
        first.narrow(2, self.length, time).copy_(first_BGTK)
        second.narrow(2, self.length, time).copy_(second_BGTK)
        self.length += time
        return first.narrow(2, 0, self.length), second.narrow(2, 0, self.length), None

    def rewind(self, length: int) -> None:
        """Forget the positions from `length` on."""
        self.length = length

    @property
    def num_bytes(self) -> int:
        """Return the size of the buffers."""
        return sum(buffer.numel() * buffer.element_size() for buffer in self.buffers)


def cache_shapes(config: ModelConfig) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (heads, width) of the two tensors that a layer keeps for each position."""
    dims = head_dims(config)
    if config.attention == "mla":
        return (1, dims.kv_lora_rank), (1, dims.d_rope)
    return (config.num_kv_heads, dims.d_qk), (config.num_kv_heads, dims.d_value)


def count_kv_numbers_per_token(config: ModelConfig) -> int:
    """Return how many numbers one position takes in the caches of all layers."""
    return config.num_layers * sum(heads * width for heads, width in cache_shapes(config))


def build_caches(
    config: ModelConfig, batch_size: int, max_length: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> list[KVCache]:
    """Return an empty cache for each layer."""
    return [KVCache(config, batch_size, max_length, device, dtype) for _ in range(config.num_layers)]
