"""Every dispatch equals the obvious loop in outputs and every gradient; one expert is a dense FFN."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from harness.models.dispatch import DISPATCHES
from harness.models.experts import RoutedExperts
from harness.models.layers import SwiGLU
from harness.models.router import Routing
from tests.unit.models.configs import MOE

FAST = [name for name in DISPATCHES if name not in ("loop", "fused")]  # test_fused_dispatch.py has the last one
# tokens, experts, chosen; the last two leave no expert empty and choose all
SHAPES = [(1, 8, 2), (37, 8, 2), (64, 8, 8), (5, 1, 1), (129, 16, 3), (2, 64, 8)]


def make_case(
    num_tokens: int, num_experts: int, top_k: int, dtype: torch.dtype = torch.float32, *, drop: bool = False
) -> tuple[RoutedExperts, Tensor, Routing]:
    """Return experts, tokens and a routing that leaves some experts empty, and with `drop` some choices unserved."""
    config = dataclasses.replace(MOE, num_experts=num_experts, top_k=top_k)
    generator = torch.Generator().manual_seed(num_tokens)
    experts = RoutedExperts(config).to(dtype)
    for weight in experts.parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=generator)
    x = torch.randn(num_tokens, config.d_model, generator=generator).to(dtype)
    scores = torch.rand(num_tokens, num_experts, generator=generator)
    scores[:, num_experts // 2 :] *= 0.01 if num_experts > 2 * top_k else 1.0
    gates, chosen = scores.topk(top_k, dim=-1)
    dropped = None
    if drop:
        lost = torch.rand(chosen.shape, generator=generator) < 0.3
        gates, chosen, dropped = gates.masked_fill(lost, 0.0), chosen.masked_fill(lost, num_experts), lost.sum()
    load = torch.bincount(chosen.flatten(), minlength=num_experts)[:num_experts]
    return experts, x, Routing(chosen, gates.to(dtype), load, x.new_zeros(()), dropped)


def run(name: str, experts: RoutedExperts, x: Tensor, routing: Routing) -> list[Tensor]:
    """Return the output and the gradients of tokens, gates and both weights."""
    x, gates = x.clone().requires_grad_(), routing.gates_Nk.clone().requires_grad_()
    experts.zero_grad()
    y = DISPATCHES.get(name)(x, dataclasses.replace(routing, gates_Nk=gates), experts.gate_up_EDF, experts.down_EFD)
    slope = torch.linspace(0.1, 1.0, y.numel(), dtype=y.dtype, device=y.device).view_as(y)
    (y * slope).sum().backward()
    found = [x.grad, gates.grad, experts.gate_up_EDF.grad, experts.down_EFD.grad]
    assert all(grad is not None for grad in found)
    return [y.detach(), *(grad.clone() for grad in found if grad is not None)]


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(("num_tokens", "num_experts", "top_k"), SHAPES)
@pytest.mark.parametrize("name", FAST)
def test_a_dispatch_equals_the_loop_in_outputs_and_every_gradient(
    name: str, num_tokens: int, num_experts: int, top_k: int, drop: bool
) -> None:
    case = make_case(num_tokens, num_experts, top_k, drop=drop)
    if drop and not int(case[2].load_E.sum()):
        pytest.fail("the case drops every choice; choose another seed")
    for slow, fast in zip(run("loop", *case), run(name, *case), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_the_written_out_backward_equals_finite_differences() -> None:
    experts, x, routing = make_case(7, 4, 2, torch.float64)
    inputs = (x, routing.gates_Nk, experts.gate_up_EDF.detach(), experts.down_EFD.detach())
    inputs = tuple(tensor.clone().requires_grad_() for tensor in inputs)
    blocked = DISPATCHES.get("blocked")
    assert torch.autograd.gradcheck(
        lambda x, gates, up, down: blocked(x, dataclasses.replace(routing, gates_Nk=gates), up, down), inputs
    )


@pytest.mark.parametrize("name", [*FAST, "loop"])
def test_in_bf16_a_dispatch_is_the_fp32_loop_to_the_precision_of_bf16(name: str) -> None:
    experts, x, routing = make_case(40, 8, 2)
    expected = run("loop", experts, x, routing)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = DISPATCHES.get(name)(x, routing, experts.gate_up_EDF, experts.down_EFD)
    assert y.dtype == x.dtype
    assert float((y.detach() - expected).norm() / expected.norm()) < 0.02


@pytest.mark.parametrize("name", [*FAST, "loop"])
def test_one_expert_with_gate_one_equals_the_dense_ffn(name: str) -> None:
    experts, x, routing = make_case(21, 1, 1)
    dense = SwiGLU(MOE.d_model, MOE.d_expert)
    with torch.no_grad():
        dense.gate_up.weight.copy_(experts.gate_up_EDF[0].t())
        dense.down.weight.copy_(experts.down_EFD[0].t())
    routing = dataclasses.replace(routing, gates_Nk=torch.ones_like(routing.gates_Nk))
    y = DISPATCHES.get(name)(x, routing, experts.gate_up_EDF, experts.down_EFD)
    torch.testing.assert_close(y, dense(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["auto", "blocked", "grouped_mm"])
def test_at_decode_only_the_chosen_experts_are_touched(name: str) -> None:
    """The others hold NaN, which any product with them would spread."""
    experts, x, routing = make_case(2, 64, 2)
    others = [e for e in range(64) if e not in routing.experts_Nk.flatten().tolist()]
    with torch.no_grad():
        experts.gate_up_EDF[others] = float("nan")
        experts.down_EFD[others] = float("nan")
        assert torch.isfinite(DISPATCHES.get(name)(x, routing, experts.gate_up_EDF, experts.down_EFD)).all()
