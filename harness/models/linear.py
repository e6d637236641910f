"""Linear layers, whose products with few rows, as decoding has them, run at the speed of memory on a CPU.

With one row the weight is parted in two, since such a product runs on one thread and reads at a part of the memory's
bandwidth; a few rows take a copy of the weight that was packed once (`harness.models.packed`), if there is one. All
else, training among it, is torch's own product. LOG.md has the figures.

Shape suffixes: M rows, K inputs, N outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.packed import FEW_ROWS, SMALL_WEIGHT, PackedWeight, can_pack


def linear(x: Tensor, weight_NK: Tensor, bias_N: Tensor | None = None, packed: PackedWeight | None = None) -> Tensor:
    """Return ``x @ weight.T + bias`` for x of shape (..., K), (..., N); `packed` is a copy of it or ``None``."""
    if x.is_cuda or torch.compiler.is_compiling() or torch.is_grad_enabled():
        return F.linear(x, weight_NK, bias_N)
    if weight_NK.numel() < SMALL_WEIGHT:
        return F.linear(x, weight_NK, bias_N)
    num_rows = x.numel() // x.shape[-1]
    if num_rows > FEW_ROWS or x.dtype != weight_NK.dtype or torch.is_autocast_enabled(x.device.type):
        return F.linear(x, weight_NK, bias_N)
    num_outputs = weight_NK.shape[0]
    x_MK = x.reshape(num_rows, x.shape[-1])
    if num_rows == 1 and num_outputs % 2 == 0 and weight_NK.is_contiguous() and x.dtype == torch.float32:
        halves = weight_NK.view(2, num_outputs // 2, -1)
        y = torch.bmm(halves, x_MK.t().expand(2, -1, 1)).view(1, num_outputs)
        y = y if bias_N is None else y + bias_N
    elif packed is not None and packed.is_fresh(weight_NK):
        y = packed(x_MK, bias_N)
    else:
        return F.linear(x, weight_NK, bias_N)
    return y.reshape(*x.shape[:-1], num_outputs)


class Linear(nn.Linear):
    """A linear map that decodes at the speed of memory."""

    packed: PackedWeight | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., K) to (..., N)."""
        return linear(x, self.weight, self.bias, self.packed)

    def pack(self) -> None:
        """Pack the weight for products with few rows, where that pays; do nothing if it is packed already."""
        self.packed = repack(self.packed, self.weight)


def repack(packed: PackedWeight | None, weight_NK: Tensor) -> PackedWeight | None:
    """Return a packed copy of `weight_NK`, the one at hand if still good, or ``None`` where packing gains nothing."""
    if packed is not None and packed.is_fresh(weight_NK):
        return packed
    return PackedWeight(weight_NK, weight_NK) if can_pack(weight_NK) else None
