"""`isojoule project`: the label stands first, JSON holds everything, and a mistake is one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.command import main
from harness.flops.published.shipped import list_shipped

LABEL = "projected, grade D: a model, not a measurement"
MODELS = ["--dense", "qwen3-14b", "--moe", "qwen3-30b-a3b"]


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["project", *arguments]) == 0
    return capsys.readouterr().out


def test_text_begins_with_the_label_and_holds_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    text = _run(capsys, "--pair", "qwen3-30b-a3b_qwen3-14b", "--batch", "1,32", "--prompt", "100", "--output", "200")
    assert text.splitlines()[0] == LABEL
    for part in ("MMLU 81.38 / 81.05", "cards", "nowhere", "qs = 0.48", "One request", "6ND", "energy per byte", "87%"):
        assert part in text
    assert "The model beside what others measured" in text


def test_all_pairs_print_their_headline_ratios(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    text = _run(capsys, "--pair", "all", "--batch", "1,64", "--json", str(path))
    content = json.loads(path.read_text())
    assert text.splitlines()[0] == LABEL
    assert len(content) == 5
    assert all(one["pair"]["id"] in text and one["grade"] == "D" for one in content)
    assert text.count("weights of both in bf16") == 2
    assert "beyond" not in text
    assert "deepseek-7b: the context is beyond its config's maximum of 4096" in _run(
        capsys, "--pair", "all", "--batch", "1", "--context", "5000"
    )


def test_json_holds_the_batches_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _run(capsys, *MODELS, "--batch", "4, 2,4", "--context", "77", "--kv-dtype", "fp8", "--json", str(path))
    content = json.loads(path.read_text())
    assert [row["batch"] for row in content["rows"]] == [4, 2]
    assert content["context"] == 77
    assert content["moe"]["cache_dtype"] == "float8_e4m3fn"
    assert content["pair"] is None
    assert "--dense-tokens" in content["training_reason"]


def test_tokens_and_mfu_reach_the_training(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    options = ("--dense-tokens", "15.6T", "--moe-tokens", "300B", "--dense-mfu", "0.5", "--moe-mfu", "0.4")
    _run(capsys, *MODELS, *options, "--json", str(path))
    training = json.loads(path.read_text())["training"]
    assert (training["dense"]["tokens"], training["moe"]["tokens"]) == (15.6e12, 300e9)
    assert (training["dense"]["mfu"], training["moe"]["mfu"]) == (0.5, 0.4)


def test_one_given_number_of_tokens_joins_the_pairs_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _run(capsys, "--pair", "mixtral-8x7b_llama-2-70b", "--moe-tokens", "2T", "--json", str(path))
    training = json.loads(path.read_text())["training"]
    assert (training["dense"]["tokens"], training["moe"]["tokens"]) == (2e12, 2e12)
    assert (training["dense"]["context"], training["moe"]["context"]) == (4096, 32768)


def test_paths_and_calibrations_are_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((Path(__file__).parents[4] / "conf/published/qwen3-14b.json").read_text())
    calibration = tmp_path / "c.json"
    calibration.write_text('{"j_per_step": 0.5, "pj_per_byte": 90, "pj_per_flop": 1, "rms": 0.05}')
    text = _run(capsys, "--dense", str(tmp_path), "--moe", "olmoe-1b-7b", "--constants", str(calibration))
    assert "calibrated here: 0.500 J a step, 90.0 pJ a byte, 1.00 pJ a FLOP" in text
    assert "rms of 5%" in text


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no models": ([], "name the models: --pair NAME"),
    "one model": (["--dense", "qwen3-14b"], "name the models"),
    "pair and model": (["--pair", "all", "--moe", "qwen3-30b-a3b"], "leave out --dense and --moe"),
    "unknown pair": (["--pair", "qwen3-30b-a3b_qwen3-15b"], "Did you mean 'qwen3-30b-a3b_qwen3-14b'?"),
    "unknown model": (["--dense", "qwen3-14c", "--moe", "qwen3-30b-a3b"], "Did you mean 'qwen3-14b'?"),
    "missing file": (["--dense", "none/config.json", "--moe", "qwen3-30b-a3b"], "no such file: 'none/config.json'"),
    "unknown card": ([*MODELS, "--hardware", "h101"], "Did you mean 'h100'?"),
    "missing card": ([*MODELS, "--hardware", "none.yaml"], "no such file: 'none.yaml'"),
    "missing calibration": ([*MODELS, "--constants", "none.json"], "no such file: 'none.json'"),
    "batch text": (
        [*MODELS, "--batch", "1,x"],
        "--batch is '1,x'; give whole numbers, 1 or more, with commas: 1,8,64.",
    ),
    "batch zero": ([*MODELS, "--batch", "0"], "--batch is '0'"),
    "batch empty": ([*MODELS, "--batch", "1,,8"], "--batch is '1,,8'"),
    "context": ([*MODELS, "--context", "1.5"], "--context is '1.5'; give a whole number, 1 or more."),
    "dtype": ([*MODELS, "--dtype", "bf17"], "Did you mean 'bf16'?"),
    "half a request": ([*MODELS, "--prompt", "5"], "give both --prompt and --output"),
    "factor alone": ([*MODELS, "--moe-output", "2"], "needs a request"),
    "factor": ([*MODELS, "--prompt", "5", "--output", "5", "--moe-output", "-2"], "give a number above 0"),
    "tokens": ([*MODELS, "--dense-tokens", "15 T", "--moe-tokens", "1T"], "--dense-tokens is '15 T'; give a number of"),
    "tokens of one": ([*MODELS, "--dense-tokens", "15T"], "give both --dense-tokens and --moe-tokens"),
    "mfu": ([*MODELS, "--dense-mfu", "37"], "give a share above 0 and up to 1"),
    "json": ([*MODELS, "--json", "none/p.json"], "cannot write 'none/p.json'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, part = MISTAKES[case]
    assert main(["project", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("isojoule: ")
    assert message.count("\n") == 1
    assert part in message


def test_weights_of_unknown_storage_ask_for_a_data_type(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = json.loads((Path(__file__).parents[4] / "conf/published/qwen3-14b.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "awq"}}))
    assert main(["project", "--dense", str(tmp_path), "--moe", "olmoe-1b-7b"]) == 2
    assert "give --dtype" in capsys.readouterr().err
    assert main(["project", "--dense", str(tmp_path), "--moe", "olmoe-1b-7b", "--dtype", "bf16"]) == 0


def test_a_name_does_for_a_count_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "count", "qwen3-14b"]) == 0
    assert "14.77B" in capsys.readouterr().out
    assert main(["model", "count", "qwen3-14"]) == 2
    assert "Did you mean 'qwen3-14b'?" in capsys.readouterr().err


def test_every_shipped_model_can_be_projected(tmp_path: Path) -> None:
    from harness.analysis.projection.project import project_models

    for name in list_shipped():
        projection = project_models("qwen3-8b", name, "b200", (1,))
        assert projection.rows[0].ratio > 0
