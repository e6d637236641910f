"""Servers side by side: counts add up, failures are told, and requests bear the energy of the run."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.inference.serving import summarise_serving
from harness.core.records import RunRecord
from tests.unit.analysis.factory import reading, window
from tests.unit.analysis.inference.factory import KINDS, make_model_record, make_rows, make_server_record


def rows_of(record: RunRecord, joules: float) -> list:
    return make_rows(record, dict.fromkeys(KINDS, 48), failed=2, joules=joules / 124)


def test_counts_add_up_over_repeats_and_energy_is_per_answer() -> None:
    runs = [make_server_record("dense", seed, joules=100.0 + seed) for seed in (0, 1, 2)]
    (side,) = summarise_serving(runs, {})
    assert side.num_sent == side.num_answered + side.num_failed == 3 * 128
    assert side.failures == {"timeout": 12}
    assert side.figures["j_per_request"].value == pytest.approx(101 / 124)
    assert side.figures["j_per_request"].interval is not None
    assert side.figures["steady_j_per_request"].value == pytest.approx(0.45 * 101 / 62)
    assert side.figures["ttft_p50_s"].value == pytest.approx(0.05)
    assert side.load == "closed loop, 4 under way"


def test_energies_of_requests_that_add_up_are_said_to_and_others_not() -> None:
    run = make_server_record("dense")
    (side,) = summarise_serving([run], {run.run_id: rows_of(run, 100.0)})
    assert "add up to the run's (1 of 1 runs" in side.additivity_text
    (side,) = summarise_serving([run], {run.run_id: rows_of(run, 90.0)})
    assert "do NOT add up" in side.additivity_text
    (side,) = summarise_serving([run], {})
    assert side.additivity_text.startswith("unknown")


def test_shares_of_more_than_the_headline_boundary_do_not_add_up_to_the_run() -> None:
    run = make_server_record("dense")
    served = run.windows[0]
    both = dataclasses.replace(served, energy=(*served.energy, reading(20.0, domain="cpu")))
    run = dataclasses.replace(run, windows=(both, *run.windows[1:]))
    (side,) = summarise_serving([run], {run.run_id: rows_of(run, 100.0)})
    assert "energies of requests add up" in side.additivity_text
    assert side.figures["j_per_request"].value == pytest.approx(100 / 124)
    (side,) = summarise_serving([run], {run.run_id: rows_of(run, 120.0)})
    assert "do NOT add up" in side.additivity_text


def test_runs_of_other_loads_are_no_repeats_of_each_other() -> None:
    def under(concurrency: int, seed: int) -> RunRecord:
        run = make_server_record("dense", seed, joules=100.0 * concurrency, run_id=f"c{concurrency}-s{seed}")
        assert run.serving is not None
        return dataclasses.replace(run, serving=dataclasses.replace(run.serving, concurrency=concurrency))

    sides = summarise_serving([under(load, seed) for seed in (0, 1) for load in (1, 16)], {})
    assert [(side.load, side.figures["j_per_request"].value) for side in sides] == [
        ("closed loop, 1 under way", pytest.approx(100 / 124)),
        ("closed loop, 16 under way", pytest.approx(1600 / 124)),
    ]
    assert sides[0].arm.startswith("dense, closed loop, 1 under way")
    (alone,) = summarise_serving([under(1, 0)], {})
    assert alone.arm == "dense"
    assert alone.figures["j_per_request"].reason == "one repeat gives no interval"


def test_without_full_load_the_steady_figures_say_why() -> None:
    run = make_server_record("dense")
    assert run.serving is not None
    stats = dataclasses.replace(run.serving, steady_reason="an open loop has no full load", goodput_per_s=None)
    run = dataclasses.replace(
        run, windows=(window("serve", [reading(None, reason="the meter was lost")]),), serving=stats
    )
    (side,) = summarise_serving([run], {})
    assert side.figures["steady_j_per_request"].reason == "an open loop has no full load"
    assert side.figures["j_per_request"].value is None
    assert side.figures["goodput_per_s"].reason == "no latency limit is configured"


def test_a_failed_run_stands_by_itself_and_models_have_no_side() -> None:
    gone = dataclasses.replace(make_server_record("moe", 1, failed=60), status="failed", error="the server is gone")
    sides = summarise_serving([make_server_record("moe"), gone, make_model_record("dense")], {})
    assert [side.arm for side in sides] == ["moe", "moe, failed repeat 1"]
    assert sides[1].num_failed == 60
