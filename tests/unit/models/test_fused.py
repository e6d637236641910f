"""Backward passes that are written out equal the plain forms, in outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models.fused import rms_norm, rotated_heads, swiglu
from harness.models.rope import apply_rope


def plain_swiglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def grads(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """Return the output and the gradient of each input."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    out = function(*leaves)
    slope = torch.linspace(-1.0, 1.0, out.numel(), dtype=out.dtype).view(out.shape)
    return [out.detach(), *torch.autograd.grad((out * slope).sum(), leaves)]


@pytest.mark.parametrize("shape", [(7, 10), (2, 3, 8)])
def test_swiglu_equals_its_plain_form_and_finite_differences(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for ours, plain in zip(grads(swiglu, x), grads(plain_swiglu, x), strict=True):
        torch.testing.assert_close(ours, plain)
    assert torch.autograd.gradcheck(swiglu, x.requires_grad_())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 4, 6)])
def test_rms_norm_equals_torchs(shape: tuple[int, ...], scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = scale * torch.randn(shape, dtype=torch.float64, generator=generator)
    weight = torch.randn(shape[-1], dtype=torch.float64, generator=generator)
    plain = grads(lambda x, w: F.rms_norm(x, (shape[-1],), w, 1e-6), x, weight)
    for ours, expected in zip(grads(lambda x, w: rms_norm(x, w, 1e-6), x, weight), plain, strict=True):
        torch.testing.assert_close(ours, expected)


def test_rotated_heads_equal_parting_and_rotating() -> None:
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(2, 5, 4 + 2 + 2, 6, dtype=torch.float64, generator=generator)
    angles = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    table = torch.stack((angles.cos(), angles.sin()))

    def plain(x: Tensor) -> Tensor:
        q, k, v = x.transpose(1, 2).split((4, 2, 2), dim=1)
        return torch.cat((apply_rope(q, table), apply_rope(k, table), v), dim=1)

    def ours(x: Tensor) -> Tensor:
        return torch.cat(rotated_heads(x, table, 4, 2), dim=1)

    for fast, slow in zip(grads(ours, qkv), grads(plain, qkv), strict=True):
        torch.testing.assert_close(fast, slow)
