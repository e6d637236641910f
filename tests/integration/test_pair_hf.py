"""Two small published models, dense and sparse, through the command: planned, run, resumed, or one clear line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.store import Store
from harness.core.study import load_study
from tests.hf_models import save_llama, save_qwen3_moe
from tests.tools import require_module

require_module("transformers")
COMMAND = (sys.executable, "-c", "import sys; from harness.cli.command import main; sys.exit(main())")
SMALL = (
    "experiment=pair_hf", "num_threads=1", "sweep.seeds=[0,1]", "task.min_window_s=0.05", "measure.idle_s=0.05",
    "task.kinds.line_completion.num_examples=8", "task.kinds.identifier_recall.num_examples=8",
    "task.kinds.arithmetic.num_examples=8", "task.kinds.key_value_recall.num_examples=8",
    "~task.kinds.sorting", "~task.kinds.bracket_matching",
    "+kind@task.kinds.mine=jsonl",
)  # fmt: skip
KINDS = ["line_completion", "identifier_recall", "arithmetic", "key_value_recall", "mine"]


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*COMMAND, *arguments), cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    save_llama(folder / "Llama-tiny")
    save_qwen3_moe(folder / "Qwen3-tiny-MoE")
    (folder / "questions.jsonl").write_text(
        '{"prompt": "2 + 2 =", "answer": "4"}\n{"prompt": "a b c", "answer": "d"}\n'
    )
    return folder


def _study(place: Path, name: str = ".") -> tuple[str, ...]:
    root = place / name
    return (
        "run", "-m", *SMALL, f"model.dense={root / 'Llama-tiny'}", f"model.moe={root / 'Qwen3-tiny-MoE'}",
        f"task.kinds.mine.options.path={root / 'questions.jsonl'}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(place: Path) -> Store:
    done = _run(*_study(place), cwd=place)
    assert done.returncode == 0, done.stderr
    return Store(place / "runs" / "pair_hf")


def test_every_planned_run_is_a_finished_record_of_its_model_with_answers(place: Path, finished: Store) -> None:
    study = load_study(finished.root)
    assert study is not None
    assert study.purpose == "inference"
    assert str(place) not in study.command
    records, unreadable = finished.load_records()
    assert unreadable == []
    assert {run.run_id for run in study.runs} == {record.run_id for record in records}
    assert {(record.arm, record.size, record.seed) for record in records} == {
        (arm, size, seed) for arm, size in (("dense", "Llama-tiny"), ("moe", "Qwen3-tiny-MoE")) for seed in (0, 1)
    }
    for record in records:
        assert record.status == "finished", record.error
        assert [quality.task for quality in record.quality] == KINDS
        assert len(finished.load_answers(record.run_id)) == 4 * 8 + 2
        assert record.flops is not None
        assert record.flops.relative_gap == pytest.approx(0, abs=1e-3)


def test_both_arms_and_all_repeats_were_asked_the_same_and_repeats_answer_alike(finished: Store) -> None:
    records, _ = finished.load_records()
    rows = {(record.arm, record.seed): finished.load_answers(record.run_id) for record in records}
    asked = {tuple((row.kind, row.prompt_sha256, row.expected) for row in own) for own in rows.values()}
    assert len(asked) == 1
    for arm in ("dense", "moe"):
        assert [row.answer for row in rows[arm, 0]] == [row.answer for row in rows[arm, 1]]
    assert [row.answer for row in rows["dense", 0]] != [row.answer for row in rows["moe", 0]]


def test_the_same_command_skips_what_is_done_though_the_folders_have_moved(place: Path, finished: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished.root / "records").iterdir()}
    moved = place / "moved"
    for name in ("Llama-tiny", "Qwen3-tiny-MoE", "questions.jsonl"):
        moved.mkdir(exist_ok=True)
        source = place / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, moved / name)
    done = _run(*_study(place, "moved"), cwd=place)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (finished.root / "records").iterdir()} == before


def test_a_model_that_is_missing_is_one_line_before_anything_runs(tmp_path: Path) -> None:
    done = _run("run", "-m", "experiment=pair_hf", "model.dense=nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "isojoule: model.moe is missing; type: isojoule run -m experiment=pair_hf model.dense=FOLDER model.moe=FOLDER"
    ]
    assert not (tmp_path / "runs").exists()
