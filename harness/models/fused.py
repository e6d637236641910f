"""Backward passes written out where autograd's own would copy: SwiGLU, RMSNorm on a CPU, and heads with their rotation.

Autograd joins the gradients of slices by copying them, and keeps every intermediate of a composite operator; here each
gradient is written where it belongs. Each function equals its plain form in outputs and gradients (tests compare); a
compiler gets the plain form, which it fuses itself.

Shape suffixes: B batch, T time, H heads, K head width, F feed-forward width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.models.rope import apply_rope


def swiglu(gate_up: Tensor) -> Tensor:
    """Return ``silu(gate) * up`` of the two halves of the last dimension, (..., 2F) to (..., F)."""
    if torch.compiler.is_compiling():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up
    if not torch.is_grad_enabled():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)
    out: Tensor = _SwiGLU.apply(gate_up)
    return out


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return `x` over the root of its mean square along the last dimension, times `weight`."""
    if x.is_cuda or x.dtype != weight.dtype or torch.compiler.is_compiling():
        return F.rms_norm(x, (weight.numel(),), weight, eps)
    if not torch.is_grad_enabled():
        return (x * _inverse_rms(x, eps)).mul_(weight)
    out: Tensor = _RMSNorm.apply(x, weight, eps)
    return out


def swiglu_backward(grad: Tensor, gate: Tensor, up: Tensor, silu: Tensor, out: Tensor) -> None:
    """Write the gradient of ``silu(gate) * up`` into `out` (..., 2F); `grad` (..., F) is used up."""
    d_gate, d_up = out.chunk(2, dim=-1)
    torch.mul(grad, silu, out=d_up)
    torch.ops.aten.silu_backward.grad_input(grad.mul_(up), gate, grad_input=d_gate)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        out = torch.empty_like(gate_up)
        swiglu_backward(grad.clone(), gate, up, F.silu(gate), out)
        return out


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = _inverse_rms(x, eps)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        normed = x * scale
        d_weight = (grad * normed).flatten(0, -2).sum(0)
        d_normed = grad * weight
        along = (d_normed * normed).mean(dim=-1, keepdim=True)
        return d_normed.addcmul_(normed, along, value=-1).mul_(scale), d_weight, None


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()


class _RotatedHeads(torch.autograd.Function):
    """Rotates the first heads of a fused projection and parts it; the gradients go straight into one tensor."""

    @staticmethod
    def forward(ctx: Any, qkv_BTHK: Tensor, table: Tensor, num_q: int, num_kv: int) -> tuple[Tensor, Tensor, Tensor]:
        ctx.table, ctx.num_q, ctx.num_kv = table, num_q, num_kv
        rotated = _rotate(qkv_BTHK[:, :, : num_q + num_kv], table, inverse=False)
        q, k = rotated.split((num_q, num_kv), dim=2)
        v = qkv_BTHK[:, :, num_q + num_kv :].clone()
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_q: Tensor, d_k: Tensor, d_v: Tensor) -> tuple[Tensor, None, None, None]:
        batch, _, time, width = d_q.shape
        first, last = ctx.num_q, ctx.num_q + ctx.num_kv
        out = d_q.new_empty(batch, time, last + ctx.num_kv, width)
        _rotate(d_q.transpose(1, 2), ctx.table, inverse=True, out=out[:, :, :first])
        _rotate(d_k.transpose(1, 2), ctx.table, inverse=True, out=out[:, :, first:last])
        out[:, :, last:] = d_v.transpose(1, 2)
        return out, None, None, None


def rotated_heads(qkv_BTHK: Tensor, table: Tensor, num_q: int, num_kv: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries and keys, rotated by `table` (2, T, K/2), and values, (B, heads, T, K) each."""
    if torch.compiler.is_compiling():
        q, k, v = qkv_BTHK.transpose(1, 2).split((num_q, num_kv, num_kv), dim=1)
        return apply_rope(q, table), apply_rope(k, table), v
    if not torch.is_grad_enabled():
        q, k = _rotate(qkv_BTHK[:, :, : num_q + num_kv], table, inverse=False).transpose(1, 2).split((num_q, num_kv), 1)
        return q, k, qkv_BTHK[:, :, num_q + num_kv :].transpose(1, 2)
    parts: tuple[Tensor, Tensor, Tensor] = _RotatedHeads.apply(qkv_BTHK, table, num_q, num_kv)
    return parts


def _rotate(x_BTHK: Tensor, table: Tensor, *, inverse: bool, out: Tensor | None = None) -> Tensor:
    cos, sin = (part.to(x_BTHK.dtype)[None, :, None] for part in table)
    out = torch.empty(x_BTHK.shape, dtype=x_BTHK.dtype, device=x_BTHK.device) if out is None else out
    first, second = x_BTHK.chunk(2, dim=-1)
    out_first, out_second = out.chunk(2, dim=-1)
    sign = -1 if inverse else 1
    torch.mul(first, cos, out=out_first).addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=out_second).addcmul_(first, sin, value=sign)
    return out
