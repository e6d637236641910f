"""Small models, cards and constants whose projections can be worked out by hand."""

from __future__ import annotations

from typing import Any

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.comparison import Comparison
from harness.analysis.projection.constants import DecodeConstants, choose_constants
from harness.analysis.projection.hardware import Card, load_card
from harness.analysis.projection.load import build_load
from harness.flops.published.readers import shape_from_config
from harness.flops.published.shape import Shape
from harness.flops.published.shipped import read_model

TINY_MOE: dict[str, Any] = {
    "model_type": "mixtral",
    "vocab_size": 100,
    "hidden_size": 8,
    "intermediate_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "torch_dtype": "bfloat16",
    "max_position_embeddings": 64,
}


def tiny_shape(**changes: Any) -> Shape:
    """Return the tiny sparse-expert model, with some keys changed."""
    return shape_from_config({**TINY_MOE, **changes})


def make_card(**changes: Any) -> Card:
    """Return a card on which the tiny model takes seconds and fits once."""
    figures = {
        "name": "a slow card",
        "memory_bytes": 1e6,
        "bandwidth_bytes_per_s": 1000,
        "bf16_flops_per_s": 10_000,
        "power_limit_w": 1e9,
    }
    return Card.model_validate({**figures, **changes})


def make_constants(j_per_step: float = 1.0, j_per_byte: float = 0.01, j_per_flop: float = 0.001) -> DecodeConstants:
    """Return constants in joules, as if fitted."""
    return DecodeConstants(
        j_per_step=j_per_step,
        j_per_byte=j_per_byte,
        j_per_flop=j_per_flop,
        constants_origin="fitted",
        rms=0.1,
        rms_reason=None,
        source="made up",
    )


def published(dense: str, moe: str, hardware: str = "h100", context: int = 1024, **assumed: float) -> Comparison:
    """Return the comparison of two shipped models on a shipped card."""
    card = load_card(hardware)
    return Comparison(
        dense=build_load(read_model(dense)),
        moe=build_load(read_model(moe)),
        card=card,
        constants=choose_constants(card),
        assumptions=Assumptions(**assumed),
        context=context,
    )
