"""Multi-token prediction of a published DeepSeek-V3: the same logits by the published formula, weights both ways."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from harness.models.folder import load_model, read_config, save_model
from harness.models.huggingface.checkpoint import export_checkpoint, import_checkpoint
from tests.unit.models.configs import MOE, with_random_weights
from tests.unit.models.published import deepseek
from tests.unit.models.test_reference import assert_same, read_tensors

LAYERS = 3
EXTRA = f"model.layers.{LAYERS}."
TOKENS = torch.randint(0, 64, (2, 40), generator=torch.Generator().manual_seed(1))


def random_model(**changes: object) -> AutoModelForCausalLM:
    model = AutoModelForCausalLM.from_config(deepseek(**changes), attn_implementation="eager").eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.normal_(1.0 if name.endswith("norm.weight") else 0.0, 0.3 if "norm" in name else 0.2)
    return model


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor]:
    """A checkpoint with one module, and the module's logits (B, T - 1, V) on `TOKENS`, computed plainly.

    The decoder layer and the norm after it are a model of transformers of one layer.
    """
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hub")
    main, layer = random_model(num_nextn_predict_layers=1), random_model(num_hidden_layers=1, first_k_dense_replace=0)
    main.save_pretrained(folder)
    layer.save_pretrained(folder / "layer")
    width = main.config.hidden_size
    enorm, hnorm = 1 + 0.3 * torch.randn(width), 1 + 0.3 * torch.randn(width)
    eh_proj = 0.2 * torch.randn(width, 2 * width)
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in load_file(folder / "layer" / "model.safetensors").items():
        if name.startswith("model.layers.0."):
            tensors[name.replace("model.layers.0.", EXTRA)] = tensor
    tensors |= {
        f"{EXTRA}enorm.weight": enorm,
        f"{EXTRA}hnorm.weight": hnorm,
        f"{EXTRA}eh_proj.weight": eh_proj,
        f"{EXTRA}shared_head.norm.weight": layer.model.norm.weight.detach().clone(),
        f"{EXTRA}shared_head.head.weight": tensors["lm_head.weight"].clone(),
        f"{EXTRA}embed_tokens.weight": tensors["model.embed_tokens.weight"].clone(),
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    def norm(x: Tensor, gain: Tensor) -> Tensor:
        return F.rms_norm(x, (width,), gain, main.config.rms_norm_eps)

    with torch.no_grad():
        hidden = main.model(TOKENS).last_hidden_state  # after the final norm
        following = main.model.embed_tokens(TOKENS)[:, 1:]
        joined = torch.cat((norm(following, enorm), norm(hidden[:, :-1], hnorm)), dim=-1) @ eh_proj.T
        logits = layer.model(inputs_embeds=joined).last_hidden_state @ main.lm_head.weight.T
    return folder, logits


def predictions(folder: Path) -> Tensor:
    model = load_model(folder).train()
    with torch.no_grad():
        (logits,) = model(TOKENS).mtp_logits
    return logits


def test_a_published_module_predicts_as_the_formula_says_and_goes_back_bit_for_bit(
    hub: tuple[Path, Tensor], tmp_path: Path
) -> None:
    folder, expected = hub
    assert import_checkpoint(folder, tmp_path / "ours").left_out == ()
    config, _ = read_config(tmp_path / "ours")
    assert (config.mtp_depth, config.mtp_normed) == (1, True)
    assert_same(predictions(tmp_path / "ours"), expected)
    assert export_checkpoint(tmp_path / "ours", tmp_path / "back", max_bytes=20_000).left_out == ()
    before, after = load_file(folder / "model.safetensors"), read_tensors(tmp_path / "back")
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert json.loads((tmp_path / "back" / "config.json").read_text())["num_nextn_predict_layers"] == 1


def test_the_bare_stream_would_predict_something_else(hub: tuple[Path, Tensor], tmp_path: Path) -> None:
    folder, expected = hub
    import_checkpoint(folder, tmp_path / "ours")
    content = json.loads((tmp_path / "ours" / "model.json").read_text())
    content["config"]["mtp_normed"] = False
    (tmp_path / "ours" / "model.json").write_text(json.dumps(content))
    assert float((predictions(tmp_path / "ours") - expected).norm() / expected.norm()) > 0.01


def changed(hub: Path, tmp_path: Path, change: dict[str, Tensor | None]) -> Path:
    """Return a copy of the checkpoint with tensors replaced, or taken away."""
    target = tmp_path / "changed"
    target.mkdir()
    tensors = load_file(hub / "model.safetensors") | change
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, target / "model.safetensors")
    (target / "config.json").write_bytes((hub / "config.json").read_bytes())
    return target


@pytest.mark.parametrize("copy", ["shared_head.head.weight", "embed_tokens.weight"])
def test_a_module_with_tables_of_its_own_is_left_out_and_named(
    hub: tuple[Path, Tensor], tmp_path: Path, copy: str
) -> None:
    source = changed(hub[0], tmp_path, {f"{EXTRA}{copy}": torch.zeros(64, 32)})
    left_out = import_checkpoint(source, tmp_path / "ours").left_out
    assert set(left_out) == {name for name in load_file(source / "model.safetensors") if name.startswith(EXTRA)}
    assert read_config(tmp_path / "ours")[0].mtp_depth == 0


def test_copies_that_a_checkpoint_does_not_have_are_not_made_up(hub: tuple[Path, Tensor], tmp_path: Path) -> None:
    source = changed(hub[0], tmp_path, {f"{EXTRA}embed_tokens.weight": None})
    assert import_checkpoint(source, tmp_path / "ours").left_out == ()
    export_checkpoint(tmp_path / "ours", tmp_path / "back")
    assert read_tensors(tmp_path / "back").keys() == load_file(source / "model.safetensors").keys()


def test_a_checkpoint_that_promises_a_module_and_has_none_is_read_without(
    hub: tuple[Path, Tensor], tmp_path: Path
) -> None:
    gone = {name: None for name in load_file(hub[0] / "model.safetensors") if name.startswith(EXTRA)}
    import_checkpoint(changed(hub[0], tmp_path, gone), tmp_path / "ours")
    assert read_config(tmp_path / "ours")[0].mtp_depth == 0


def test_our_modules_are_written_where_engines_would_run_them_as_we_do(tmp_path: Path) -> None:
    for normed in (True, False):
        config = dataclasses.replace(MOE, attention="mla", mtp_depth=2, mtp_normed=normed)
        model = with_random_weights(config)
        save_model(model, tmp_path / f"ours-{normed}")
        done = export_checkpoint(tmp_path / f"ours-{normed}", tmp_path / f"hub-{normed}")
        if not normed:
            assert {name.split(".")[0] for name in done.left_out} == {"predictors"}
            continue
        assert done.left_out == ()
        import_checkpoint(tmp_path / "hub-True", tmp_path / "again")
        again = load_model(tmp_path / "again")
        assert (again.config.mtp_depth, again.config.mtp_normed) == (2, True)
        with torch.no_grad():
            pairs = zip(model.train()(TOKENS).mtp_logits, again.train()(TOKENS).mtp_logits, strict=True)
            assert all(torch.equal(left, right) for left, right in pairs)
