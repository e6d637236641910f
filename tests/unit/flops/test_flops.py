"""Formula FLOPs equal traced FLOPs, forward and backward; nothing that multiplies matrices goes uncounted."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from harness.core.model_config import ModelConfig, MoEConfig
from harness.flops.executed import ExpertRows, count_executed_train_flops_per_token
from harness.flops.formulas import (
    count_decode_flops,
    count_forward_flops_per_token,
    count_prefill_flops,
    count_train_flops_per_token,
    forward_flops,
    swiglu_flops,
)
from harness.flops.traced import UnregisteredOpError, trace_flops
from harness.infer.engine import decode, prefill
from harness.models import build_model
from harness.models.dispatch import DISPATCHES, count_rows
from harness.models.transformer import Output
from harness.train.loss import training_loss
from tests.unit.models.configs import CONFIGS, DENSE, MOE

CONTEXT = 24


DISPATCHED = [dataclasses.replace(MOE, dispatch=name) for name in ("loop", "grouped_mm", "bmm")]
DROPPING = [
    dataclasses.replace(MOE, router="switch", top_k=1, capacity_factor=0.5, dispatch=name)
    for name in DISPATCHES
    if name != "fused"  # test_fused_dispatch.py traces that one
]


@pytest.mark.parametrize("config", [*CONFIGS, *DISPATCHED, *DROPPING])
def test_formula_equals_trace_forward_and_backward(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    tokens = torch.randint(0, config.vocab_size, (3, CONTEXT), generator=torch.Generator().manual_seed(0))
    outputs: list[Output] = []

    def train_step() -> None:
        outputs.append(model.train()(tokens))
        training_loss(outputs[0], tokens, config)[1].backward()

    def forward() -> None:
        with torch.no_grad():
            outputs.append(model.eval()(tokens))

    num_tokens = tokens.numel()
    expected = count_train_flops_per_token(config, CONTEXT)
    trained, evaluated = trace_flops(train_step), trace_flops(forward)
    forward_expected = count_forward_flops_per_token(config, CONTEXT)
    if isinstance(config, MoEConfig):
        rows = [ExpertRows(*count_rows(output.routings, config.dispatch).tolist()) for output in outputs]
        expected = count_executed_train_flops_per_token(config, CONTEXT, rows[0], num_tokens)
        beyond = (rows[1].multiplied - rows[1].chosen) * swiglu_flops(config.d_model, config.d_expert)
        forward_expected += beyond / num_tokens
        assert rows[0].dropped > 0 or config not in DROPPING
        assert rows[1].dropped == 0
    assert trained == pytest.approx(num_tokens * expected, rel=1e-9)
    assert evaluated == pytest.approx(num_tokens * forward_expected, rel=1e-9)


@pytest.mark.parametrize("config", CONFIGS)
def test_prefill_and_decode_formulas_equal_the_trace(config: ModelConfig) -> None:
    model = build_model(config, seed=0).eval()
    prompts = torch.randint(0, config.vocab_size, (2, CONTEXT), generator=torch.Generator().manual_seed(0))
    assert trace_flops(lambda: prefill(model, prompts, 8)) == pytest.approx(2 * count_prefill_flops(config, CONTEXT))
    filled = prefill(model, prompts, 8)
    assert trace_flops(lambda: decode(model, filled, 8)) == pytest.approx(2 * count_decode_flops(config, CONTEXT, 7))


@pytest.mark.parametrize("config", CONFIGS)
def test_components_add_up_and_the_causal_convention_halves_attention_alone(config: ModelConfig) -> None:
    full, causal = forward_flops(config, CONTEXT), forward_flops(config, CONTEXT, causal=True)
    assert full.total == count_forward_flops_per_token(config, CONTEXT)
    assert causal.attention == pytest.approx(full.attention * (CONTEXT + 1) / (2 * CONTEXT))
    assert dataclasses.replace(causal, attention=full.attention) == full
    assert full.total - forward_flops(config, CONTEXT, with_head=False).total == full.head


def test_a_moe_with_the_same_active_width_costs_a_dense_step_plus_its_routers() -> None:
    dense = dataclasses.replace(DENSE, num_layers=3)
    moe = dataclasses.replace(MOE, top_k=2, num_shared_experts=1, d_expert=16)
    routers = 2 * (2 * moe.d_model * moe.num_experts)
    gap = count_forward_flops_per_token(moe, CONTEXT) - count_forward_flops_per_token(dense, CONTEXT)
    assert gap == pytest.approx(routers)


def test_an_operator_without_a_formula_is_an_error_not_a_zero() -> None:
    with pytest.raises(UnregisteredOpError, match="register it"):
        trace_flops(
            lambda: torch.ops.aten._int_mm(torch.ones(32, 32, dtype=torch.int8), torch.ones(32, 32, dtype=torch.int8))
        )


def test_attention_and_grouped_products_are_not_silently_zero() -> None:
    q = torch.randn(1, 2, 8, 16)
    assert trace_flops(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * 2 * 2 * 8 * 8 * 16
    a, b = torch.randn(8, 16), torch.randn(2, 16, 32)
    assert trace_flops(lambda: F.grouped_mm(a, b, offs=torch.tensor([3, 8], dtype=torch.int32))) == 2 * 8 * 16 * 32
