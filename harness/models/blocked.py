"""Routed experts on a CPU, one after the other: an expert's rows are gathered, worked on and added back in the cache.

Only experts that were chosen are touched. The backward pass recomputes the activation from the first product instead of
storing it, and takes the gate's gradient from the down projection's input, so that nothing of the size of all rows is
ever written. `harness.models.written_out` makes a dispatch of the two passes.

Shape suffixes: N tokens, E experts, k chosen experts per token, R = N * k rows, D model width, F expert width.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    loads = load_E.tolist()
    hidden_RF = x_ND.new_empty(order_R.numel(), gate_up_EDF.shape[2])
    out_ND = torch.zeros_like(x_ND)
    rows = _kept(sum(loads), order_R, gates_Nk, hidden_RF)
    for token, gate, h, gate_up, down in _by_expert(loads, rows, (gate_up_EDF, down_EFD)):
        torch.mm(x_ND.index_select(0, token), gate_up, out=h)
        first, up = h.chunk(2, dim=1)
        out_ND.index_add_(0, token, F.silu(first).mul_(up).mul_(gate) @ down)
    return out_ND, hidden_RF, order_R


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
    loads = load_E.tolist()
    num_rows = sum(loads)
    tokens, gates, hidden = _kept(num_rows, order_R, gates_Nk, hidden_RF)
    grad_x, grad_gates = torch.zeros_like(x_ND), torch.empty_like(gates[:, 0])
    grad_gate_up, grad_down = torch.empty_like(gate_up_EDF), torch.empty_like(down_EFD)
    for expert, load in enumerate(loads):
        if not load:
            grad_gate_up[expert].zero_()
            grad_down[expert].zero_()
    rows, weights = (tokens, gates, grad_gates, hidden), (gate_up_EDF, down_EFD, grad_gate_up, grad_down)
    for token, gate, d_gate, h, gate_up, down, d_gate_up, d_down in _by_expert(loads, rows, weights):
        first, up = h.chunk(2, dim=1)
        dy = grad_ND.index_select(0, token)
        d_act = dy @ down.t()  # of the activation before its gate
        silu = F.silu(first)
        act = silu * up
        torch.sum(d_act * act, dim=1, out=d_gate)
        torch.mm(act.mul_(gate).t(), dy, out=d_down)
        d_act.mul_(gate)
        dh = torch.empty_like(h)
        swiglu_backward(d_act, first, up, silu, dh)
        torch.mm(x_ND.index_select(0, token).t(), dh, out=d_gate_up)
        grad_x.index_add_(0, token, dh @ gate_up.t())
    grad_gates_Nk = torch.zeros_like(gates_Nk)
    grad_gates_Nk.view(-1).index_copy_(0, order_R[:num_rows], grad_gates)
    return grad_x, grad_gate_up, grad_down, grad_gates_Nk


def _kept(num_rows: int, order_R: Tensor, gates_Nk: Tensor, hidden_RF: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return token, gate and first product of the rows that were not dropped."""
    order_R = order_R[:num_rows]
    return order_R // gates_Nk.shape[1], gates_Nk.flatten()[order_R, None], hidden_RF[:num_rows]


def _by_expert(loads: list[int], rows: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """Yield each expert's part of `rows` (sorted by expert) and of `weights`; experts without rows are passed over."""
    parts = zip(*(tensor.split(loads) for tensor in rows), *(tensor.unbind() for tensor in weights), strict=True)
    return (part for part, load in zip(parts, loads, strict=True) if load)
