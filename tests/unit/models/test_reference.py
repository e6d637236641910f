"""Logits and greedy answers equal those of transformers' models, weights carried over both ways through checkpoints."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from harness.infer.engine import decode, prefill
from harness.models.folder import load_model, save_model
from harness.models.huggingface.checkpoint import export_checkpoint, import_checkpoint
from tests.unit.models.configs import MOE, with_random_weights
from tests.unit.models.published import FAMILIES, build

TOKENS = torch.randint(0, 64, (2, 100), generator=torch.Generator().manual_seed(1))


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert float((found - expected).norm() / expected.norm()) < 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_equal_those_of_transformers_and_weights_go_both_ways(name: str, tmp_path: Path) -> None:
    theirs: Any = build(name)
    theirs.save_pretrained(tmp_path / "hub")
    assert import_checkpoint(tmp_path / "hub", tmp_path / "ours").left_out == ()
    ours = load_model(tmp_path / "ours")
    with torch.no_grad():
        expected = theirs(TOKENS).logits
        assert_same(ours(TOKENS).logits_BTV, expected)

    export_checkpoint(tmp_path / "ours", tmp_path / "back")
    again, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "back", attn_implementation="eager", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    with torch.no_grad():
        assert_same(again.eval()(TOKENS).logits, expected)
    if "halves" not in name:  # that one comes back with its rotation as published checkpoints have it
        before, after = read_tensors(tmp_path / "hub"), read_tensors(tmp_path / "back")
        assert before.keys() == after.keys()
        assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_answers_equal_those_of_generate(name: str, tmp_path: Path) -> None:
    theirs: Any = build(name)
    theirs.save_pretrained(tmp_path / "hub")
    import_checkpoint(tmp_path / "hub", tmp_path / "ours")
    ours = load_model(tmp_path / "ours")
    prompts = TOKENS[:, :70]
    expected = theirs.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=12, min_new_tokens=12, do_sample=False
    )
    assert decode(ours, prefill(ours, prompts, 12), 12).tolist() == expected[:, 70:].tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": "mla"},
        {"router": "mixtral", "num_dense_layers": 0, "num_shared_experts": 0},
        {"router": "olmoe", "num_dense_layers": 0, "num_shared_experts": 0, "qk_norm_width": "all"},
    ],
    ids=["deepseek_v3", "qwen3_moe", "olmoe"],
)
def test_a_model_of_ours_gives_the_same_logits_in_transformers(changes: dict[str, Any], tmp_path: Path) -> None:
    ours = with_random_weights(dataclasses.replace(MOE, **changes))
    save_model(ours, tmp_path / "ours")
    done = export_checkpoint(tmp_path / "ours", tmp_path / "hub", max_bytes=20_000)
    assert len(list((tmp_path / "hub").glob("*.safetensors"))) > 1
    index = json.loads((tmp_path / "hub" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == done.num_bytes
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hub", attn_implementation="eager").eval()
    with torch.no_grad():
        assert_same(theirs(TOKENS).logits, ours(TOKENS).logits_BTV)
