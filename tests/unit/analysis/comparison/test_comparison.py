"""Studies side by side: what may be pooled and why not, how far they lie apart, and the truth of made-up studies."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from harness.analysis.comparison.compare import compare_studies, comparison_to_json
from harness.analysis.comparison.differences import find_shared_loss
from harness.analysis.comparison.load import JudgedStore, StoreContent, judge_content
from harness.analysis.comparison.results import Difference, Pooling, StudyComparison
from harness.analysis.comparison.welch import estimate_ratio_between
from harness.analysis.multipliers import INTERPOLATION_WIDENING, build_pair, match_at
from harness.analysis.points import build_points
from harness.analysis.results import MatchResult
from harness.core.records import RunRecord
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.analysis.inference.factory import make_inference_study, make_pair


def judge(records: Sequence[RunRecord], **changes: Any) -> JudgedStore:
    answers = changes.pop("answers", {})
    study = changes.pop("study_info", None) or make_study(records, **{"claims": ("training_compute_tenth",), **changes})
    content = StoreContent(
        folder="store", records=tuple(records), unreadable=(), study=study, answers=answers, traces={}
    )
    return judge_content(content)


def noisy(spread: float = 0.002, start: int = 0) -> Any:
    rng = random.Random(start)
    return lambda arm, seed, flops: rng.gauss(0.0, spread)


def rerun(records: Sequence[RunRecord], **environment: Any) -> list[RunRecord]:
    """The same runs another day."""
    return [
        dataclasses.replace(
            r,
            started_utc="2026-02-02T00:00:00Z",
            environment=dataclasses.replace(r.environment, **environment) if r.environment else None,
        )
        for r in records
    ]


def with_data(records: Sequence[RunRecord], **changes: Any) -> list[RunRecord]:
    return [dataclasses.replace(r, data=dataclasses.replace(r.data, **changes)) for r in records if r.data is not None]


def line(comparison: StudyComparison, code: str) -> Pooling:
    return next(row for row in comparison.pooling if row.code == code)


def apart(comparison: StudyComparison, code: str) -> Difference:
    return next(row for row in comparison.differences if row.code == code)


def test_two_cards_pool_counts_and_never_energy() -> None:
    """FLOPs at equal loss may be pooled with other data being equal; the same kind of card is still another card."""
    first = make_records(noise=noisy(), seeds=(0, 1, 2))
    other = rerun(make_records(noise=noisy(start=1), seeds=(3, 4, 5)), gpu_uuid="card-1")
    comparison = compare_studies([judge(first), judge(other)])
    assert line(comparison, "flops").may_pool
    assert line(comparison, "losses").may_pool
    energy = line(comparison, "energy")
    assert energy.may_compare
    assert energy.against_pooling == ("other device of the same name (toy card)",)
    joules = line(comparison, "joules")
    assert not joules.may_compare
    assert "other device" in joules.against_comparing[0]


def test_other_devices_pool_no_losses_and_still_compare() -> None:
    first = make_records(noise=noisy())
    comparison = compare_studies([judge(first), judge(rerun(first, device_name="other card", gpu_uuid="card-9"))])
    losses = line(comparison, "losses")
    assert losses.may_compare
    assert losses.against_pooling == ("other device (toy card against other card)",)
    assert apart(comparison, "flops").ratio.value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "f" * 64}, "other data hash (dddddddd against ffffffff)"),
        ({"tokenizer_sha256": "f" * 64}, "other tokenizer (tttttttt against ffffffff)"),
    ],
)
def test_other_data_or_tokenizer_is_compared_in_nothing_that_rests_on_a_loss(change: Any, words: str) -> None:
    first = make_records(noise=noisy())
    comparison = compare_studies([judge(first), judge(with_data(first, **change))])
    for code in ("losses", "flops", "tokens", "energy", "seconds"):
        assert words in line(comparison, code).against_comparing
        assert not line(comparison, code).may_pool
    row = apart(comparison, "flops")
    assert row.ratio.value is None
    assert words in (row.reason or "")
    assert all(found.multiplier is None for found in comparison.pooled)


def test_another_formula_bars_flops_and_not_tokens() -> None:
    first = make_records(noise=noisy())
    second = [dataclasses.replace(r, flops=dataclasses.replace(r.flops, formula_version=2)) for r in first if r.flops]
    comparison = compare_studies([judge(first), judge(rerun(second))])
    assert "other formula version (1 against 2)" in line(comparison, "flops").against_comparing
    assert apart(comparison, "flops").ratio.value is None
    assert line(comparison, "tokens").may_compare
    assert apart(comparison, "tokens").ratio.value == pytest.approx(1.0)


def test_measured_and_modelled_energy_are_not_held_against_each_other() -> None:
    first = make_records(noise=noisy())
    comparison = compare_studies([judge(first), judge(make_records(noise=noisy(), grade="C"))])
    assert "other energy grade (A against C)" in line(comparison, "energy").against_comparing
    assert apart(comparison, "energy").ratio.value is None
    assert apart(comparison, "flops").ratio.value is not None


def test_a_rerun_of_the_same_seeds_may_be_pooled_and_adds_no_seed() -> None:
    first = make_records(noise=noisy())
    comparison = compare_studies([judge(first), judge(rerun(first, git_commit="b" * 40))])
    losses = line(comparison, "losses")
    assert losses.may_pool
    assert "repeats of a seed are no new seeds" in losses.note
    flops = next(row for row in comparison.pooled if row.code == "flops")
    assert flops.multiplier is None
    assert "too narrow" in (flops.reason or "")


def test_copies_of_the_same_runs_are_no_evidence() -> None:
    first = make_records(noise=noisy())
    comparison = compare_studies([judge(first), judge(first)])
    assert all(not row.may_pool for row in comparison.pooling)
    assert any("a copy is no evidence" in reason for reason in line(comparison, "losses").against_pooling)


def test_other_seeds_of_one_design_pool_to_the_multiplier_of_all_seeds() -> None:
    """The pooled multiplier is what matching says of one study of all six seeds, and near the truth."""
    parts = [make_records(2.0, noise=noisy(0.004, k), seeds=range(3 * k, 3 * k + 3)) for k in (0, 1)]
    comparison = compare_studies([judge(parts[0]), judge(rerun(parts[1]))])
    pooled = next(row.multiplier for row in comparison.pooled if row.code == "flops")
    assert pooled is not None
    assert pooled.n == 6
    assert pooled.estimate == pytest.approx(2.0, rel=0.05)
    together = judge([*parts[0], *parts[1]]).result
    assert isinstance(together, MatchResult)
    whole = next(row for row in together.headline if row.resource == "flops")
    assert (pooled.loss, pooled.estimate, pooled.interval) == (whole.loss, whole.estimate, whole.interval)


def test_other_settings_bar_pooling_and_are_named() -> None:
    first = make_records(noise=noisy())
    second = [
        dataclasses.replace(r, config={**r.config, "train": {**r.config["train"], "learning_rate": 0.004}})
        for r in rerun(first)
    ]
    comparison = compare_studies([judge(first), judge(second)])
    assert line(comparison, "flops").against_pooling == ("other settings (train.learning_rate)",)
    assert [(s.name, s.arms, s.values) for s in comparison.settings] == [
        ("train.learning_rate", ("dense", "moe"), {"A": ("0.008",), "B": ("0.004",)})
    ]


def test_settings_of_newer_records_are_counted_and_bar_nothing() -> None:
    first = make_records(noise=noisy())
    newer = [
        dataclasses.replace(r, config={**r.config, "train": {**r.config["train"], "compile": False, "micro": 0}})
        for r in rerun(first)
    ]
    comparison = compare_studies([judge(first), judge(newer)])
    assert line(comparison, "flops").may_pool
    assert [(s.name, s.values) for s in comparison.settings] == [("train.*", {"A": None, "B": ("2 settings",)})]


def test_differences_are_read_at_one_loss_that_both_reached() -> None:
    """One study's multiplier is 2, the other's 3: without noise the ratio of ratios is 1.5, and both are read there."""
    comparison = compare_studies([judge(make_records(2.0)), judge(rerun(make_records(3.0)))])
    row = apart(comparison, "flops")
    assert (row.first, row.second, row.ratio.value) == pytest.approx((2.0, 3.0, 1.5))
    losses = {found.loss for found in comparison.differences if found.loss is not None}
    assert losses == {row.loss}
    spans = [r.common_losses for side in comparison.sides if isinstance(r := side.judged.result, MatchResult)]
    assert row.loss == pytest.approx(max(span[0] for span in spans if span is not None))


def test_intervals_of_differences_hold_the_truth() -> None:
    """Of 60 made-up pairs of noisy studies at least 54 intervals hold the true 1.5 (of 300 it was 293)."""
    rng = random.Random(3)
    held = 0
    for _ in range(60):
        pairs = []
        for multiplier in (2.0, 3.0):
            records = make_records(multiplier, noise=lambda arm, seed, flops: rng.gauss(0.0, 0.006))
            pairs.append(build_pair(build_points(records)[0], "dense", "moe"))
        loss, _ = find_shared_loss(pairs)
        assert loss is not None
        sides = [[value for _, value in match_at(pair, "flops", loss).per_seed] for pair in pairs]
        interval = estimate_ratio_between(sides[0], sides[1], widening=INTERPOLATION_WIDENING).interval
        held += interval is not None and interval.low <= 1.5 <= interval.high
    assert held >= 54


def test_studies_without_a_loss_in_common_say_so() -> None:
    low = dict.fromkeys(("dense", "moe"), (1000000000000.0, 2000000000000.0))
    high = dict.fromkeys(("dense", "moe"), (1000000000000000.0, 2000000000000000.0))
    comparison = compare_studies([judge(make_records(budgets=low)), judge(make_records(budgets=high))])
    row = apart(comparison, "flops")
    assert row.ratio.value is None
    assert "no loss in common" in (row.reason or "")


def test_one_seed_gives_no_difference() -> None:
    comparison = compare_studies([judge(make_records(noise=noisy())), judge(rerun(make_records(seeds=(0,))))])
    row = apart(comparison, "flops")
    assert row.ratio.value is None
    assert row.reason


def test_other_task_settings_bar_the_ratio_of_task_energies() -> None:
    first = make_records(noise=noisy())
    second = [dataclasses.replace(r, config={**r.config, "task": {"version": 1, "batch_size": 4}}) for r in first]
    comparison = compare_studies([judge(first), judge(rerun(second))])
    assert "other batch" in line(comparison, "energy_per_task").against_comparing[0]
    assert apart(comparison, "energy_per_task").ratio.value is None
    assert line(comparison, "energy").may_compare


def test_a_trained_and_an_inference_study_share_no_quantity() -> None:
    records, answers = make_pair(0.5)
    inference = judge(records, answers=answers, study_info=make_inference_study(records))
    comparison = compare_studies([judge(make_records(noise=noisy())), inference])
    assert not any(row.may_compare for row in comparison.pooling if row.code != "joules")
    assert all(row.ratio.value is None for row in comparison.differences)
    assert {row.letter for row in comparison.ratios if row.code == "energy_per_task"} == {"A", "B"}


def test_inference_studies_compare_repeat_by_repeat() -> None:
    sides = []
    for ratio in (0.5, 0.6):
        records, answers = make_pair(ratio, noise=lambda arm, number: 1 + 0.01 * ((number * 7 + len(arm)) % 3))
        sides.append(judge(records, answers=answers, study_info=make_inference_study(records)))
    comparison = compare_studies(sides)
    row = apart(comparison, "energy_per_task")
    assert row.ratio.value == pytest.approx(1.2, rel=1e-6)
    assert row.loss is None
    correct = apart(comparison, "energy_per_correct")
    assert correct.ratio.value is None
    assert "repeats do not show" in (correct.reason or "")


def test_three_studies_are_compared_in_every_pair() -> None:
    stores = [judge(rerun(make_records(noise=noisy(start=k)))) for k in range(3)]
    comparison = compare_studies(stores)
    assert {row.letters for row in comparison.pooling} == {("A", "B"), ("A", "C"), ("B", "C")}
    assert {row.letters for row in comparison.differences} == {("A", "B"), ("A", "C"), ("B", "C")}


def test_json_survives_a_round_trip_and_holds_every_line() -> None:
    comparison = compare_studies([judge(make_records(noise=noisy())), judge(make_records(noise=noisy(), grade="C"))])
    content = comparison_to_json(comparison)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert len(content["pooling"]) == len(comparison.pooling)
    assert [study["letter"] for study in content["studies"]] == ["A", "B"]


def test_welch_covers_the_truth_at_three_seeds_and_unequal_spreads() -> None:
    """Of 2,000 made-up pairs of studies the 95% interval holds the true ratio in at least 93%."""
    rng = random.Random(7)
    held = 0
    for _ in range(2000):
        first = [math.exp(rng.gauss(0.0, 0.05)) for _ in range(3)]
        second = [math.exp(rng.gauss(math.log(1.3), 0.15)) for _ in range(4)]
        interval = estimate_ratio_between(first, second).interval
        assert interval is not None
        held += interval.low <= 1.3 <= interval.high
    assert 0.93 <= held / 2000 <= 0.99


def test_welch_agrees_with_scipy() -> None:
    from scipy import stats

    first, second = (1.0, 1.2, 1.1), (1.5, 1.4, 1.9, 1.6)
    found = estimate_ratio_between(first, second)
    expected = stats.ttest_ind([math.log(x) for x in second], [math.log(x) for x in first], equal_var=False)
    ends = expected.confidence_interval(0.95)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((math.exp(ends.low), math.exp(ends.high)))


def test_welch_without_variation_or_seeds() -> None:
    still = estimate_ratio_between((2.0, 2.0), (3.0, 3.0))
    assert still.interval is not None
    assert still.interval.low == still.interval.high == pytest.approx(1.5)
    assert "no variation" in still.interval.method
    assert estimate_ratio_between((2.0,), (3.0, 3.1)).value is None
    with pytest.raises(ValueError, match="above zero"):
        estimate_ratio_between((0.0, 1.0), (1.0, 1.0))
