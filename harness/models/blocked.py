"""Dispatch for a CPU: one expert after the other, its rows gathered, worked on and added back while in the cache.

Only experts that were chosen are touched, so a single decoded token reads the weights of its k experts and no others.
The backward pass is written out: it recomputes the activation from the first product instead of storing it, and takes
the gate's gradient from the down projection's input, so that nothing of the size of all rows is ever written.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.models.fused import swiglu_backward
from harness.models.router import Routing


def dispatch_blocked(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Return the gated sum over each token's experts, (N, D)."""
    device = x_ND.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_ND.dtype
    parts = (x_ND.to(dtype), gate_up_EDF.to(dtype), down_EFD.to(dtype), routing.gates_Nk.to(dtype))
    with torch.autocast(device, enabled=False):
        out: Tensor = _BlockedExperts.apply(*parts, routing.experts_Nk, routing.load_E)
    return out.to(x_ND.dtype)


class _BlockedExperts(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd calls it
        ctx: Any,
        x_ND: Tensor,
        gate_up_EDF: Tensor,
        down_EFD: Tensor,
        gates_Nk: Tensor,
        experts_Nk: Tensor,
        load_E: Tensor,
    ) -> Tensor:
        order = torch.argsort(experts_Nk.flatten().int(), stable=True)
        loads = load_E.tolist()
        order = order[: sum(loads)]  # choices that were dropped come last
        tokens, gates = order // experts_Nk.shape[1], gates_Nk.flatten()[order, None]
        width = down_EFD.shape[1]
        out_ND = torch.zeros_like(x_ND)
        hidden = x_ND.new_empty(order.numel(), 2 * width)
        for token, gate, h, gate_up, down in _by_expert(loads, (tokens, gates, hidden), (gate_up_EDF, down_EFD)):
            torch.mm(x_ND.index_select(0, token), gate_up, out=h)
            first, up = h.chunk(2, dim=1)
            out_ND.index_add_(0, token, F.silu(first).mul_(up).mul_(gate) @ down)
        ctx.save_for_backward(x_ND, gate_up_EDF, down_EFD, order, tokens, gates, hidden)
        ctx.loads, ctx.shape_Nk = loads, experts_Nk.shape
        return out_ND

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, gate_up_EDF, down_EFD, order, tokens, gates, hidden = ctx.saved_tensors
        grad_ND = grad_ND.contiguous()
        grad_x, grad_gates = torch.zeros_like(x_ND), torch.empty_like(gates[:, 0])
        grad_gate_up, grad_down = torch.empty_like(gate_up_EDF), torch.empty_like(down_EFD)
        for expert, load in enumerate(ctx.loads):
            if not load:
                grad_gate_up[expert].zero_()
                grad_down[expert].zero_()
        rows, weights = (tokens, gates, grad_gates, hidden), (gate_up_EDF, down_EFD, grad_gate_up, grad_down)
        for token, gate, d_gate, h, gate_up, down, d_gate_up, d_down in _by_expert(ctx.loads, rows, weights):
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
        grad_gates_Nk = grad_gates.new_zeros(ctx.shape_Nk)
        grad_gates_Nk.view(-1).index_copy_(0, order, grad_gates)
        return grad_x, grad_gate_up, grad_down, grad_gates_Nk, None, None


def _by_expert(loads: list[int], rows: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """Yield each expert's part of `rows` (sorted by expert) and of `weights`; experts without rows are passed over."""
    parts = zip(*(tensor.split(loads) for tensor in rows), *(tensor.unbind() for tensor in weights), strict=True)
    return (part for part, load in zip(parts, loads, strict=True) if load)
