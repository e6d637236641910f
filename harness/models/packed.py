"""Copies of weights in the layout that products with few rows want, made once for decoding on a CPU.

A product with few rows spends its time on reading the weight; torch's own packs or strides through it at every call,
while a copy packed by oneDNN, or laid out the other way round, is read in order (`harness.models.few_rows` measures
which pays; LOG.md has figures). The original stays where it is, for training, prompts and everything else, so a model
prepared for decoding may take the memory of its weights twice.

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


def is_large(weight_NK: Tensor) -> bool:
    """Return whether `weight_NK` is on a CPU and too large for a core's cache, so that its product has to read it."""
    return weight_NK.device.type == "cpu" and weight_NK.numel() >= SMALL_WEIGHT


def can_pack(weight_NK: Tensor) -> bool:
    """Return whether `weight_NK` is large enough to gain, and this processor has the packed product for it."""
    if not is_large(weight_NK) or not has_onednn():
        return False
    if weight_NK.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight_NK.dtype == torch.float32


class WeightCopy:
    """A copy of a weight, and the means to tell whether the weight was replaced or written to since.

    Torch's fused optimisers write without a trace; `Transformer` forgets its copies when a gradient is asked for.
    """

    def __init__(self, source: Tensor) -> None:
        self._identity = _identity(source)

    def is_fresh(self, source: Tensor) -> bool:
        """Return whether `source` holds what was copied."""
        return self._identity == _identity(source)

    def __call__(self, x_MK: Tensor, bias_N: Tensor | None = None) -> Tensor:
        """Return ``x @ weight.T + bias``, (M, N)."""
        raise NotImplementedError

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Leave a copied module without: packed tensors cannot be copied."""


class PackedWeight(WeightCopy):
    """A copy packed by oneDNN."""

    def __init__(self, source: Tensor, weight_NK: Tensor) -> None:
        """Pack `weight_NK`, which is `source` or a view or transposed part of it."""
        super().__init__(source)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight_NK.detach().contiguous(), None)

    def __call__(self, x_MK: Tensor, bias_N: Tensor | None = None) -> Tensor:
        """Return ``x @ weight.T + bias``, (M, N)."""
        num_rows = x_MK.shape[0]
        if num_rows < KERNEL_ROWS:
            x_MK = F.pad(x_MK, (0, 0, 0, KERNEL_ROWS - num_rows))
        y: Tensor = torch.ops.mkldnn._linear_pointwise.default(x_MK, self._packed, bias_N, "none", [], "")
        return y[:num_rows] if num_rows < KERNEL_ROWS else y


class TransposedWeight(WeightCopy):
    """A copy laid out as (K, N)."""

    def __init__(self, source: Tensor, weight_NK: Tensor) -> None:
        """Copy `weight_NK`, which is `source` or a view of it."""
        super().__init__(source)
        self.weight_KN = weight_NK.detach().t().contiguous()

    def __call__(self, x_MK: Tensor, bias_N: Tensor | None = None) -> Tensor:
        """Return ``x @ weight.T + bias``, (M, N)."""
        return x_MK @ self.weight_KN if bias_N is None else torch.addmm(bias_N, x_MK, self.weight_KN)


def _identity(weight: Tensor) -> tuple[int, int, torch.dtype]:
    """Return what changes when a weight is replaced or written to."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version, weight.dtype
