"""Linear layers, whose products with few rows, as decoding has them, take the form that is the fastest on a CPU.

Which one that is was measured before (`harness.models.few_rows`, called by `harness.infer.prepare`). All else, training
among it, is torch's own product.

Shape suffixes: M rows, K inputs, N outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.few_rows import COPIES, Form, Forms, in_halves
from harness.models.packed import FEW_ROWS, TransposedWeight, WeightCopy, is_large


def linear(
    x: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None = None,
    copied: WeightCopy | None = None,
    forms: Forms | None = None,
) -> Tensor:
    """Return ``x @ weight.T + bias`` for x of shape (..., K), (..., N).

    `copied` is a copy of the weight or ``None``; `forms` are those of few rows, without them the product is torch's.
    In a compiled step one row by a weight that fits the cache is, in fp32, sums of products.
    """
    if x.is_cuda or torch.is_grad_enabled():
        return F.linear(x, weight_NK, bias_N)
    num_rows = x.numel() // x.shape[-1]
    autocast = torch.is_autocast_enabled(x.device.type)
    is_fp32 = x.dtype == weight_NK.dtype == torch.float32 and not autocast
    if torch.compiler.is_compiling() and num_rows == 1 and is_fp32 and not is_large(weight_NK):
        return _in_sums(x, weight_NK, bias_N)
    if forms is None or num_rows > FEW_ROWS or x.dtype != weight_NK.dtype or autocast:
        return F.linear(x, weight_NK, bias_N)
    form = forms.at(num_rows)
    x_MK = x.reshape(num_rows, x.shape[-1])
    if torch.compiler.is_compiling():
        if form is not Form.TRANSPOSED or not isinstance(copied, TransposedWeight):
            return F.linear(x, weight_NK, bias_N)
        y = copied(x_MK, bias_N)  # fresh: a prompt goes before
    elif form is Form.HALVES and num_rows == 1 and weight_NK.shape[0] % 2 == 0:
        y = in_halves(x_MK, weight_NK)
        y = y if bias_N is None else y + bias_N
    elif form in COPIES and isinstance(copied, COPIES[form]) and copied.is_fresh(weight_NK):
        y = copied(x_MK, bias_N)
    else:
        return F.linear(x, weight_NK, bias_N)
    return y.reshape(*x.shape[:-1], weight_NK.shape[0])


def _in_sums(x: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:
    """Return the product of one row as sums of products, which a compiler makes into loops and joins with others."""
    y_N = (weight_NK * x.reshape(1, -1)).sum(dim=1)
    y_N = y_N if bias_N is None else y_N + bias_N
    return y_N.reshape(*x.shape[:-1], -1)


class Linear(nn.Linear):
    """A linear map that decodes in the fastest form known to it."""

    copied: WeightCopy | None = None
    forms: Forms | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., K) to (..., N)."""
        return linear(x, self.weight, self.bias, self.copied, self.forms)

    def decode_weights(self) -> list[Tensor]:
        """Return the weight, (N, K), whose product with few rows may have several forms."""
        return [self.weight]

    def prepare(self, forms: Forms, num_tokens: int) -> None:
        """Take `forms` from now on, and copy the weight if they say so for steps of `num_tokens`."""
        self.forms = forms
        self.copied = renew(self.copied, self.weight, forms.at(num_tokens))


def renew(copied: WeightCopy | None, weight_NK: Tensor, form: Form) -> WeightCopy | None:
    """Return a copy for `form`, the one at hand if it is still good; a form that takes none leaves what is at hand.

    So batches of several sizes in turn do not copy again and again.
    """
    kind = COPIES.get(form)
    if kind is None:
        return copied
    return copied if isinstance(copied, kind) and copied.is_fresh(weight_NK) else kind(weight_NK, weight_NK)
