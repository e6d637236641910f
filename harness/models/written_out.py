"""Dispatches for a CPU whose two passes are written out: `blocked` for many rows, `gathered` for those in the cache.

To autograd they are one function. ``torch.compile`` traces those that are gathered, and has one operator a pass for the
others, so that the graph of a whole training step has no break in it.

Shape suffixes: N tokens, E experts, k chosen experts per token, R = N * k rows, D model width, F expert width.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.models import blocked, gathered
from harness.models.router import Routing

# Bytes of all rows in and out of both products from which working through them expert by expert pays.
BLOCKED_BYTES = 24 << 20


def dispatch_blocked(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Return the gated sum over each token's experts, (N, D), expert by expert."""
    return _run(x_ND, routing, gate_up_EDF, down_EFD, by_expert=True)


def dispatch_by_size(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Return the gated sum over each token's experts, (N, D), in the way that is the faster one for so many rows."""
    numbers = routing.experts_Nk.numel() * (2 * x_ND.shape[1] + 3 * down_EFD.shape[1])
    return _run(x_ND, routing, gate_up_EDF, down_EFD, by_expert=numbers * x_ND.element_size() >= BLOCKED_BYTES)


def _run(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor, *, by_expert: bool) -> Tensor:
    device = x_ND.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_ND.dtype
    parts = (x_ND.to(dtype), gate_up_EDF.to(dtype), down_EFD.to(dtype), routing.gates_Nk.to(dtype))
    choice = (routing.experts_Nk, routing.load_E, by_expert)
    if torch.compiler.is_compiling() and (by_expert or routing.dropped is not None):
        return experts_op(*parts, *choice)[0].to(x_ND.dtype)
    with torch.autocast(device, enabled=False):
        out: Tensor = _Experts.apply(*parts, *choice)
    return out.to(x_ND.dtype)


def _way(by_expert: bool) -> ModuleType:
    return blocked if by_expert else gathered


class _Experts(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd calls it
        ctx: Any,
        x_ND: Tensor,
        gate_up_EDF: Tensor,
        down_EFD: Tensor,
        gates_Nk: Tensor,
        experts_Nk: Tensor,
        load_E: Tensor,
        by_expert: bool,
    ) -> Tensor:
        inputs = (x_ND, gate_up_EDF, down_EFD, gates_Nk)
        out, hidden, order = _way(by_expert).forward(*inputs, experts_Nk, load_E)
        ctx.save_for_backward(*inputs, load_E, hidden, order)
        ctx.by_expert = by_expert
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor | None, ...]:
        grads = _way(ctx.by_expert).backward(grad_ND.contiguous(), *ctx.saved_tensors)
        return *grads, None, None, None


@torch.library.custom_op("isojoule::experts", mutates_args=())
def experts_op(  # noqa: PLR0917 - an operator's arguments
    x_ND: Tensor,
    gate_up_EDF: Tensor,
    down_EFD: Tensor,
    gates_Nk: Tensor,
    experts_Nk: Tensor,
    load_E: Tensor,
    by_expert: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the forward pass: the gated sum, and what the backward pass needs."""
    return _way(by_expert).forward(x_ND, gate_up_EDF, down_EFD, gates_Nk, experts_Nk, load_E)


@torch.library.custom_op("isojoule::experts_backward", mutates_args=())
def experts_backward_op(  # noqa: PLR0917 - an operator's arguments
    grad_ND: Tensor,
    x_ND: Tensor,
    gate_up_EDF: Tensor,
    down_EFD: Tensor,
    gates_Nk: Tensor,
    load_E: Tensor,
    hidden_RF: Tensor,
    order_R: Tensor,
    by_expert: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run the backward pass: gradients of tokens, both weights and gates."""
    inputs = (x_ND, gate_up_EDF, down_EFD, gates_Nk)
    return _way(by_expert).backward(grad_ND.contiguous(), *inputs, load_E, hidden_RF, order_R)


@experts_op.register_fake
def _(x_ND: Tensor, gate_up_EDF: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    experts_Nk = others[2]
    num_rows = experts_Nk.numel()
    hidden = x_ND.new_empty(num_rows, gate_up_EDF.shape[2])
    return torch.empty_like(x_ND), hidden, experts_Nk.new_empty(num_rows)


@experts_backward_op.register_fake
def _(
    _grad: Tensor, x_ND: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor, gates_Nk: Tensor, *_: object
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = (x_ND, gate_up_EDF, down_EFD, gates_Nk)
    return tuple(torch.empty_like(tensor) for tensor in inputs)  # type: ignore[return-value]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x_ND, gate_up_EDF, down_EFD, gates_Nk, _, load_E, ctx.by_expert = inputs
    ctx.save_for_backward(x_ND, gate_up_EDF, down_EFD, gates_Nk, load_E, *output[1:])


def _differentiate(ctx: Any, grad_ND: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    return *experts_backward_op(grad_ND, *ctx.saved_tensors, ctx.by_expert), None, None, None


experts_op.register_autograd(_differentiate, setup_context=_keep)
