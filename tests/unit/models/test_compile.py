"""A compiled model is the same model: ``torch.compile`` without its code generator, which takes half a minute."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.models import build_model, written_out
from harness.models.dispatch import DISPATCHES
from harness.models.router import count_load
from harness.train.loss import training_loss
from tests.unit.models.configs import DENSE, MOE
from tests.unit.models.test_dispatch import SHAPES, make_case, run


@pytest.mark.parametrize(
    "config", [DENSE, MOE, dataclasses.replace(MOE, attention="mla", router="mixtral")], ids=["dense", "moe", "mla"]
)
def test_outputs_and_gradients_are_the_same_when_compiled(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    tokens = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(0))
    found = []
    for forward in (model, torch.compile(model, backend="aot_eager")):
        model.zero_grad()
        logits = forward(tokens).logits_BTV
        logits.square().mean().backward()
        grads = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        found.append([logits.detach(), *grads])
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("blocked_bytes", [0, 1 << 60], ids=["blocked", "gathered"])
@pytest.mark.parametrize("router", ["mixtral", "switch", "deepseek_v3"])
def test_a_training_step_of_a_sparse_model_is_one_graph(
    monkeypatch: pytest.MonkeyPatch, router: str, blocked_bytes: int
) -> None:
    monkeypatch.setattr(written_out, "BLOCKED_BYTES", blocked_bytes)
    torch.compiler.reset()
    model = build_model(dataclasses.replace(MOE, router=router), seed=0).train()
    tokens = torch.randint(0, 64, (2, 17), generator=torch.Generator().manual_seed(0))

    def loss() -> torch.Tensor:
        return training_loss(model(tokens[:, :-1]), tokens[:, 1:], model.config)[1]

    found = []
    for one in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        model.zero_grad()
        total = one()
        total.backward()
        grads = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        found.append([total.detach(), *grads])
    assert len(found[0]) > len(list(model.parameters())) // 2
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(("num_tokens", "num_experts", "top_k"), SHAPES)
@pytest.mark.parametrize("name", ["auto", "blocked"])
def test_a_compiled_dispatch_equals_the_loop(  # noqa: PLR0917 - one parameter a choice
    monkeypatch: pytest.MonkeyPatch, name: str, num_tokens: int, num_experts: int, top_k: int, drop: bool
) -> None:
    torch.compiler.reset()
    case = make_case(num_tokens, num_experts, top_k, drop=drop)
    expected = run("loop", *case)
    compiled = torch.compile(DISPATCHES.get(name), backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(DISPATCHES, "get", lambda _: compiled)
    for slow, fast in zip(expected, run(name, *case), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_loads_counted_in_a_compiled_step_are_those_of_bincount() -> None:
    experts = torch.randint(0, 6, (9, 2), generator=torch.Generator().manual_seed(0))  # 5 is a dropped choice
    expected = torch.bincount(experts.flatten(), minlength=6)[:5]
    counted = torch.compile(lambda chosen: count_load(chosen, 5), backend="aot_eager", fullgraph=True)
    assert torch.equal(count_load(experts, 5), expected)
    assert torch.equal(counted(experts), expected)
    with torch.no_grad():
        assert torch.equal(counted(experts), expected)
