"""A small study that is planned, bounded, broken, followed and taken up again, through the command."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.core.store import Store
from harness.core.study import load_study
from tests.integration.test_study import COMMAND, TIMEOUT_S, _run
from tests.workers import workers_of

STUDY = (
    "experiment=smoke",
    "num_threads=1",
    "sweep.cells=[{arm: dense, model: dense_s, tokens: [10240]}, {arm: moe, model: moe_s, tokens: [10240]}]",
    "train.eval_bytes=8192",
    "task.answer=false",
    "measure.idle_s=0.05",
    "measure.warmup_steps=1",
)


def _json(*arguments: str, cwd: Path) -> dict[str, Any]:
    done = _run(*arguments, "--json", "-", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("control")


@pytest.fixture(scope="module")
def planned(folder: Path) -> dict[str, Any]:
    """The plan, made before anything ran."""
    plan = _json("plan", *STUDY, cwd=folder)
    assert list(folder.iterdir()) == [], "a plan writes nothing"
    return plan


@pytest.fixture(scope="module")
def bounded(folder: Path, planned: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """The study with a budget that holds its first two runs."""
    flops = sum(run["train_flops"] for run in planned["runs"][:2])
    return _run("run", *STUDY, f"sweep.budget.flops={flops * 1.01}", cwd=folder)


def test_a_budget_stops_before_the_run_that_exceeds_it(
    folder: Path, planned: dict[str, Any], bounded: subprocess.CompletedProcess[str]
) -> None:
    assert bounded.returncode == 3, bounded.stderr
    third = planned["runs"][2]["run_id"]
    assert f"the next run, {third}, needs" in bounded.stderr
    assert "2 of 4 runs" in bounded.stderr
    assert "a higher sweep.budget goes on with them" in bounded.stderr
    status = _json("status", cwd=folder)
    assert (status["counts"]["finished"], status["counts"]["waiting"]) == (2, 2)
    assert status["spent"]["flops"] == pytest.approx(sum(run["train_flops"] for run in planned["runs"][:2]))
    assert status["estimated_left_s"] > 0
    study = load_study(folder / "runs" / "smoke")
    assert study is not None
    assert "budget" not in study.command
    assert [run.run_id for run in study.runs] == [run["run_id"] for run in planned["runs"]], "the plan is what runs"


def test_the_formula_of_the_plan_is_what_a_run_trained(folder: Path, planned: dict[str, Any], bounded: object) -> None:
    again = _json("plan", *STUDY, cwd=folder)
    assert [run["state"] for run in again["runs"]] == ["finished", "finished", "waiting", "waiting"]
    records = {record.run_id: record for record in Store(folder / "runs" / "smoke").load_records()[0]}
    for run in planned["runs"][:2]:
        own = records[run["run_id"]].windows_of("pretrain")
        assert sum(window.work.flops or 0.0 for window in own if window.work) == pytest.approx(run["train_flops"])
    assert again["runs"][2]["estimated_s"] > 0
    assert again["runs"][2]["estimate_is_rough"], "only the other arm has run"


def test_the_first_failure_stops_it_failed_runs_stay_and_come_again_when_asked(
    folder: Path, planned: dict[str, Any], bounded: object
) -> None:
    store = Store(folder / "runs" / "smoke")
    with subprocess.Popen(
        (*COMMAND, "run", "--stop-at-first", *STUDY),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        deadline = time.monotonic() + TIMEOUT_S
        while not (workers := workers_of(store)) and time.monotonic() < deadline:
            time.sleep(0.05)
        workers[0].kill()
        _, said = command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 3
    trunk, branch = (run["run_id"] for run in planned["runs"][2:])
    assert f"stopped: {trunk} failed, and --stop-at-first was given" in said
    assert f"1 failed ({trunk}), 1 waiting ({branch})" in said
    assert "isojoule run --retry-failed experiment=smoke" in said
    status = _json("status", cwd=folder)
    (failed,) = (run for run in status["runs"] if run["state"] == "failed")
    assert "SIGKILL" in failed["error"]
    assert status["spent"]["num_failed"] == 1

    before = store.record_path(trunk).read_bytes()
    left = _run("run", *STUDY, cwd=folder)
    assert left.returncode == 3
    assert store.record_path(trunk).read_bytes() == before, "a failed run is left as it is"
    assert store.load_record(branch).error == f"its trunk {trunk} failed; see that record"  # type: ignore[union-attr]

    done = _run("run", "--retry-failed", *STUDY, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert _json("status", cwd=folder)["counts"]["finished"] == 4
