"""Parameters equal the modules that transformers builds, and what the publishers say of their models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.flops.published.count import count_model
from harness.flops.published.readers import FAMILIES, read_shape, shape_from_config
from tests.unit.flops.published.small import (
    CONFIGS,
    PUBLISHED,
    SMALL,
    build_config,
    build_module,
    count_module_params,
    load_published,
)

# What the publishers state, in billions: total, active, and whether active leaves out the input embedding.
STATED = {
    "deepseek-moe-16b": (16.4, 2.8, "all"),
    "deepseek-v2": (236, 21, "all"),
    "deepseek-v2-lite": (15.7, 2.4, "head"),
    "deepseek-v3": (671, 36.6, "head"),  # README_WEIGHTS: "36.6B (including 0.9B for the output Head)"
    "gpt-oss-120b": (116.83, 5.13, "head"),  # model card: unembedding counted as active, embedding not
    "gpt-oss-20b": (20.91, 3.61, "head"),
    "llama-4-maverick": (400, 17, "all"),
    "mixtral-8x22b": (141, 39, "all"),
    "mixtral-8x7b": (46.7, 12.9, "all"),
    "olmoe-1b-7b": (6.9, 1.3, "all"),
    "qwen1.5-moe-a2.7b": (14.3, 2.7, "all"),
    "qwen2-57b-a14b": (57.4, 14, "all"),
    "qwen3-235b-a22b": (235, 22, "all"),
    "qwen3-30b-a3b": (30.5, 3.3, "all"),
}


def _assert_equals_module(config: dict[str, Any]) -> None:
    count = count_model(shape_from_config(config))
    module = build_module(config)
    assert count.total_params == count_module_params(module)
    named = dict(module.named_parameters())
    routed = sum(p.numel() for name, p in named.items() if ".experts." in name)
    if count.num_experts is None or count.top_k is None:
        assert routed == 0
        assert count.active_params == count.total_params
    else:
        unused = routed * (count.num_experts - count.top_k)
        assert unused % count.num_experts == 0
        assert count.active_params == count.total_params - unused // count.num_experts
    embeddings = sum(p.numel() for name, p in named.items() if name.endswith(("embed_tokens.weight", "lm_head.weight")))
    assert count.total_non_embedding_params == count.total_params - embeddings
    assert count.active_non_embedding_params == count.active_params - embeddings


@pytest.mark.parametrize("name", SMALL)
def test_a_small_config_counts_what_its_module_holds(name: str) -> None:
    _assert_equals_module(SMALL[name])


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "deepseek-moe-16b"])
def test_a_published_config_counts_what_its_module_holds(name: str) -> None:
    _assert_equals_module(load_published(name))


def test_every_family_is_checked_small_and_published() -> None:
    small = {config["model_type"] for config in SMALL.values()}
    published = {load_published(name)["model_type"] for name in PUBLISHED}
    assert small | {"llama4", "deepseek"} == set(FAMILIES)  # transformers has no module for "deepseek"
    assert published | {"llama4_text"} == set(FAMILIES)


def test_deepseekmoe_is_llamas_attention_with_v2s_experts() -> None:
    """transformers has no such module: the same sum by hand, and the checkpoint's 16,375,728,128 parameters."""
    attention = 4 * 2048 * 2048
    norms = 2 * 2048
    first = attention + norms + 3 * 2048 * 10944
    sparse = attention + norms + 64 * 2048 + (64 + 2) * 3 * 2048 * 1408
    count = count_model(read_shape(CONFIGS / "deepseek-moe-16b.json"))
    assert count.total_params == 2 * 102400 * 2048 + 2048 + first + 27 * sparse == 16_375_728_128
    assert count.total_params - count.active_params == 27 * (64 - 6) * 3 * 2048 * 1408


@pytest.mark.parametrize("name", STATED)
def test_a_published_model_has_the_size_that_its_publisher_states(name: str) -> None:
    total, active, convention = STATED[name]
    count = count_model(read_shape(CONFIGS / f"{name}.json"))
    assert count.total_params / 1e9 == pytest.approx(total, rel=0.004)
    counted = count.active_params if convention == "all" else count.active_params_without_input_embedding
    assert counted / 1e9 == pytest.approx(active, rel=0.022)


@pytest.mark.parametrize(("name", "num_bytes"), [("gpt-oss-20b", 13_761_264_768), ("gpt-oss-120b", 65_248_815_744)])
def test_mxfp4_weights_have_the_bytes_of_the_checkpoint(name: str, num_bytes: int) -> None:
    """The `total_size` of the checkpoints' safetensors indices."""
    assert count_model(read_shape(CONFIGS / f"{name}.json")).weight_bytes == num_bytes


def test_fp8_weights_have_the_bytes_of_the_checkpoint() -> None:
    """688,586,727,753 bytes of files, file headers, prediction module and its copies of embedding and head included."""
    shape = read_shape(CONFIGS / "deepseek-v3.json")
    count = count_model(shape)
    assert count.mtp_params is not None
    assert count.weight_bytes is not None
    projection = 2 * 7168 * 7168  # kept in two bytes
    copies = 2 * (count.embedding_params + count.untied_head_params)
    scales = 4 * count.mtp_params / (128 * 128)
    stored = count.weight_bytes + count.mtp_params + projection + copies + scales
    assert stored == pytest.approx(688_586_727_753, rel=3e-5)


@pytest.mark.parametrize("name", SMALL)
def test_a_config_written_by_transformers_reads_the_same(name: str, tmp_path: Path) -> None:
    config = SMALL[name]
    if config["model_type"] == "deepseek_v3":
        config = {**config, "num_nextn_predict_layers": 1}
    build_config(config).save_pretrained(tmp_path)
    assert count_model(read_shape(tmp_path)) == count_model(shape_from_config(config))


@pytest.mark.parametrize("tied", [False, True])
def test_tying_saves_one_embedding_and_no_flops(tied: bool) -> None:
    config = {**SMALL["llama"], "tie_word_embeddings": tied}
    count, untied = count_model(shape_from_config(config)), count_model(shape_from_config(SMALL["llama"]))
    assert untied.total_params - count.total_params == (96 * 32 if tied else 0)
    assert count.total_non_embedding_params == untied.total_non_embedding_params
    assert count.forward_flops_per_token == untied.forward_flops_per_token


def test_a_layer_adds_the_same_again() -> None:
    totals = [
        count_model(shape_from_config({**SMALL["mixtral"], "num_hidden_layers": n})).total_params for n in (1, 2, 5)
    ]
    assert totals[2] - totals[0] == 4 * (totals[1] - totals[0])


def test_moe_layer_freq_makes_layers_dense_as_in_deepseeks_own_code() -> None:
    """transformers ignores the key, so the layers' sizes come from two of its modules and are put together here."""
    base = {**SMALL["deepseek_v2"], "num_hidden_layers": 6}
    all_dense = count_module_params(build_module({**base, "first_k_dense_replace": 6}))
    per_sparse = count_module_params(build_module({**base, "first_k_dense_replace": 5})) - all_dense
    count = count_model(shape_from_config({**base, "first_k_dense_replace": 1, "moe_layer_freq": 2}))
    assert count.num_sparse_layers == 2  # layers 2 and 4
    assert count.total_params == all_dense + 2 * per_sparse
    assert any("moe_layer_freq" in note for note in count.notes)


def test_the_prediction_module_stands_beside_the_main_model() -> None:
    """Published: 11.5B parameters of its own; one sparse layer, a projection from twice the width, three norms."""
    count = count_model(read_shape(CONFIGS / "deepseek-v3.json"))
    config = load_published("deepseek-v3")
    longer = count_module_params(build_module({**config, "num_hidden_layers": 62}))
    assert count.mtp_params == longer - count.total_params + 2 * 7168 * 7168 + 3 * 7168
    assert count.mtp_params / 1e9 == pytest.approx(11.5, rel=0.01)
    none = count_model(shape_from_config({**config, "num_nextn_predict_layers": 0}))
    unknown = count_model(shape_from_config({k: v for k, v in config.items() if k != "num_nextn_predict_layers"}))
    assert none.mtp_params is None
    assert "no such module" in str(none.mtp_reason)
    assert unknown.mtp_params is None
    assert "does not say" in str(unknown.mtp_reason)


def test_nested_text_config_reads_like_the_text_config_alone() -> None:
    whole = load_published("llama-4-scout")
    assert count_model(shape_from_config(whole)) == count_model(shape_from_config(whole["text_config"]))
