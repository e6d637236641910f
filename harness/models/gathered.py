"""Routed experts on a CPU, all at once: rows sorted by expert, one grouped product a projection, sums by one gather.

For rows that all fit the cache. A token's outputs are weighted and added while they are gathered (an embedding bag),
and the backward pass recomputes the activation and gathers rows again instead of keeping them.
`harness.models.written_out` makes a dispatch of the two passes. A compiler may trace them where no choice was dropped:
then all but the grouped products become loops of its own.

Shape suffixes: N tokens, E experts, k chosen experts per token, R = N * k rows, D model width, F expert width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models.fused import swiglu_backward


def forward(  # noqa: PLR0917 - the arguments of an operator
    x_ND: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor, gates_Nk: Tensor, experts_Nk: Tensor, load_E: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gated sum over each token's experts (N, D), the first product (R, 2F) and the rows' order (R,).

    Rows of choices that were dropped come last, and what the first product has there means nothing.
    """
    order_R = torch.argsort(experts_Nk.flatten().int(), stable=True)
    ends_E = load_E.cumsum(0, dtype=torch.int32)
    hidden_RF = _grouped(x_ND.index_select(0, order_R // gates_Nk.shape[1]), gate_up_EDF, ends_E)
    first, up = hidden_RF.chunk(2, dim=1)
    y_RD = _grouped(F.silu(first) * up, down_EFD, ends_E)
    return _sum_rows(y_RD, order_R, gates_Nk, load_E), hidden_RF, order_R


def backward(  # noqa: PLR0917 - the arguments of an operator
    grad_ND: Tensor,
    x_ND: Tensor,
    gate_up_EDF: Tensor,
    down_EFD: Tensor,
    gates_Nk: Tensor,
    load_E: Tensor,
    hidden_RF: Tensor,
    order_R: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of tokens, both weights and gates."""
    num_rows = _count_rows(load_E, order_R)
    kept = order_R[:num_rows]
    tokens, gates = kept // gates_Nk.shape[1], gates_Nk.flatten()[kept, None]
    ends_E = load_E.cumsum(0, dtype=torch.int32)
    first, up = hidden_RF[:num_rows].chunk(2, dim=1)
    dy = grad_ND.index_select(0, tokens)
    d_act = _grouped(dy, down_EFD.transpose(1, 2), ends_E)  # of the activation before its gate
    silu = F.silu(first)
    act = silu * up
    grad_gates_R = torch.zeros_like(gates_Nk).flatten().index_copy(0, kept, (d_act * act).sum(dim=1))
    grad_down = _grouped((act * gates).t(), dy, ends_E)
    dh = _swiglu_backward(d_act * gates, first, up, silu)
    grad_gate_up = _grouped(x_ND.index_select(0, tokens).t(), dh, ends_E)
    grad_rows = _grouped(dh, gate_up_EDF.transpose(1, 2), ends_E)
    return (
        _sum_rows(grad_rows, order_R, gates_Nk, load_E, weighted=False),
        grad_gate_up,
        grad_down,
        grad_gates_R.view_as(gates_Nk),
    )


def _sum_rows(y_RD: Tensor, order_R: Tensor, gates_Nk: Tensor, load_E: Tensor, *, weighted: bool = True) -> Tensor:
    """Return the sum of each token's rows, times their gates if `weighted`; rows of dropped choices give nothing."""
    num_rows = _count_rows(load_E, order_R)
    place_R = torch.empty_like(order_R).scatter_(0, order_R, torch.arange(order_R.numel()))
    if num_rows < order_R.numel():
        place_R = place_R.clamp_(max=num_rows)
        y_RD = torch.cat((y_RD[:num_rows], y_RD.new_zeros(1, y_RD.shape[1])))
    if torch.compiler.is_compiling():
        y_NkD = y_RD.index_select(0, place_R).view(*gates_Nk.shape, -1)
        return (y_NkD * gates_Nk[..., None] if weighted else y_NkD).sum(dim=1)
    weights = gates_Nk if weighted else None
    return F.embedding_bag(place_R.view(gates_Nk.shape), y_RD, mode="sum", per_sample_weights=weights)


def _count_rows(load_E: Tensor, order_R: Tensor) -> int:
    """Return how many rows were not dropped; what is traced drops none."""
    return order_R.numel() if torch.compiler.is_compiling() else int(load_E.sum())


def _swiglu_backward(grad_RF: Tensor, gate_RF: Tensor, up_RF: Tensor, silu_RF: Tensor) -> Tensor:
    """Return the gradient of ``silu(gate) * up``, (R, 2F)."""
    if torch.compiler.is_compiling():
        d_gate = torch.ops.aten.silu_backward(grad_RF * up_RF, gate_RF)
        return torch.cat((d_gate, grad_RF * silu_RF), dim=1)
    out = grad_RF.new_empty(grad_RF.shape[0], 2 * grad_RF.shape[1])
    swiglu_backward(grad_RF, gate_RF, up_RF, silu_RF, out)
    return out


def _grouped(first: Tensor, second: Tensor, ends_E: Tensor) -> Tensor:
    """Return the grouped product of rows by weights (R, N), or of rows by rows (E, M, N)."""
    return grouped_op(first, second, ends_E) if torch.compiler.is_compiling() else _multiply(first, second, ends_E)


def _multiply(first: Tensor, second: Tensor, ends_E: Tensor) -> Tensor:
    return F.grouped_mm(first, second, offs=ends_E)


@torch.library.custom_op("isojoule::grouped_mm", mutates_args=())
def grouped_op(first: Tensor, second: Tensor, ends_E: Tensor) -> Tensor:
    """Multiply as one operator: the compiler does not take grouped products of fp32 on a CPU."""
    return _multiply(first, second, ends_E)


@grouped_op.register_fake
def _(first: Tensor, second: Tensor, ends_E: Tensor) -> Tensor:
    width = second.shape[-1]
    return first.new_empty((first.shape[0], width) if second.dim() == 3 else (ends_E.numel(), first.shape[0], width))
