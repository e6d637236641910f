"""Weights in the layout that oneDNN's own products want, made once for decoding on a CPU.

A product with few rows spends its time on reading the weight; torch's own packs or strides through it at every call,
the packed copy is read once and in order (LOG.md has figures). The original stays where it is, for training, prompts
and everything else, so a packed model takes the memory of its large weights twice.

Shape suffixes: M rows, K inputs, N outputs.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Weights that fit a core's cache gain nothing; products of fewer rows are padded to what the kernel does at once.
SMALL_WEIGHT = 1 << 19
KERNEL_ROWS = 4
FEW_ROWS = 32


@functools.cache
def has_onednn() -> bool:
    """Return whether torch has oneDNN's linear products on this processor."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def can_pack(weight_NK: Tensor) -> bool:
    """Return whether `weight_NK` is large enough to gain, and this processor has the packed product for it."""
    if weight_NK.device.type != "cpu" or weight_NK.numel() < SMALL_WEIGHT:
        return False
    if not has_onednn():
        return False
    if weight_NK.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight_NK.dtype == torch.float32


class PackedWeight:
    """A packed copy of a weight, and the means to tell whether the weight was replaced or written to since.

    Torch's fused optimisers write without a trace; `Transformer` forgets its copies when a gradient is asked for.
    """

    __slots__ = ("_identity", "_packed")

    def __init__(self, source: Tensor, weight_NK: Tensor) -> None:
        """Pack `weight_NK`, which is `source` or a view or transposed part of it."""
        self._identity = _identity(source)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight_NK.detach().contiguous(), None)

    def is_fresh(self, source: Tensor) -> bool:
        """Return whether `source` holds what was packed."""
        return self._identity == _identity(source)

    def __call__(self, x_MK: Tensor, bias_N: Tensor | None = None) -> Tensor:
        """Return ``x @ weight.T + bias``, (M, N)."""
        num_rows = x_MK.shape[0]
        if num_rows < KERNEL_ROWS:
            x_MK = F.pad(x_MK, (0, 0, 0, KERNEL_ROWS - num_rows))
        y: Tensor = torch.ops.mkldnn._linear_pointwise.default(x_MK, self._packed, bias_N, "none", [], "")
        return y[:num_rows] if num_rows < KERNEL_ROWS else y

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Leave a copied module unpacked: packed tensors cannot be copied."""


def _identity(weight: Tensor) -> tuple[int, int, torch.dtype]:
    """Return what changes when a weight is replaced or written to."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version, weight.dtype
