"""isojoule plan: every run in order with FLOPs by formula, and nothing is run or written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.experiments.arguments import read_arguments
from harness.experiments.plan import make_plan

from harness.cli.command import main
from harness.core.errors import ConfigError
from harness.core.store import Store
from harness.run.study_plan import plan_to_json
from harness.run.study_plan_text import plan_to_text
from tests.unit.run.study_factory import fail_run, make_run, make_window

CELLS = "sweep.cells=[{arm: dense, model: dense_s, tokens: [15360, 30720]}, {arm: moe, model: moe_s, tokens: [20480]}]"
WINDOWS = (make_window("idle_before", 0.0, 1.0), make_window("pretrain", 1.0, 10.0), make_window("decode", 11.0, 2.0))


@pytest.fixture
def corpus(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    """This project's own source, and an empty folder from which the command is typed."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    root = Path(__file__).parents[3]
    return ("data=text_files", f"data.globs=[{root}/harness/**/*.py]", "train.eval_bytes=4096", "task.answer=false")


def _study(corpus: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return ("experiment=smoke", CELLS, *corpus, *more)


def test_every_run_is_listed_in_order_and_nothing_is_written(corpus: tuple[str, ...]) -> None:
    plan = make_plan(read_arguments(_study(corpus)))
    assert sorted(row.role for row in plan.rows) == ["branch", "branch", "branch", "trunk", "trunk"]
    assert {row.state for row in plan.rows} == {"waiting"}
    assert all(row.estimate is not None and row.estimate.seconds is None for row in plan.rows)
    assert list(Path.cwd().iterdir()) == []
    text = plan_to_text(plan)
    assert "5 runs into runs/smoke (5 waiting)" in text
    assert "time unknown (5 runs without an estimate)" in text
    assert "3 runs unknown: no run of dense s is finished on this machine" in text


def test_flops_of_trunk_and_branch_add_up_to_their_budget(corpus: tuple[str, ...]) -> None:
    rows = make_plan(read_arguments(_study(corpus))).rows
    (trunk,) = (row for row in rows if row.arm == "dense" and row.role == "trunk")
    longest = max((row for row in rows if row.arm == "dense" and row.role == "branch"), key=lambda r: r.budget_tokens)
    alone = make_plan(read_arguments(("model=dense_s", "train.budget.tokens=30720", "num_threads=1", *corpus))).rows
    assert trunk.train_flops + longest.train_flops == pytest.approx(alone[0].train_flops)


def test_finished_runs_show_what_was_measured_and_failed_ones_are_left_out_of_what_is_left(
    corpus: tuple[str, ...],
) -> None:
    first = make_plan(read_arguments(_study(corpus)))
    store = Store(first.store)
    store.write_record(make_run(first.rows[0].run_id, WINDOWS, role=first.rows[0].role))
    store.write_record(fail_run(first.rows[1].run_id))
    plan = make_plan(read_arguments(_study(corpus, "sweep.budget.flops=1e6")))
    assert [row.state for row in plan.rows] == ["finished", "failed", "waiting", "waiting", "waiting"]
    assert (plan.left.num_runs, plan.whole.num_runs) == (3, 5)
    assert plan.rows[0].measured is not None
    assert plan.rows[0].measured.seconds == 13.0
    assert plan.stops_before == plan.rows[2].run_id
    assert "sweep.budget.flops is used up" in (plan.stop_reason or "")
    assert make_plan(read_arguments((*_study(corpus), "--retry-failed"))).left.num_runs == 4
    found = json.loads(json.dumps(plan_to_json(plan), allow_nan=False))
    assert found["runs"][0]["measured_s"] == 13.0
    assert found["runs"][0]["estimated_s"] is None
    assert found["runs"][2]["measured_s"] is None


def test_lists_and_single_runs_have_a_plan_and_json_goes_to_the_screen_or_a_file(
    corpus: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(("plan", "model=dense_s,moe_s", "seed=0,1", *corpus, "--json", "-")) == 0
    found = json.loads(capsys.readouterr().out)
    assert len({run["run_id"] for run in found["runs"]}) == 4
    assert main(("plan", "model=dense_s", *corpus, f"--json={tmp_path}/plan.json")) == 0
    assert len(json.loads((tmp_path / "plan.json").read_text())["runs"]) == 1
    assert "1 run, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--retry",), "did you mean '--retry-failed'"),
        (("--json",), "--json needs a file"),
        (("--config-dir", "nowhere"), "'nowhere' is not a folder"),
        (("experiment=smok",), "did you mean 'smoke'"),
        (("experiment=smoke", "sweep.budget.joules=0"), "sweep.budget.joules is 0"),
        (("experiment=smoke", "sweep.budget.watts=1"), "unknown key 'sweep.budget.watts'"),
        (("experiment=smoke", "seed=0,1"), "lists cells of its own"),
        (("model=dense_s", "sweep.budget.seconds=5"), "train.budget.seconds"),
    ],
)
def test_a_mistake_is_one_line(
    corpus: tuple[str, ...], arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("plan", *corpus, *arguments)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words.lower() in lines[0].lower()


def test_a_budget_in_joules_without_a_sensor_is_refused_before_the_first_run(
    corpus: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.experiments.preflight.open_sensors", lambda _: [])
    for verb in ("plan", "run"):
        assert main((verb, *_study(corpus, "sweep.budget.joules=5"))) == 2
        assert "no energy sensor is readable here" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []


def test_json_is_no_option_of_run() -> None:
    with pytest.raises(ConfigError, match="unknown option '--json'"):
        read_arguments(["--json", "x"])
