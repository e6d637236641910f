"""Routed experts on a CPU, all at once: rows sorted by expert, one grouped product a projection, sums by one gather.

For rows that all fit the cache. A token's outputs are weighted and added while they are gathered (an embedding bag), and
the backward pass recomputes the activation and gathers rows again instead of keeping them.
`harness.models.written_out` makes a dispatch of the two passes.

Shape suffixes: N tokens, E experts, k chosen experts per token, R = N * k rows, D model width, F expert width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models.fused import swiglu_backward


def forward(
    x_ND: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor, gates_Nk: Tensor, experts_Nk: Tensor, load_E: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gated sum over each token's experts (N, D), the first product (R, 2F) and the rows' order (R,).

    Rows of choices that were dropped come last, and what the first product has there means nothing.
    """
    order_R = torch.argsort(experts_Nk.flatten().int(), stable=True)
    ends_E = load_E.cumsum(0, dtype=torch.int32)
    hidden_RF = F.grouped_mm(x_ND.index_select(0, order_R // gates_Nk.shape[1]), gate_up_EDF, offs=ends_E)
    first, up = hidden_RF.chunk(2, dim=1)
    y_RD = F.grouped_mm(F.silu(first).mul_(up), down_EFD, offs=ends_E)
    return _sum_rows(y_RD, order_R, gates_Nk, load_E), hidden_RF, order_R


def backward(
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
    num_rows = int(load_E.sum())
    kept = order_R[:num_rows]
    tokens, gates = kept // gates_Nk.shape[1], gates_Nk.flatten()[kept, None]
    ends_E = load_E.cumsum(0, dtype=torch.int32)
    first, up = hidden_RF[:num_rows].chunk(2, dim=1)
    dy = grad_ND.index_select(0, tokens)
    d_act = F.grouped_mm(dy, down_EFD.transpose(1, 2), offs=ends_E)  # of the activation before its gate
    silu = F.silu(first)
    act = silu * up
    grad_gates_Nk = torch.zeros_like(gates_Nk)
    grad_gates_Nk.view(-1).index_copy_(0, kept, (d_act * act).sum(dim=1))
    grad_down = F.grouped_mm(act.mul_(gates).t(), dy, offs=ends_E)
    dh = torch.empty_like(hidden_RF[:num_rows])
    swiglu_backward(d_act.mul_(gates), first, up, silu, dh)
    grad_gate_up = F.grouped_mm(x_ND.index_select(0, tokens).t(), dh, offs=ends_E)
    grad_rows = F.grouped_mm(dh, gate_up_EDF.transpose(1, 2), offs=ends_E)
    return _sum_rows(grad_rows, order_R, gates_Nk, load_E, weighted=False), grad_gate_up, grad_down, grad_gates_Nk


def _sum_rows(y_RD: Tensor, order_R: Tensor, gates_Nk: Tensor, load_E: Tensor, *, weighted: bool = True) -> Tensor:
    """Return the sum of each token's rows, times their gates if `weighted`; rows of dropped choices give nothing."""
    num_rows = int(load_E.sum())
    place_R = torch.empty_like(order_R).scatter_(0, order_R, torch.arange(order_R.numel()))
    if num_rows < order_R.numel():
        place_R = place_R.clamp_(max=num_rows)
        y_RD = torch.cat((y_RD[:num_rows], y_RD.new_zeros(1, y_RD.shape[1])))
    weights = gates_Nk if weighted else None
    return F.embedding_bag(place_R.view(gates_Nk.shape), y_RD, mode="sum", per_sample_weights=weights)
