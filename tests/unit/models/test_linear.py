"""Products with few rows equal torch's own, whatever their shape."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from harness.models import linear as module
from harness.models import packed as packed_module
from harness.models.linear import FEW_ROWS, Linear, linear
from harness.models.packed import has_onednn


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("num_outputs", [10, 7])
@pytest.mark.parametrize("shape", [(1, 6), (1, 1, 6), (3, 6), (2, 2, 6), (FEW_ROWS, 6), (FEW_ROWS + 1, 6)])
def test_few_rows_give_what_torch_gives(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], num_outputs: int, bias: bool
) -> None:
    monkeypatch.setattr(module, "SMALL_WEIGHT", 0)
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(shape, generator=generator), torch.randn(num_outputs, 6, generator=generator)
    offset = torch.randn(num_outputs, generator=generator) if bias else None
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, offset), F.linear(x, weight, offset))


def test_training_takes_torchs_own_product_and_its_gradients() -> None:
    layer = Linear(6, 4)
    x = torch.randn(2, 6, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 6))


def test_weights_of_another_precision_are_left_to_torch() -> None:
    with torch.no_grad(), pytest.raises(RuntimeError):
        linear(torch.randn(1, 6), torch.randn(4, 6).bfloat16())


@pytest.mark.parametrize("num_rows", [1, 2, 3, 4, 16])
def test_a_packed_weight_gives_what_torch_gives_and_knows_when_it_is_stale(
    monkeypatch: pytest.MonkeyPatch, num_rows: int
) -> None:
    if not has_onednn():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(packed_module, "SMALL_WEIGHT", 0)
    monkeypatch.setattr(module, "SMALL_WEIGHT", 0)
    generator = torch.Generator().manual_seed(0)
    layer = Linear(24, 7)
    x = torch.randn(num_rows, 24, generator=generator)
    with torch.no_grad():
        layer.pack()
        assert layer.packed is not None
        assert layer.packed.is_fresh(layer.weight)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
        layer.weight += 1.0
        assert not layer.packed.is_fresh(layer.weight)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    assert copy.deepcopy(layer).packed is None
