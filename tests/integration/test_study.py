"""A whole study through the command: killed, resumed, repeated, reported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.core.store import Store
from harness.core.study import load_study
from tests.workers import workers_of

COMMAND = (sys.executable, "-c", "import sys; from harness.cli.command import main; sys.exit(main())")
STUDY = (
    "run",
    "experiment=smoke",
    "num_threads=1",
    "sweep.cells=[{arm: dense, model: dense_s, tokens: [15360, 30720]}, {arm: moe, model: moe_s, tokens: [20480]}]",
    "train.eval_bytes=16384",
    "task.num_examples=16",
    "task.min_window_s=0.05",
    "measure.idle_s=0.05",
)
TIMEOUT_S = 300


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*COMMAND, *arguments), cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def _essence(store: Store) -> dict[str, Any]:
    """Everything of the records but measured time, memory and energy."""
    records, unreadable = store.load_records()
    assert unreadable == []
    return {
        r.run_id: (r.status, r.quality, r.loss_curve, r.path and (r.path.tokens, r.path.flops), r.params, r.routing)
        for r in records
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An undisturbed study."""
    folder = tmp_path_factory.mktemp("study")
    done = _run(*STUDY, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Store(folder / "runs" / "smoke")


def test_every_planned_run_is_a_finished_record(finished: Store) -> None:
    study = load_study(finished.root)
    assert study is not None
    records, _ = finished.load_records()
    assert {run.run_id for run in study.runs} == {record.run_id for record in records}
    assert {record.status for record in records} == {"finished"}
    assert [record.role for record in records].count("trunk") == 2
    assert list((finished.root / "checkpoints").iterdir()) == [], "checkpoints that no run needs are removed"


def test_a_branch_carries_the_cost_of_its_whole_path(finished: Store) -> None:
    records, _ = finished.load_records()
    by_id = {record.run_id: record for record in records}
    for branch in (record for record in records if record.role == "branch"):
        assert branch.path is not None
        assert branch.flops is not None
        trunk = by_id[branch.path.trunk_run_id or ""]
        own = branch.windows_of("pretrain")
        assert branch.path.tokens == branch.config["train"]["budget"]["tokens"]
        assert branch.path.flops == pytest.approx(branch.path.tokens * branch.flops.train_per_token)
        own_s = sum(window.duration_s for window in own)
        assert own_s < branch.path.duration_s <= own_s + sum(w.duration_s for w in trunk.windows_of("pretrain")) + 1e-6
        assert sum(w.work.amount for w in own if w.work) == branch.path.tokens - (branch.path.fork_tokens or 0)
        for reading in branch.path.energy:
            assert reading.energy_j is None or reading.energy_j > 0


def test_formula_and_trace_agree_in_every_record(finished: Store) -> None:
    records, _ = finished.load_records()
    for record in records:
        assert record.flops is not None
        assert abs(record.flops.relative_gap or 0.0) < 0.01
        assert record.flops.traced_total


def test_the_same_command_again_runs_nothing(finished: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished.root / "records").iterdir()}
    done = _run(*STUDY, cwd=finished.root.parents[1])
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (finished.root / "records").iterdir()} == before


def test_another_promise_in_the_same_store_is_refused(finished: Store) -> None:
    done = _run(*STUDY, "sweep.match.num_losses=3", cwd=finished.root.parents[1])
    assert done.returncode == 2
    assert "other match" in done.stderr


def test_killed_half_way_and_started_again_gives_the_same_records(finished: Store, tmp_path: Path) -> None:
    """SIGKILL to the command: its worker ends with it, finished runs are not repeated, the results are identical."""
    with subprocess.Popen(
        (*COMMAND, *STUDY), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as command:
        store = Store(tmp_path / "runs" / "smoke")
        deadline = time.monotonic() + TIMEOUT_S
        while len(list(store.root.glob("records/*.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2.0)
        command.send_signal(signal.SIGKILL)
    # a worker that was just starting sees that its parent is gone once its interpreter is up
    deadline = time.monotonic() + 10.0
    while workers_of(store) and time.monotonic() < deadline:
        time.sleep(0.05)
    early = {path.name: path.stat().st_mtime_ns for path in (store.root / "records").glob("*.json")}
    assert 2 <= len(early) < 5
    assert workers_of(store) == []
    done = _run(*STUDY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = {path.name: path.stat().st_mtime_ns for path in (store.root / "records").glob("*.json")}
    assert {name: after[name] for name in early} == early, "a finished run was repeated"
    assert _essence(store) == _essence(finished)


def test_a_worker_killed_in_mid_run_is_a_failed_record_and_the_rest_goes_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        (*COMMAND, *STUDY), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as command:
        store = Store(tmp_path / "runs" / "smoke")
        deadline = time.monotonic() + TIMEOUT_S
        while not (workers := workers_of(store)) and time.monotonic() < deadline:
            time.sleep(0.05)
        workers[0].kill()
        assert command.wait(TIMEOUT_S) == 3
    records, _ = store.load_records()
    failed = [record for record in records if record.status == "failed"]
    assert len(records) == 5
    assert any("SIGKILL" in (record.error or "") for record in failed)
    assert any(record.status == "finished" for record in records)
    again = _run(*STUDY, "--retry-failed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert {record.status for record in store.load_records()[0]} == {"finished"}


def test_report_and_verdicts_of_the_study(finished: Store) -> None:
    done = _run("report", str(finished.root), cwd=finished.root)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    assert page.is_absolute() or (finished.root / page).exists()
    html = (finished.root / "report.html").read_text()
    verdicts = json.loads((finished.root / "verdicts.json").read_text())
    words = {claim["id"]: claim["verdict"] for claim in verdicts["claims"]}
    assert words["training_compute_tenth"] == "inconclusive", "one seed has no interval"
    for record in finished.load_records()[0]:
        assert record.run_id in html


def test_a_budget_in_seconds_or_joules_ends_a_single_run_early(tmp_path: Path) -> None:
    common = ("run", "num_threads=1", "train.budget.tokens=5000000", "task.answer=false", "train.eval_bytes=16384")
    for budget, code in (("seconds=1.5", "seconds"), ("joules=30", "joules"), ("target_loss=7.0", "target_loss")):
        done = _run(*common, f"train.budget.{budget}", f"study=budget_{code}", "measure.idle_s=0.1", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (record,) = Store(tmp_path / "runs" / f"budget_{code}").load_records()[0]
        assert record.path is not None
        assert 0 < record.path.tokens < 5_000_000
        texts = [finding.text for finding in record.findings if finding.code == "stopped_by_budget"]
        assert any(code in text for text in texts)


def test_a_budget_in_flops_sets_the_length_of_the_schedule(tmp_path: Path) -> None:
    done = _run(
        "run",
        "model=moe_s",
        "num_threads=1",
        "train.budget.flops=1e10",
        "task.answer=false",
        "train.eval_bytes=16384",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (record,) = Store(tmp_path / "runs" / "adhoc").load_records()[0]
    assert record.path is not None
    assert record.path.flops == pytest.approx(1e10, rel=0.1)
    assert record.arm == "moe", "a single run is of its model's family"
