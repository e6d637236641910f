"""The budget of a whole study: what counts as spent, and when it stops before the next run."""

from __future__ import annotations

import pytest

from harness.core.errors import ConfigError
from harness.run.estimate import Estimate
from harness.run.study_budget import Spent, StudyBudget, add_up, validate_budget, why_stop
from tests.unit.run.study_factory import make_figures

KNOWN = Estimate(seconds=20.0, joules=100.0, grade="B", num_runs=3, store="this store")
SPENT = Spent(seconds=50.0, joules=400.0, flops=1e12)


@pytest.mark.parametrize("name", ["seconds", "joules", "flops"])
@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_is_above_zero(name: str, limit: float) -> None:
    with pytest.raises(ConfigError, match=rf"sweep\.budget\.{name} is .*above 0"):
        validate_budget(StudyBudget(**{name: limit}))
    validate_budget(StudyBudget(**{name: 1.0}))


def test_spent_is_every_run_with_its_start_and_failed_ones_in_the_time_alone() -> None:
    failed = make_figures("f", 0.0, status="failed", train_s=0.0, failed_s=7.0, rest_j=None)
    spent = add_up([make_figures("a", 1e11), make_figures("b", 1e11, grade="C"), failed], between_s=4.0)
    assert spent.seconds == pytest.approx(2 * (10 + 5 + 4) + 7)
    assert spent.joules == pytest.approx(2 * (200 + 40))
    assert (spent.flops, spent.grade, spent.num_failed, spent.num_untimed) == (2e11, "C", 1, 0)


def test_unknown_energy_is_named_and_never_zero() -> None:
    unread = make_figures("u", train_j=None, rest_j=None, grade=None, energy_reason="nvml gpu: no reading")
    spent = add_up([unread], None)
    assert spent.joules is None
    reason = why_stop(StudyBudget(joules=1e9), spent, "next", KNOWN, 1.0)
    assert reason is not None
    assert "energy of u is unknown (nvml gpu: no reading)" in reason
    assert why_stop(StudyBudget(seconds=1e9), spent, "next", KNOWN, 1.0) is None


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (StudyBudget(seconds=50.0), "sweep.budget.seconds is used up: 50.0 s of 50.0 s"),
        (StudyBudget(seconds=69.0), "needs about 20.0 s"),
        (StudyBudget(seconds=70.0), None),
        (StudyBudget(joules=400.0), "sweep.budget.joules is used up"),
        (StudyBudget(joules=499.0), "estimated from 3 finished runs of this store"),
        (StudyBudget(joules=500.0), None),
        (StudyBudget(flops=1e12), "sweep.budget.flops is used up"),
        (StudyBudget(flops=1.4e12), "needs 500 GFLOP, more than the 400 GFLOP left"),
        (StudyBudget(flops=1.5e12), None),
        (StudyBudget(), None),
    ],
)
def test_it_stops_where_the_next_run_does_not_fit(budget: StudyBudget, words: str | None) -> None:
    reason = why_stop(budget, SPENT, "next", KNOWN, 5e11)
    assert (reason is None) == (words is None)
    assert words is None or words in (reason or "")


def test_a_run_without_an_estimate_is_begun_as_long_as_something_is_left() -> None:
    unknown = Estimate(reason="no such run")
    assert why_stop(StudyBudget(seconds=51.0, joules=401.0), SPENT, "next", unknown, 1.0) is None
    assert why_stop(StudyBudget(seconds=50.0), SPENT, "next", unknown, 1.0) is not None
