"""``isojoule tasks``, and the verbs beside it, on stores of every kind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.cli.command import main
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.analysis.inference.factory import (
    KINDS,
    coverage,
    fill_store,
    make_inference_study,
    make_pair,
    make_rows,
    make_server_record,
    routing,
    sweep_windows,
    with_suite,
)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    records, answers = make_pair(0.5)
    records = [
        dataclasses.replace(
            record,
            windows=(*record.windows, *sweep_windows(lambda batch: (1.0 / batch, 0.1), free=True)),
            task_routing=tuple(routing(kind, [[0.5, 0.3, 0.1, 0.1]]) for kind in KINDS) if record.arm == "moe" else (),
            expert_coverage=(coverage("mixed", 8, 5.0),) if record.arm == "moe" else (),
        )
        for record in records
    ]
    return fill_store(tmp_path / "pair", records, answers, make_inference_study(records))


def test_an_inference_study_is_printed_whole(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = pair / "tasks.json"
    assert main(["tasks", str(pair), "--json", str(target)]) == 0
    text = capsys.readouterr().out
    for words in (
        "all kinds of tasks, each weighing the same",
        "energy_per_byte",
        "candidate less baseline: +0.0%",
        "sweep b8 64>5",
        "prefill + decode against the whole generation, J/task: 24 pass",
        "equal batch: moe / dense",
        "equal latency: each arm at its cheapest batch within the limits (TTFT <= 50.0 ms)",
        "arithmetic and sorting",
        "distinct experts that one decode step touches",
    ):
        assert words in text
    content = json.loads(target.read_text())
    assert content["inference"]["suite"]["ratios"][0]["metric"] == "energy_per_task"
    assert len(content["detail"]["regimes"]) == 6 * 6


def test_claims_are_judged_and_match_says_where_to_go(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = pair / "claims.json"
    assert main(["claims", str(pair), "--json", str(target)]) == 0
    assert "energy_per_task_90_equal_accuracy (promised): not supported at the tested scale" in capsys.readouterr().out
    assert json.loads(target.read_text())["purpose"] == "inference"
    assert main(["match", str(pair)]) == 2
    error = capsys.readouterr().err.strip()
    assert error == "isojoule: study 'pair' trained nothing, so it has no losses to match; type: isojoule tasks FOLDER"


def test_servers_are_printed_with_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_server_record(arm, seed) for arm in ("dense", "moe") for seed in (0, 1)]
    answers = {r.run_id: make_rows(r, dict.fromkeys(KINDS, 48), failed=2, joules=100 / 124) for r in runs}
    assert main(["tasks", str(fill_store(tmp_path, runs, answers, make_inference_study(runs)))]) == 0
    text = capsys.readouterr().out
    assert "sent 256 = answered 248 + failed 8; retries 4" in text
    assert "failures: timeout 8" in text
    assert "energies of requests add up" in text


def test_a_single_runs_store_shows_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records, answers = make_pair(0.5)
    root = fill_store(tmp_path, records[:1], {records[0].run_id: answers[records[0].run_id]})
    assert main(["tasks", str(root)]) == 0
    text = capsys.readouterr().out
    assert "no comparison: no finished run of 'moe'" in text
    assert "75.0% +-5.4%" in text
    assert main(["claims", str(root)]) == 0


def test_a_trained_study_shows_kinds_pairs_and_views(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        with_suite(r, dict.fromkeys(KINDS, 1.0), dict.fromkeys(KINDS, 0.8), sweep=sweep_windows(lambda b: (1.0, 0.1)))
        for r in make_records(2.0)
    ]
    assert main(["tasks", str(fill_store(tmp_path, records, study=make_study(records)))]) == 0
    text = capsys.readouterr().out
    for words in (
        "a task is the mean over 2 kinds, each weighing the same: arithmetic, sorting",
        "kind sorting (chance 10.0%)",
        "pair: Equal training tokens, nearest to that loss",
        "unequal in loss, baseline - candidate: +0.1",
        "each arm at its own best batch",
        "the study declares no limit",
    ):
        assert words in text


def test_a_study_of_line_completion_alone_says_that_it_has_no_regimes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = make_records(2.0)
    assert main(["tasks", str(fill_store(tmp_path, records, study=make_study(records)))]) == 0
    assert "no window names its regime" in capsys.readouterr().out


@pytest.mark.parametrize(("where", "words"), [("nowhere", "no run records"), ("torn", "line 1 is no task result")])
def test_a_users_mistake_is_one_line(pair: Path, capsys: pytest.CaptureFixture[str], where: str, words: str) -> None:
    if where == "torn":
        next((pair / "answers").iterdir()).write_text("{}\n")
    assert main(["tasks", str(pair if where == "torn" else pair / where)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
