"""A trained model can be kept, found in every place where a run leaves weights, and read by transformers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.cli.command import main
from harness.core.config import DataConfig, config_to_dict
from harness.core.store import Store
from harness.data import prepare_data
from harness.models import build_model
from harness.models.folder import load_model
from harness.models.transformer import Transformer
from harness.run.weights import find_model
from harness.train.checkpoint import save_checkpoint
from harness.train.loop import TrainState
from harness.train.optim import build_optimizer
from tests.unit.models.configs import with_random_weights
from tests.unit.run.tiny import DENSE, MOE, ROOT, TRAIN, run_here, tiny_run

TOKENS = torch.randint(0, 256, (2, 16), generator=torch.Generator().manual_seed(1))
SENTENCE = "def café(left: int) -> str:\n\treturn '東京'  # \x00 🙂\n"


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output = model(TOKENS)
    return output.logits_BTV if isinstance(model, Transformer) else output.logits


def assert_transformers_agrees(folder: Path, ours: Transformer) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    expected = logits_of(ours)
    assert float((logits_of(theirs) - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize(("model", "tokenizer", "family"), [(DENSE, "bpe", "qwen3"), (MOE, "byte", "deepseek_v3")])
def test_a_trained_model_is_kept_with_its_tokenizer_and_is_the_same_in_transformers(
    model: Any, tokenizer: str, family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = DataConfig(
        corpus="text_files", globs=[f"{ROOT}/harness/**/*.py"], tokenizer=tokenizer,
        vocab_size=300 if tokenizer == "bpe" else 256,
    )  # fmt: skip
    store = Store(tmp_path / "store")
    record = run_here(tiny_run(model, data=data, save_model=True), store)
    assert main(["model", "export", str(store.root), str(tmp_path / "hub"), "--run", record.run_id]) == 0
    assert f"{family}, " in capsys.readouterr().out
    ours = load_model(store.model_dir(record.run_id))
    assert ours.config.vocab_size == data.vocab_size
    untrained = build_model(dataclasses.replace(model, vocab_size=data.vocab_size), seed=0)
    assert not torch.equal(ours.embedding.weight, untrained.embedding.weight)
    assert_transformers_agrees(tmp_path / "hub", ours)
    own = prepare_data(data).tokenizer
    published = AutoTokenizer.from_pretrained(tmp_path / "hub")
    assert published(SENTENCE)["input_ids"] == own.encode(SENTENCE)
    assert published.decode(own.encode(SENTENCE)) == SENTENCE
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["eos_token_id"] == own.separator


def test_a_run_that_keeps_nothing_says_how_to_keep_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "store")
    kept = tiny_run(DENSE, save_model=True)
    record = run_here(dataclasses.replace(kept, save_model=False), store)
    assert not store.model_dir(record.run_id).exists()
    assert main(["model", "export", str(store.root), str(tmp_path / "out"), "--run", record.run_id]) == 2
    assert "save_model=true" in capsys.readouterr().err
    assert run_here(kept, store).run_id != record.run_id, (
        "a finished run without a model does not stand for one with it"
    )


def checkpointed(root: Path, steps: tuple[int, ...] = (10, 20)) -> Transformer:
    """Save checkpoints of a model with random weights; return it as it is at the last of them."""
    model = with_random_weights(dataclasses.replace(MOE, vocab_size=256))
    state = TrainState(model, build_optimizer(model, TRAIN))
    for step in steps:
        with torch.no_grad():
            model.embedding.weight.mul_(1.5)
        state.step = step
        save_checkpoint(root, state, {})
    return model


def test_weights_are_found_in_a_checkpoint_a_runs_checkpoints_and_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    root = store.checkpoint_dir("a-run")
    ours = checkpointed(root)
    sources = [[str(root / "step-00000020")], [str(root)], [str(store.root)], [str(store.root), "--run", "a-run"]]
    for number, source in enumerate(sources):
        target = tmp_path / str(number)
        assert main(["model", "export", source[0], str(target), *source[1:]]) == 0
        assert_transformers_agrees(target, ours)
    assert main(["model", "export", str(root / "step-00000010"), str(tmp_path / "early")]) == 0
    early = AutoModelForCausalLM.from_pretrained(tmp_path / "early")
    torch.testing.assert_close(early.model.embed_tokens.weight * 1.5, ours.embedding.weight)


def test_an_older_checkpoint_gets_its_model_from_the_record_or_marker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    root = store.checkpoint_dir("a-run")
    checkpointed(root, steps=(10,))
    state = json.loads((root / "step-00000010" / "state.json").read_text())
    del state["model"], state["state_sha256"], state["tensors_sha256"]
    (root / "step-00000010" / "state.json").write_text(json.dumps(state))
    assert main(["model", "export", str(root), str(tmp_path / "out")]) == 2
    assert "does not say of which model" in capsys.readouterr().err
    store.marker_path("a-run").parent.mkdir()
    store.marker_path("a-run").write_text(json.dumps({"config": config_to_dict(tiny_run(MOE))}))
    assert find_model(root).config == dataclasses.replace(MOE, vocab_size=256)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("nowhere", [], "holds no model; give a model folder"),
        ("empty", ["--run", "x"], "is no store"),
        ("store", [], "weights of 2 runs; give --run, one of a-run, b-run"),
        ("store", ["--run", "a-rum"], "has no run 'a-rum'. Did you mean 'a-run'?"),
        ("bare", [], "holds no weights: checkpoints of finished runs are removed; run with save_model=true"),
        ("torn", [], "holds no model"),
    ],
)
def test_a_source_without_a_model_is_a_mistake_in_one_line(
    source: str, options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in ("a-run", "b-run"):
        checkpointed(tmp_path / "store" / "checkpoints" / run, steps=(10,))
    for folder in ("empty", "bare/records", "torn/step-00000010"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "torn" / "step-00000010" / "tensors.safetensors").write_bytes(b"")
    assert main(["model", "export", str(tmp_path / source), str(tmp_path / "out"), *options]) == 2
    line = capsys.readouterr().err.strip()
    assert words in line
    assert "\n" not in line
    assert not (tmp_path / "out").exists()
