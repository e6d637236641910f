"""Equal batch, equal latency, each at its own best: the same workload, chosen batches, ratios with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from harness.analysis.inference.results import ViewRow, Views
from harness.analysis.inference.views import NONE_HOLDS, WeighedRuns, build_views
from harness.core.records import RunRecord
from tests.unit.analysis.factory import reading
from tests.unit.analysis.inference.factory import make_model_record, sweep_windows

ARMS = ("dense", "moe")
Cost = Callable[[int], tuple[float, float]]
# dense is cheapest at 16, moe at 4; a step of moe takes longer
DENSE: Cost = lambda batch: ({1: 4.0, 4: 2.0, 16: 1.0}[batch], 0.1 / batch)  # noqa: E731
MOE: Cost = lambda batch: ({1: 1.0, 4: 0.5, 16: 1.5}[batch], 0.2 / batch)  # noqa: E731


def run(arm: str, seed: int, cost: Cost, limits: dict[str, float], *, free: bool = False) -> RunRecord:
    shaken: Cost = lambda batch: (cost(batch)[0] * (1 + 0.01 * seed), cost(batch)[1])  # noqa: E731
    record = make_model_record(arm, seed, sweep=sweep_windows(shaken, batches=(1, 4, 16), free=free))
    return dataclasses.replace(record, config={"task": {"regimes": limits}})


def views(limits: dict[str, float] | None = None, *, free: bool = False) -> Views:
    runs: WeighedRuns = {
        arm: {seed: [(run(arm, seed, cost, limits or {}, free=free), 1.0)] for seed in (0, 1, 2)}
        for arm, cost in (("dense", DENSE), ("moe", MOE))
    }
    found = build_views(ARMS, runs, "paired")
    assert found is not None
    return found


def rows(found: Views, view: str, metric: str = "j_per_output_token", length: str = "fixed") -> list[ViewRow]:
    return [r for r in found.rows if (r.view, r.metric, r.answer_length) == (view, metric, length)]


def test_equal_batch_compares_each_batch_with_itself() -> None:
    found = rows(views(), "equal_batch")
    assert [(row.batches["dense"], row.batches["moe"]) for row in found] == [(1, 1), (4, 4), (16, 16)]
    assert [row.ratio.value for row in found] == [pytest.approx(v) for v in (0.25, 0.25, 1.5)]
    assert all(row.ratio.interval is not None and row.ratio.n == 3 for row in found)


def test_each_at_its_own_best_lets_the_arms_choose() -> None:
    (row,) = rows(views(), "own_best")
    assert row.batches == {"dense": 16, "moe": 4}
    assert row.ratio.value == pytest.approx(0.5)


def test_equal_latency_chooses_the_cheapest_batch_that_holds_the_limit() -> None:
    # a prefill step takes a quarter of a task's seconds times the batch: 25 ms for dense, 50 ms for moe, at any batch
    found = views({"max_ttft_s": 0.03})
    (row,) = rows(found, "equal_latency")
    assert row.batches == {"dense": 16, "moe": None}
    assert row.ratio.value is None
    assert row.reason == f"moe: {NONE_HOLDS}"
    assert found.max_ttft_s == 0.03
    (row,) = rows(views({"max_ttft_s": 0.06}), "equal_latency")
    assert row.batches == {"dense": 16, "moe": 4}


def test_without_a_limit_there_is_no_view_at_equal_latency() -> None:
    assert rows(views(), "equal_latency") == []


def test_free_and_fixed_answers_stay_apart() -> None:
    found = views(free=True)
    assert len(rows(found, "own_best")) == len(rows(found, "own_best", length="free")) == 1
    assert len(rows(found, "own_best", "j_per_task", "free")) == 1
    assert rows(found, "own_best", "j_per_task", "fixed") == []  # the same as per token


def test_a_weighted_seed_needs_the_regime_in_every_run() -> None:
    near, far = (run("dense", 0, DENSE, {}) for _ in range(2))
    far = dataclasses.replace(far, windows=tuple(w for w in far.windows if not w.regime or w.regime.batch_size != 4))
    runs: WeighedRuns = {"dense": {0: [(near, 0.5), (far, 0.5)]}, "moe": {0: [(run("moe", 0, MOE, {}), 1.0)]}}
    found = build_views(ARMS, runs, "paired")
    assert found is not None
    assert {row.batches["dense"] for row in rows(found, "equal_batch")} == {1, 16}


def test_energies_of_different_domains_are_not_divided() -> None:
    other = run("moe", 0, MOE, {})
    windows = [dataclasses.replace(w, energy=(reading(1.0, domain="cpu"),)) for w in other.windows]
    runs: WeighedRuns = {
        "dense": {seed: [(run("dense", 0, DENSE, {}), 1.0)] for seed in (0, 1)},
        "moe": {seed: [(dataclasses.replace(other, windows=tuple(windows)), 1.0)] for seed in (0, 1)},
    }
    found = build_views(ARMS, runs, "paired")
    assert found is not None
    (row, *_) = rows(found, "equal_batch")
    assert row.ratio.value is None
    assert row.reason is not None
    assert "domains" in row.reason
    (seconds, *_) = rows(found, "equal_batch", "s_per_task")
    assert seconds.ratio.value is not None


def test_an_arm_without_a_sweep_gives_no_views() -> None:
    runs: WeighedRuns = {
        "dense": {0: [(run("dense", 0, DENSE, {}), 1.0)]},
        "moe": {0: [(make_model_record("moe"), 1.0)]},
    }
    assert build_views(ARMS, runs, "paired") is None
