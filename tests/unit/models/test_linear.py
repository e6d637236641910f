"""Products with few rows equal torch's own, whatever their shape and form."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from harness.models import packed
from harness.models.few_rows import COPIES, TIMED_ROWS, Form, Forms
from harness.models.linear import FEW_ROWS, Linear, linear, renew
from harness.models.packed import has_onednn


@pytest.fixture(autouse=True)
def _pack_small_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "SMALL_WEIGHT", 0)


def always(form: Form) -> Forms:
    if form is Form.PACKED and not has_onednn():
        pytest.skip("this torch has no oneDNN")
    return Forms((form,) * len(TIMED_ROWS))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("num_outputs", [10, 7])
@pytest.mark.parametrize("shape", [(1, 6), (1, 1, 6), (3, 6), (2, 2, 6), (FEW_ROWS, 6), (FEW_ROWS + 1, 6)])
@pytest.mark.parametrize("form", Form)
def test_few_rows_give_what_torch_gives(form: Form, shape: tuple[int, ...], num_outputs: int, bias: bool) -> None:
    forms = always(form)
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(shape, generator=generator), torch.randn(num_outputs, 6, generator=generator)
    offset = torch.randn(num_outputs, generator=generator) if bias else None
    with torch.no_grad():
        y = linear(x, weight, offset, renew(None, weight, form), forms)
        torch.testing.assert_close(y, F.linear(x, weight, offset))


def test_training_takes_torchs_own_product_and_its_gradients() -> None:
    layer = Linear(6, 4)
    layer.prepare(always(Form.TRANSPOSED), 2)
    x = torch.randn(2, 6, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 6))


def test_weights_of_another_precision_are_left_to_torch() -> None:
    with torch.no_grad(), pytest.raises(RuntimeError):
        linear(torch.randn(1, 6), torch.randn(4, 6).bfloat16(), forms=always(Form.HALVES))


@pytest.mark.parametrize("num_rows", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("form", list(COPIES))
def test_a_copy_gives_what_torch_gives_and_knows_when_it_is_stale(form: Form, num_rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = Linear(24, 7)
    x = torch.randn(num_rows, 24, generator=generator)
    with torch.no_grad():
        layer.prepare(always(form), num_rows)
        assert layer.copied is not None
        assert layer.copied.is_fresh(layer.weight)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
        layer.weight += 1.0
        assert not layer.copied.is_fresh(layer.weight)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
        stale = layer.copied
        layer.prepare(always(form), num_rows)
        assert layer.copied is not stale
    assert copy.deepcopy(layer).copied is None


def test_batches_of_several_sizes_in_turn_share_one_copy() -> None:
    layer = Linear(24, 8)
    forms = Forms((Form.HALVES, *(Form.TRANSPOSED,) * (len(TIMED_ROWS) - 1)))
    layer.prepare(forms, 8)
    copied = layer.copied
    for num_tokens in (1, 8):
        layer.prepare(forms, num_tokens)
        assert layer.copied is copied
    x = torch.randn(1, 24)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("autocast", [False, True])
def test_one_row_of_a_compiled_step_has_the_precision_that_torch_gives(
    monkeypatch: pytest.MonkeyPatch, autocast: bool
) -> None:
    monkeypatch.setattr(packed, "SMALL_WEIGHT", 1 << 19)
    torch.compiler.reset()
    layer, x = Linear(24, 8), torch.randn(1, 24)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y, expected = compiled(x), F.linear(x, layer.weight, layer.bias)
    assert y.dtype == expected.dtype == (torch.bfloat16 if autocast else torch.float32)
    torch.testing.assert_close(y, expected)
