"""Copies of weights serve decoding and are never older than the weights."""

from __future__ import annotations

import copy

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.infer import prepare
from harness.infer.engine import decode, prefill
from harness.models import few_tokens, packed
from harness.models.few_rows import COPIES, TIMED_ROWS, Form, Forms
from harness.models.linear import Linear
from harness.models.packed import has_onednn
from harness.models.transformer import Transformer
from tests.unit.models.configs import CONFIGS, DENSE, MOE, with_random_weights


@pytest.fixture(autouse=True, params=list(COPIES), ids=lambda form: form.value)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Form:
    """Let every weight be decoded by copies of one form, however small it is and whatever is the fastest."""
    if request.param is Form.PACKED and not has_onednn():
        pytest.skip("this torch has no oneDNN")
    for module in (few_tokens, packed):
        monkeypatch.setattr(module, "SMALL_WEIGHT", 0)
    forms = Forms((request.param,) * len(TIMED_ROWS))
    monkeypatch.setattr(prepare, "find_fastest", lambda weights, candidates: forms)
    monkeypatch.setattr(prepare, "_found", {})
    return request.param


def answer(model: Transformer) -> torch.Tensor:
    prompts = torch.randint(0, 64, (5, 7), generator=torch.Generator().manual_seed(3))
    return decode(model, prefill(model, prompts, 6), 6)


def copies_of(model: Transformer) -> list[object]:
    return [module for module in model.modules() if getattr(module, "copied", None) is not None]


@pytest.mark.parametrize("config", CONFIGS)
def test_decoding_by_copies_equals_the_full_forward(config: ModelConfig) -> None:
    model = with_random_weights(config)
    answers = answer(model)
    assert copies_of(model)
    prompts = torch.randint(0, 64, (5, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for step in range(6):
            expected = model(prompts).logits_BTV[:, -1].argmax(-1)
            assert torch.equal(answers[:, step], expected), step
            prompts = torch.cat((prompts, expected[:, None]), dim=1)


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_after_a_fused_optimiser_step_decoding_reads_the_new_weights(config: ModelConfig) -> None:
    model = with_random_weights(config)
    answer(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, fused=True)
    model(torch.randint(0, 64, (2, 9))).logits_BTV.square().mean().backward()
    assert not copies_of(model)
    optimizer.step()
    fresh = copy.deepcopy(model)
    assert torch.equal(answer(model), answer(fresh))


def test_where_memory_is_short_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "LARGEST_SHARE", 0.0)
    model = with_random_weights(DENSE)
    answer(model)
    assert not copies_of(model)
    assert not any(layer.copied for layer in model.modules() if isinstance(layer, Linear))


def test_a_compiled_training_step_after_decoding_forgets_the_copies() -> None:
    model = with_random_weights(DENSE).train()
    tokens = torch.randint(0, 64, (2, 9), generator=torch.Generator().manual_seed(3))
    torch.compiler.reset()
    step = torch.compile(lambda: model(tokens).logits_BTV.square().mean(), backend="aot_eager", fullgraph=True)
    step().backward()
    expected = model.embedding.weight.grad
    answer(model)
    assert copies_of(model)
    model.zero_grad()
    step().backward()
    assert not copies_of(model)
    assert torch.equal(model.embedding.weight.grad, expected)


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_batches_of_several_sizes_in_turn_copy_nothing_again(
    config: ModelConfig, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_for_one = Forms((Form.PLAIN, *(form,) * (len(TIMED_ROWS) - 1)))
    monkeypatch.setattr(prepare, "find_fastest", lambda weights, candidates: plain_for_one)
    model = with_random_weights(config)
    copies = []
    for batch in (5, 1, 5):
        prefill_only = torch.randint(0, 64, (batch, 7), generator=torch.Generator().manual_seed(3))
        prefill(model, prefill_only, 2)
        copies.append([module.copied for module in copies_of(model)])
    assert copies[0]
    assert all(old is new for old, new in zip(copies[0], copies[2], strict=True))


def test_of_the_forms_that_take_a_copy_one_is_a_candidate() -> None:
    assert prepare._candidates([torch.randn(4, 4)], routed=False)[2:] in ((Form.PACKED,), (Form.TRANSPOSED,))
    assert len(prepare._candidates([torch.randn(4, 4).double()], routed=False)) == 3
    assert Form.TRANSPOSED not in prepare._candidates([torch.randn(4, 4).double()], routed=True)
