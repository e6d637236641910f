"""`isojoule model count`: what it prints, and that a mistake is one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.command import main
from tests.unit.flops.published.small import CONFIGS, SMALL, load_published

KEYS = (
    "total_params",
    "active_params",
    "active_non_embedding_params",
    "forward_flops_per_token",
    "kv_bytes_per_token",
)


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["model", "count", *arguments, "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_json_has_the_promised_keys_as_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    content = _json(capsys, str(CONFIGS / "deepseek-v3.json"))
    assert all(isinstance(content[key], int) for key in KEYS)
    assert content["total_params"] == 671_026_404_352
    assert content["kv_bytes_per_token"] == 70_272
    assert content["forward_flops_per_token_causal"] < content["forward_flops_per_token"]
    assert content["mtp_params"] == 11_610_067_968


def test_a_folder_is_read_like_its_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(load_published("qwen3-8b")))
    assert _json(capsys, str(tmp_path)) == _json(capsys, str(CONFIGS / "qwen3-8b.json"))


def test_text_names_convention_context_and_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "count", str(CONFIGS / "gpt-oss-20b.json"), "--batch", "16"]) == 0
    text = capsys.readouterr().out
    for part in (
        "20.91B",
        "3.61B",
        "full attention",
        "causal",
        "context 2048 (default)",
        "mxfp4",
        "uniformly",
        "88.2%",
    ):
        assert part in text
    assert max(map(len, text.splitlines()[1:])) <= 115


def test_options_reach_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(CONFIGS / "deepseek-v3.json")
    content = _json(capsys, path, "--context", "4096", "--batch", "3", "--dtype", "fp32")
    assert (content["context"], content["context_source"], content["batch"]) == (4096, "given", 3)
    assert content["kv_bytes_per_token"] == 2 * 70_272
    assert content["weight_bytes"] == 4 * content["total_params"]
    assert content["expected_expert_coverage"] == pytest.approx(1 - (1 - 8 / 256) ** 3)


def test_unknown_storage_is_null_with_a_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = {**load_published("llama-3.1-8b"), "quantization_config": {"quant_method": "awq", "bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    content = _json(capsys, str(tmp_path))
    assert content["weight_bytes"] is None
    assert "awq" in content["weight_bytes_assumption"]
    assert main(["model", "count", str(tmp_path)]) == 0
    assert "unknown" in capsys.readouterr().out


def test_a_short_model_is_counted_at_its_own_maximum(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL["llama"]))
    content = _json(capsys, str(tmp_path))
    assert (content["context"], content["context_source"]) == (128, "the config's maximum")
    beyond = _json(capsys, str(tmp_path), "--context", "129")
    assert any("beyond" in note for note in beyond["notes"])


def _without(config: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


LLAMA = SMALL["llama"]
MISTAKES: dict[str, tuple[Any, str]] = {
    "unknown family": ({**LLAMA, "model_type": "lama"}, "Did you mean 'llama'?"),
    "no family": (_without(LLAMA, "model_type"), "'model_type' is missing; known: deepseek, deepseek_v2"),
    "missing key": (_without(LLAMA, "hidden_size"), "'hidden_size' is missing"),
    "misspelt key": (
        {**_without(LLAMA, "intermediate_size"), "intermediate_sise": 8},
        "'intermediate_size' is missing. Did you mean 'intermediate_sise'?",
    ),
    "negative": ({**LLAMA, "num_hidden_layers": -2}, "'num_hidden_layers' is -2; it must be at least 1"),
    "zero": ({**LLAMA, "vocab_size": 0}, "'vocab_size' is 0"),
    "fraction": ({**LLAMA, "hidden_size": 32.5}, "'hidden_size' is 32.5; a whole number is needed"),
    "truth for number": ({**LLAMA, "hidden_size": True}, "a whole number is needed"),
    "text for truth": ({**LLAMA, "attention_bias": "yes"}, "true or false is needed"),
    "uneven heads": ({**LLAMA, "hidden_size": 33}, "give 'head_dim'"),
    "uneven groups": ({**LLAMA, "num_key_value_heads": 3}, "cannot share 3 key-value heads evenly"),
    "too few experts": ({**SMALL["mixtral"], "num_experts_per_tok": 9}, "there are only 6 experts"),
    "two spellings": ({**SMALL["mixtral"], "num_experts": 9}, "name the same thing and disagree"),
    "layer types": ({**SMALL["qwen2"], "layer_types": ["full_attention"]}, "lists 1 layers"),
    "unknown layer type": ({**SMALL["qwen2"], "layer_types": ["linear_attention"] * 4}, "'linear_attention'; known"),
    "no window": ({**SMALL["qwen2"], "layer_types": ["sliding_attention"] * 4}, "gives no size for it"),
    "no text part": ({"model_type": "llama4"}, "'text_config' is missing"),
    "unknown dtype": ({**LLAMA, "dtype": "bfloat17"}, "Did you mean 'bfloat16'?"),
    "a list": ([1], "holds no JSON object"),
}


def _expect_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], part: str) -> None:
    assert main(["model", "count", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("isojoule: ")
    assert captured.err.count("\n") == 1
    assert part in captured.err


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_the_config_is_one_line(case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    content, part = MISTAKES[case]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    _expect_one_line(capsys, [str(path)], part)


def test_a_file_that_is_not_there_or_no_json_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _expect_one_line(capsys, [str(tmp_path / "nothing.json")], "no such file")
    _expect_one_line(capsys, [str(tmp_path)], "no such file")
    (tmp_path / "config.json").write_text("{")
    _expect_one_line(capsys, [str(tmp_path)], "is no JSON")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    _expect_one_line(capsys, [str(tmp_path)], "is no JSON")


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("--context", "0", "--context is '0'"),
        ("--context", "-5", "--context is '-5'"),
        ("--context", "8k", "give a whole number"),
        ("--batch", "0", "--batch is '0'"),
        ("--dtype", "fp3", "unknown dtype 'fp3'"),
    ],
)
def test_a_mistaken_option_is_one_line(option: str, value: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    _expect_one_line(capsys, [str(CONFIGS / "qwen3-8b.json"), f"{option}={value}"], part)
