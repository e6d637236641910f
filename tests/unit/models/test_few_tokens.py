"""Experts for a few tokens at inference equal the loop, packed or not, chosen or all at once."""

from __future__ import annotations

import pytest
import torch

from harness.models import few_tokens, packed
from harness.models.dispatch import DISPATCHES
from harness.models.few_rows import TIMED_ROWS, Form, Forms
from harness.models.few_tokens import pack_experts, run_few_tokens, run_one_token
from harness.models.packed import has_onednn
from tests.unit.models.test_dispatch import SHAPES, make_case


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(("num_tokens", "num_experts", "top_k"), SHAPES)
@pytest.mark.parametrize("kind", ["small", "large", "halves", "packed"])
def test_a_few_tokens_equal_the_loop(  # noqa: PLR0917 - one parameter a choice
    monkeypatch: pytest.MonkeyPatch, kind: str, num_tokens: int, num_experts: int, top_k: int, drop: bool
) -> None:
    experts, x, routing = make_case(num_tokens, num_experts, top_k, drop=drop)
    weights = experts.gate_up_EDF.detach(), experts.down_EFD.detach()
    expected = DISPATCHES.get("loop")(x, routing, *weights)
    copies, forms = None, None
    if kind == "halves":
        forms = Forms((Form.HALVES,) * len(TIMED_ROWS))
    if kind != "small":
        monkeypatch.setattr(few_tokens, "SMALL_WEIGHT", 0)
        monkeypatch.setattr(packed, "SMALL_WEIGHT", 0)
    if kind == "packed":
        if not has_onednn():
            pytest.skip("this torch has no oneDNN")
        copies, forms = pack_experts(None, *weights), Forms((Form.PACKED,) * len(TIMED_ROWS))
        assert copies is not None
    with torch.no_grad():
        y = run_few_tokens(x, routing.experts_Nk, routing.gates_Nk, *weights, copies, forms)
    torch.testing.assert_close(y, expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(("num_experts", "top_k"), [(1, 1), (4, 2), (5, 5)])
def test_one_token_by_copied_weights_equals_the_loop(num_experts: int, top_k: int, drop: bool) -> None:
    experts, x, routing = make_case(1, num_experts, top_k, drop=drop)
    weights = experts.gate_up_EDF.detach(), experts.down_EFD.detach()
    expected = DISPATCHES.get("loop")(x, routing, *weights)
    y = run_one_token(x.detach(), routing.experts_Nk, routing.gates_Nk, *weights)
    torch.testing.assert_close(y, expected.detach(), rtol=1e-4, atol=1e-5)
