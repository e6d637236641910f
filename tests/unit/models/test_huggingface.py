"""Checkpoints: shards, other names on disk, and what is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.cli.command import main
from harness.core.errors import ConfigError
from harness.models.folder import load_model, read_config, save_model
from harness.models.huggingface.checkpoint import export_checkpoint, import_checkpoint, parse_size
from tests.unit.models.configs import DENSE, MOE, with_random_weights
from tests.unit.models.published import build


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published Mixtral in shards."""
    folder = tmp_path_factory.mktemp("hub")
    build("mixtral").save_pretrained(folder, max_shard_size="30KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def copy_of(hub: Path, tmp_path: Path) -> Path:
    shutil.copytree(hub, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_command_imports_shards_and_exports_them(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "import", str(hub), str(tmp_path / "ours"), "--dtype", "bf16"]) == 0
    assert "mixtral" in capsys.readouterr().out
    model = load_model(tmp_path / "ours")
    assert model.embedding.weight.dtype == torch.bfloat16
    assert load_model(tmp_path / "ours", torch.float32).embedding.weight.dtype == torch.float32
    arguments = ["model", "export", str(tmp_path / "ours"), str(tmp_path / "back"), "--max-shard-size", "20KB"]
    assert main(arguments) == 0
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert (config["model_type"], config["dtype"], config["max_position_embeddings"]) == ("mixtral", "bfloat16", 256)


def test_a_model_is_the_same_after_its_folder(tmp_path: Path) -> None:
    for place, config in enumerate((DENSE, dataclasses.replace(MOE, mtp_depth=1))):
        model = with_random_weights(config)
        save_model(model, tmp_path / str(place))
        again = load_model(tmp_path / str(place))
        assert again.config == config
        tokens = torch.arange(8)[None]
        with torch.no_grad():
            assert torch.equal(model(tokens).logits_BTV, again(tokens).logits_BTV)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mixtrol"}, "Did you mean 'mixtral'"),
        ({"model_type": "gpt2"}, "cannot be imported; known: llama"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"sliding_window": 64}, "sliding_window is 64"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "rope_type 'dynamic'"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"num_local_experts": 4}, "config.json says (4, 32)"),
        ({"num_hidden_layers": 4}, "has no tensor 'model.layers.3.input_layernorm.weight'"),
    ],
)
def test_what_our_model_cannot_be_is_refused_by_name(
    hub: Path, tmp_path: Path, change: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(hub, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    assert main(["model", "import", str(folder), str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err.strip()
    assert words in line
    assert "\n" not in line
    assert not (tmp_path / "out" / "model.json").exists()


def test_a_checkpoint_that_is_not_whole_is_refused(hub: Path, tmp_path: Path) -> None:
    folder = copy_of(hub, tmp_path)
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.rename(tmp_path / "shard")
    with pytest.raises(ConfigError, match="1 of its shards are missing"):
        import_checkpoint(folder, tmp_path / "a")
    shard.write_bytes(b"\x00" * 20)
    with pytest.raises(ConfigError, match="cannot be read"):
        import_checkpoint(folder, tmp_path / "b")
    with pytest.raises(ConfigError, match="there is no"):
        import_checkpoint(tmp_path / "nowhere", tmp_path / "c")


def test_tensors_that_nobody_wants_are_named(hub: Path, tmp_path: Path) -> None:
    folder = copy_of(hub, tmp_path)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    save_file({"model.layers.9.extra": torch.ones(2)}, folder / "more.safetensors")
    index["weight_map"]["model.layers.9.extra"] = "more.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert import_checkpoint(folder, tmp_path / "ours").left_out == ("model.layers.9.extra",)


def test_a_folder_that_holds_something_is_left_alone(hub: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        import_checkpoint(hub, tmp_path / "out")
    with pytest.raises(ConfigError, match="isojoule model import"):
        read_config(tmp_path / "out")


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("llama", {}, "model.qk_norm"),
        ("olmoe", {"router": "mixtral", "num_shared_experts": 0, "num_dense_layers": 0}, "model.qk_norm_width"),
        ("gpt2", {}, "unknown --family"),
    ],
)
def test_a_family_that_cannot_say_what_a_model_is_is_refused(
    tmp_path: Path, family: str, changes: dict[str, Any], words: str
) -> None:
    config = dataclasses.replace(MOE, **changes) if changes else DENSE
    save_model(with_random_weights(config), tmp_path / "ours")
    with pytest.raises(ConfigError, match=words):
        export_checkpoint(tmp_path / "ours", tmp_path / "out", family)
    assert not (tmp_path / "out").exists()


def test_an_export_keeps_a_routers_bias_in_fp32(tmp_path: Path) -> None:
    config = dataclasses.replace(MOE, attention="mla")
    save_model(with_random_weights(config), tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "hub", dtype="bf16")
    tensors = load_file(tmp_path / "hub" / "model.safetensors")
    kinds = {tensor.dtype for name, tensor in tensors.items() if name.endswith("e_score_correction_bias")}
    assert kinds == {torch.float32}
    assert (
        tensors["lm_head.weight" if "lm_head.weight" in tensors else "model.embed_tokens.weight"].dtype
        == torch.bfloat16
    )


@pytest.mark.parametrize(("text", "size"), [("5GB", 5 * 10**9), ("200 mb", 2 * 10**8), ("1.5KB", 1500)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["5", "GB", "-1GB", "5 bananas"])
def test_what_is_no_size_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigError, match="like 5GB"):
        parse_size(text)
