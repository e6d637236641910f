"""A study in which nothing is trained: one run for each cell and repeat, in shuffled blocks, or one clear error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from harness.experiments.compose import compose_app
from harness.experiments.inference import hide_places
from harness.experiments.preflight import check_before_run
from harness.experiments.promise import promise_study
from harness.experiments.schema import register_schemas
from harness.experiments.study import plan_study
from harness.experiments.study_job import StudyJob
from hydra import compose, initialize_config_module

from harness.core.errors import ConfigError, HarnessError
from harness.core.store import Store
from harness.core.study import load_study


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Two folders that look like models, and a file of questions."""
    for name in ("llama-x", "olmoe-y"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": name[:5]}))
        (folder / "model.safetensors").write_bytes(name.encode())
    (tmp_path / "q.jsonl").write_text('{"prompt": "2 + 2 =", "answer": "4"}\n')
    return tmp_path


def _asking(place: Path) -> tuple[str, str]:
    return ("+kind@task.kinds.mine=jsonl", f"task.kinds.mine.options.path={place / 'q.jsonl'}")


def _plan(*arguments: str) -> list[StudyJob]:
    register_schemas()
    with initialize_config_module("harness.conf", version_base="1.3"):
        return plan_study(lambda overrides: compose("run", overrides=list(overrides)), arguments)[0]


def _pair(place: Path, *more: str) -> tuple[str, ...]:
    return (
        "experiment=pair_hf", f"model.dense={place}/llama-x", f"model.moe={place}/olmoe-y",
        *_asking(place), *more,
    )  # fmt: skip


def test_each_cell_gives_one_single_run_a_repeat_named_after_its_folder(place: Path) -> None:
    jobs = _plan(*_pair(place, "sweep.seeds=[0,1]"))
    assert [job.block for job in jobs] == [0, 0, 1, 1]
    assert {(job.config.arm, job.config.model.size, job.config.seed) for job in jobs} == {
        (arm, size, seed) for arm, size in (("dense", "llama-x"), ("moe", "olmoe-y")) for seed in (0, 1)
    }
    assert {job.config.role for job in jobs} == {"single"}
    assert [job.config.plan_position[:2] for job in jobs] == [[0, 0], [0, 1], [1, 2], [1, 3]]
    assert all(job.run_id.startswith(("pair_hf-dense-llama-x-hf-s", "pair_hf-moe-olmoe-y-hf-s")) for job in jobs)


def test_the_promise_says_that_nothing_is_trained(place: Path, tmp_path: Path) -> None:
    arguments = _pair(place)
    register_schemas()
    with initialize_config_module("harness.conf", version_base="1.3"):
        jobs, app = plan_study(lambda overrides: compose("run", overrides=list(overrides)), arguments)
    promise_study(Store(tmp_path / "store"), app, jobs, "isojoule run")
    study = load_study(tmp_path / "store")
    assert study is not None
    assert study.purpose == "inference"
    assert {run.tokens for run in study.runs} == {0}
    assert study.match.margin_accuracy == 0.05
    assert (study.baseline_arm, study.candidate_arm) == ("dense", "moe")


def test_moving_folders_and_questions_keeps_the_ids_and_other_contents_change_them(place: Path, tmp_path: Path) -> None:
    def ids(where: Path) -> dict[str, str]:
        return {job.config.arm: job.run_id for job in _plan(*_pair(where, "sweep.seeds=[0]"))}

    before = ids(place)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("llama-x", "olmoe-y", "q.jsonl"):
        shutil.move(place / name, moved / name)
    assert ids(moved) == before
    (moved / "olmoe-y" / "model.safetensors").write_bytes(b"other weights")
    after = ids(moved)
    assert after["dense"] == before["dense"]
    assert after["moe"] != before["moe"]
    (moved / "q.jsonl").write_text('{"prompt": "2 + 3 =", "answer": "5"}\n')
    assert ids(moved)["dense"] != before["dense"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("[{arm: dense, model: hf, tokens: [1000]}]", "has tokens, but nothing is trained"),
        ("[{arm: dense, model: hf, learning_rate: 0.01}]", "has learning_rate, but nothing"),
        ("[{arm: dense, model: hf, learning_rates: [0.1, 0.2]}]", "has learning_rates, but nothing"),
    ],
)
def test_training_settings_are_refused(place: Path, cells: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _plan(*_pair(place), f"model.path={place}/llama-x", f"sweep.cells={cells}")


def test_a_study_that_trains_one_model_and_asks_another_is_refused(place: Path) -> None:
    asked = f"{{arm: dense, model: hf, overrides: ['model.path={place}/llama-x']}}"
    with pytest.raises(ConfigError, match="make two studies"):
        _plan(f"sweep.cells=[{asked}, {{arm: moe, model: moe_s, tokens: [100000]}}]", *_asking(place))


def test_servers_are_asked_once_a_repeat_too(place: Path) -> None:
    cells = "[{arm: dense, model: dense_s, overrides: ['server.model=big/Llama']}]"
    jobs = _plan(
        f"sweep.cells={cells}", "task.mode=server", "server.base_url=http://x:1", "sweep.seeds=[0,1]",
        *_asking(place),
    )  # fmt: skip
    assert [job.run_id.rsplit("-", 1)[0] for job in jobs] == [
        "adhoc-dense-Llama-server-s0",
        "adhoc-dense-Llama-server-s1",
    ]


def _check(arguments: Sequence[str]) -> None:
    check_before_run(compose_app(list(arguments)), lambda more: compose_app([*arguments, *more]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "model.dense is missing; type: isojoule run -m experiment=pair_hf model.dense=FOLDER model.moe=FOLDER"),
        (["model.dense=x"], "model.moe is missing"),
        (["model.dense=nowhere", "model.moe=nowhere"], "there is no folder 'nowhere'"),
    ],
)
def test_a_folder_that_is_missing_is_one_line(given: list[str], words: str) -> None:
    with pytest.raises(HarnessError, match=words):
        _check(["experiment=pair_hf", "+kind@task.kinds.sums=arithmetic", *given])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("model.dense=/srv/me/models/llama-x/", "model.dense=llama-x"),
        ("model.moe=org/olmoe", "model.moe=olmoe"),
        ("model.path='/srv/me/a b'", "model.path=a b"),
        ("server.dense=http://gpu7.example.org:8000/v1", "server.dense=http://(another host)"),
        ("server.moe=http://127.0.0.1:8001", "server.moe=http://127.0.0.1:8001"),
        ("server.moe_model=org/olmoe", "server.moe_model=org/olmoe"),
        ("task.kinds.mine.options.path=/srv/me/q.jsonl", "task.kinds.mine.options.path=q.jsonl"),
        ("task.lm_eval_dir=../tasks", "task.lm_eval_dir=tasks"),
        ("sweep.cells=[{overrides: ['model.path=/srv/me/x', 'seed=1']}]",
         "sweep.cells=[{overrides: ['model.path=x', 'seed=1']}]"),
        ("sweep.cells=[{overrides: ['model.path=${model.dense}']}]",
         "sweep.cells=[{overrides: ['model.path=${model.dense}']}]"),
        ("experiment=pair_hf", "experiment=pair_hf"),
    ],
)  # fmt: skip
def test_the_command_of_a_study_names_no_folder_and_no_other_machine(given: str, kept: str) -> None:
    assert hide_places(given) == kept
