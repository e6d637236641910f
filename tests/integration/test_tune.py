"""A search of learning rates through the command: shuffled, resumed, ranked, refused as a comparison, pasted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.core.store import Store
from harness.core.study import load_study

COMMAND = (sys.executable, "-c", "import sys; from harness.cli.command import main; sys.exit(main())")
CELLS = (
    "[{arm: dense, model: dense_s, learning_rates: [0.003, 0.006], batch_sizes: [4, 8], tokens: [15360]},"
    " {arm: moe, model: moe_s, learning_rates: [0.003, 0.006], batch_sizes: [4, 8], tokens: [15360]}]"
)
SEARCH = (
    "run",
    "experiment=tune_lr",
    "data=python_source",
    f"sweep.cells={CELLS}",
    "train.eval_bytes=16384",
    "train.warmup_tokens=2048",
    "measure.idle_s=0.05",
)


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*COMMAND, *arguments), cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("tune")
    done = _run(*SEARCH, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Store(folder / "runs" / "tune_lr")


def test_every_combination_is_a_trial_of_its_own_with_the_same_tokens(searched: Store) -> None:
    records, _ = searched.load_records()
    study = load_study(searched.root)
    assert study is not None
    assert study.purpose == "tuning"
    assert {run.run_id for run in study.runs} == {record.run_id for record in records}
    trials = {(r.arm, r.config["train"]["learning_rate"], r.config["train"]["batch_size"]) for r in records}
    assert len(trials) == len(records) == 8
    assert {record.path.tokens for record in records if record.path} == {15360}
    assert {record.role for record in records} == {"single"}
    assert not any(record.windows_of("prefill", "decode") for record in records)
    assert not any((searched.root / "checkpoints").glob("*")), "checkpoints of finished trials are removed"


def test_the_same_command_again_runs_nothing(searched: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in (searched.root / "records").iterdir()}
    assert _run(*SEARCH, cwd=searched.root.parents[1]).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (searched.root / "records").iterdir()} == before


def test_it_is_ranked_and_the_block_goes_into_a_study(searched: Store, tmp_path: Path) -> None:
    block, content = tmp_path / "block.yaml", tmp_path / "tuning.json"
    done = _run("tune", str(searched.root), "--json", str(content), "--yaml", str(block), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("chosen, ") == 2
    notes = yaml.safe_load(block.read_text())
    ranked = json.loads(content.read_text())["searches"]
    for note, search in zip(notes, ranked, strict=True):
        best = min(search["trials"], key=lambda trial: trial["mean_loss"])
        assert (note["chosen"], note["chosen_batch"]) == (best["learning_rate"], best["batch_size"])
        assert note["total_flops"] == pytest.approx(sum(trial["flops"] for trial in search["trials"]), rel=1e-5)
    conf = tmp_path / "conf" / "experiment"
    conf.mkdir(parents=True)
    text = "# @package _global_\nstudy: pasted\nsweep:\n  cells: []\n  tuning:\n" + block.read_text()
    (conf / "pasted.yaml").write_text(text)
    cells = "[{arm: dense, model: dense_s, tokens: [15360]}]"
    quick = ("train.eval_bytes=16384", "measure.idle_s=0.05", "task.answer=false", "num_threads=1")
    flags = ("run", "--config-dir", str(conf.parent), "experiment=pasted", f"sweep.cells={cells}", *quick)
    done = _run(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    study = load_study(tmp_path / "runs" / "pasted")
    assert study is not None
    assert [note.chosen for note in study.tuning] == [note["chosen"] for note in notes]
    assert [note.total_energy_j for note in study.tuning] == [note["total_energy_j"] for note in notes]


@pytest.mark.parametrize("verb", ["match", "claims", "report"])
def test_it_is_never_taken_for_a_comparison(searched: Store, verb: str) -> None:
    done = _run(verb, str(searched.root), cwd=searched.root)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "isojoule tune" in done.stderr


def test_a_trial_that_diverged_is_an_answer_and_is_not_made_again(tmp_path: Path) -> None:
    cells = "[{arm: dense, model: dense_s, learning_rates: [0.003, 1.0e+30], tokens: [15360]}]"
    search = (*(word for word in SEARCH if not word.startswith("sweep.cells")), f"sweep.cells={cells}")
    assert _run(*search, cwd=tmp_path).returncode == 0
    store = Store(tmp_path / "runs" / "tune_lr")
    records, _ = store.load_records()
    assert sorted(record.status for record in records) == ["failed", "finished"]
    before = {path: path.stat().st_mtime_ns for path in (store.root / "records").iterdir()}
    assert _run(*search, cwd=tmp_path).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (store.root / "records").iterdir()} == before
    done = _run("tune", str(store.root), cwd=tmp_path)
    assert "diverged" in done.stdout
