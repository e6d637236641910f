"""Matrix products with few rows, as decoding has them, at the speed of memory.

On a CPU a product with one row runs on one thread, and one with a few rows packs the whole weight first: both read the
weight at a fraction of the memory's bandwidth. Parting the weight in two and putting it on the left uses all of it
(`make bench-models`; LOG.md has the figures). Training and large batches take torch's own product.

Shape suffixes: M rows, K inputs, N outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# From so many rows on, and for weights that fit the cache, torch's own product is as fast.
FEW_ROWS = 32
SMALL_WEIGHT = 1 << 19


def linear(x: Tensor, weight_NK: Tensor, bias_N: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias`` for x of shape (..., K), (..., N)."""
    num_rows = x.numel() // x.shape[-1]
    few = num_rows <= FEW_ROWS and not x.is_cuda and not torch.is_grad_enabled() and x.dtype == torch.float32
    few = few and weight_NK.numel() >= SMALL_WEIGHT
    if not few or x.dtype != weight_NK.dtype or torch.is_autocast_enabled(x.device.type):
        return F.linear(x, weight_NK, bias_N)
    x_MK = x.reshape(num_rows, x.shape[-1])
    num_outputs = weight_NK.shape[0]
    if num_rows == 1 and num_outputs % 2 == 0 and weight_NK.is_contiguous():
        halves = weight_NK.view(2, num_outputs // 2, -1)
        y = torch.bmm(halves, x_MK.t().expand(2, -1, 1)).view(1, num_outputs)
    else:
        y = (weight_NK @ x_MK.t()).t()
    y = y if bias_N is None else y + bias_N
    return y.reshape(*x.shape[:-1], num_outputs)


class Linear(nn.Linear):
    """A linear map that decodes at the speed of memory."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., K) to (..., N)."""
        return linear(x, self.weight, self.bias)
