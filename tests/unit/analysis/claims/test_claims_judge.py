"""Verdicts: the interval decides, a failed check or a model takes the direction away, and the words say why."""

from __future__ import annotations

import dataclasses
import json

import pytest

from harness.analysis.claims import judge, judge_all, load_claims, verdicts_to_json
from harness.analysis.match import match_study
from harness.analysis.results import Interval
from harness.analysis.verdicts import ClaimSpec, Selectors
from tests.unit.analysis.factory import make_records, make_study, reading, swap_path, with_accuracies

FLOPS = ClaimSpec(id="f", statement="s", source="p", metric="training_flops", factor=0.1, kind="counted")
ENERGY = ClaimSpec(id="e", statement="s", source="p", metric="training_energy", factor=0.1, kind="energy")
TASK = ClaimSpec(id="t", statement="s", source="p", metric="energy_per_task", factor=0.1, kind="energy")
SUPPORTED, NOT_SUPPORTED = "supported", "not supported at the tested scale"


def match_of(records, **study):
    return match_study(records, make_study(records, **study))


def with_interval(low, high, resource="flops"):
    """A fair match whose multiplier of `resource` has this interval of candidate over baseline."""
    match = match_of(make_records(2.0))
    middle = (low * high) ** 0.5
    headline = tuple(
        dataclasses.replace(
            m, estimate=1 / middle, interval=Interval(low=1 / high, high=1 / low, level=0.95, method="t")
        )
        if m.resource == resource
        else m
        for m in match.headline
    )
    return dataclasses.replace(match, headline=headline)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.05, 0.09, SUPPORTED),
        (0.05, 0.125, "inconclusive"),
        (0.11, 0.2, NOT_SUPPORTED),
        (0.0625, 0.125, "inconclusive"),
    ],
)
def test_the_interval_decides(low, high, verdict):
    assert judge(FLOPS, with_interval(low, high)).verdict == verdict


def test_an_upper_end_at_the_factor_supports_and_a_lower_end_at_it_is_inconclusive():
    claim = dataclasses.replace(FLOPS, factor=0.125)
    assert judge(claim, with_interval(0.0625, 0.125)).verdict == SUPPORTED
    assert judge(claim, with_interval(0.125, 0.25)).verdict == "inconclusive"


def test_the_verdict_reads_in_plain_words_with_number_interval_and_n():
    verdict = judge(FLOPS, match_of(make_records(2.0, noise=lambda arm, seed, flops: 0.01 * seed)))
    assert verdict.verdict == NOT_SUPPORTED
    for part in ("bits per byte", "sparse-expert models needed 0.5", "95% CI", "n = 3 seeds", "0.1x or less"):
        assert part in verdict.text
    assert verdict.multiplier == pytest.approx(1 / verdict.estimate)
    assert verdict.multiplier_interval.low == pytest.approx(1 / verdict.interval.high)
    assert verdict.run_ids


def test_counted_flops_are_judged_on_any_machine_and_modelled_energy_is_not_measured():
    match = match_of(make_records(2.0, grade="C"))
    assert judge(FLOPS, match).verdict == NOT_SUPPORTED
    for claim in (ENERGY, TASK):
        verdict = judge(claim, match)
        assert (verdict.verdict, verdict.estimate, verdict.interval) == ("not measured", None, None)
        assert verdict.modelled_estimate is not None
        assert "grade C" in verdict.text


@pytest.mark.parametrize(
    ("comparator", "below", "at_low", "at_high", "above"),
    [
        ("<=", SUPPORTED, "inconclusive", SUPPORTED, NOT_SUPPORTED),
        ("<", SUPPORTED, NOT_SUPPORTED, "inconclusive", NOT_SUPPORTED),
        (">=", NOT_SUPPORTED, SUPPORTED, "inconclusive", SUPPORTED),
        (">", NOT_SUPPORTED, "inconclusive", NOT_SUPPORTED, SUPPORTED),
    ],
)
def test_each_comparator_has_its_side_and_its_ends(comparator, below, at_low, at_high, above):
    claim = dataclasses.replace(FLOPS, factor=0.125, comparator=comparator)
    found = [
        judge(claim, with_interval(low, high)).verdict
        for low, high in ((0.0625, 0.1), (0.125, 0.25), (0.0625, 0.125), (0.25, 0.5), (0.0625, 0.25))
    ]
    assert found == [below, at_low, at_high, above, "inconclusive"]


def test_a_tolerance_moves_the_limit_in_the_claims_favour_and_is_printed():
    match = with_interval(0.1, 0.105)
    assert judge(FLOPS, match).verdict == "inconclusive"
    wider = judge(dataclasses.replace(FLOPS, tolerance=0.1), match)
    assert wider.verdict == SUPPORTED
    assert "tolerance of 0.1 (limit 0.11x)" in wider.text
    more = dataclasses.replace(FLOPS, comparator=">=", factor=0.2, tolerance=0.5)
    assert more.limit == pytest.approx(0.1)
    assert judge(more, match).verdict == SUPPORTED
    assert "0.2x or more" in judge(more, match).text


def test_fewer_seeds_than_the_claim_asks_for_give_no_direction():
    verdict = judge(dataclasses.replace(FLOPS, min_n=4), with_interval(0.05, 0.09))
    assert (verdict.verdict, verdict.blocking) == ("inconclusive", ())
    assert "3 seeds, and the claim asks for at least 4" in verdict.text
    assert judge(dataclasses.replace(FLOPS, min_n=3), with_interval(0.05, 0.09)).verdict == SUPPORTED


@pytest.mark.parametrize(
    ("metric", "kind", "expected"),
    [("training_tokens", "counted", None), ("training_seconds", "measured", 0.5), ("flops_per_task", "counted", None),
     ("seconds_per_task", "measured", 1.0), ("net_energy_per_task", "energy", 1.0),
     ("training_net_energy", "energy", 0.5)],
)  # fmt: skip
def test_every_metric_finds_its_row(metric, kind, expected):
    verdict = judge(dataclasses.replace(FLOPS, metric=metric, kind=kind), match_of(make_records(2.0)))
    assert verdict.estimate is not None
    assert verdict.interval is not None
    if expected is not None:
        assert verdict.estimate == pytest.approx(expected, rel=0.02)


def test_a_check_about_energy_blocks_a_claim_about_time():
    records = [dataclasses.replace(r, plan_position=dataclasses.replace(r.plan_position, block=r.arm == "moe"))
               for r in make_records(2.0)]  # fmt: skip
    claim = dataclasses.replace(FLOPS, metric="training_seconds", kind="measured")
    assert judge(claim, match_of(make_records(2.0))).verdict == NOT_SUPPORTED
    assert judge(claim, match_of(records)).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("claim", "selectors", "words"),
    [
        (FLOPS, Selectors(candidate="dense"), "candidate is dense, and the study's is 'moe' (sparse)"),
        (FLOPS, Selectors(baseline="gqa"), "baseline is gqa"),
        (TASK, Selectors(boundary=("cpu", "dram")), "covers cpu+dram, and the study's covers gpu"),
    ],
)
def test_a_study_that_the_claim_does_not_speak_about_measures_nothing(claim, selectors, words):
    verdict = judge(dataclasses.replace(claim, selectors=selectors), match_of(make_records(2.0)))
    assert (verdict.verdict, verdict.estimate, verdict.blocking) == ("not measured", None, ())
    assert words in verdict.text


def test_a_claim_at_equal_accuracy_is_judged_on_what_equal_accuracy_costs():
    records = with_accuracies(make_records(2.0), multiplier=4.0)
    claim = dataclasses.replace(FLOPS, selectors=Selectors(matched_by="accuracy"))
    by_loss, by_accuracy = (judge(c, match_of(records)) for c in (FLOPS, claim))
    assert by_loss.estimate == pytest.approx(0.5)
    assert by_accuracy.estimate == pytest.approx(0.25)
    assert by_accuracy.text.startswith("At an accuracy of 54.7%")


def test_accuracies_that_are_missing_or_too_coarse_to_match_by_give_no_verdict():
    claim = dataclasses.replace(FLOPS, selectors=Selectors(matched_by="accuracy"))
    none = [dataclasses.replace(r, quality=r.quality[:1]) for r in make_records(2.0)]
    assert judge(claim, match_of(none)).verdict == "inconclusive"
    coarse = judge(claim, match_of(make_records(2.0, num_correct=60)))
    assert (coarse.verdict, coarse.estimate) == ("inconclusive", None)
    assert "standard errors" in coarse.text


@pytest.mark.parametrize(
    "selectors",
    [
        Selectors(matched_by="loss", baseline="dense", candidate="sparse"),
        Selectors(candidate="moe"),
        Selectors(boundary=("gpu",)),
    ],
)
def test_a_study_that_the_claim_speaks_about_is_judged(selectors):
    match = match_of(make_records(2.0))
    assert judge(dataclasses.replace(TASK, selectors=selectors), match).verdict == NOT_SUPPORTED


def test_a_boundary_is_asked_of_energy_only():
    claim = dataclasses.replace(FLOPS, selectors=Selectors(boundary=("cpu",)))
    assert judge(claim, match_of(make_records(2.0))).verdict == NOT_SUPPORTED


def test_measured_energy_is_judged():
    match = match_of(make_records(2.0))
    assert judge(ENERGY, match).verdict == NOT_SUPPORTED
    verdict = judge(TASK, match)
    assert (verdict.verdict, verdict.grade) == (NOT_SUPPORTED, "A")
    assert verdict.estimate == pytest.approx(1.0)


def test_simulated_energy_yields_no_verdict_though_its_sensor_is_a_counter():
    records = [
        swap_path(r, energy=tuple(dataclasses.replace(e, simulated=True) for e in r.path.energy))
        for r in make_records(2.0)
    ]
    verdict = judge(ENERGY, match_of(records))
    assert (verdict.verdict, verdict.estimate) == ("not measured", None)
    assert "simulated" in verdict.text


def test_energy_without_any_reading_is_not_measured():
    records = [swap_path(r, energy=()) for r in make_records(2.0)]
    assert judge(ENERGY, match_of(records)).verdict == "not measured"


def test_one_unknown_reading_is_no_verdict_either_way():
    records = make_records(2.0)
    records[3] = swap_path(records[3], energy=(reading(None, reason="lost"),))
    verdict = judge(ENERGY, match_of(records))
    assert verdict.verdict in ("not measured", "inconclusive")
    assert verdict.estimate is None


def test_one_seed_is_inconclusive_and_says_so():
    verdict = judge(FLOPS, match_of(make_records(2.0, seeds=(0,))))
    assert verdict.verdict == "inconclusive"
    assert "one seed" in verdict.text
    assert verdict.interval is None


def test_two_seeds_fail_a_check_and_give_no_direction():
    verdict = judge(FLOPS, match_of(make_records(2.0, seeds=(0, 1))))
    assert verdict.verdict == "inconclusive"
    assert "seeds" in verdict.blocking


def test_a_failed_check_takes_either_direction_away():
    records = [dataclasses.replace(r, epochs=9.0) for r in make_records(2.0)]
    verdict = judge(FLOPS, match_of(records))
    assert verdict.verdict == "inconclusive"
    assert "epochs" in verdict.blocking
    failing = with_interval(0.05, 0.09)
    failing = dataclasses.replace(
        failing, checks=tuple(dataclasses.replace(check, outcome="fail") for check in failing.checks)
    )
    assert judge(FLOPS, failing).verdict == "inconclusive"


def test_a_check_about_energy_does_not_block_a_claim_about_counts():
    records = [dataclasses.replace(r, plan_position=dataclasses.replace(r.plan_position, block=r.arm == "moe"))
               for r in make_records(2.0)]  # fmt: skip
    match = match_of(records)
    assert judge(FLOPS, match).verdict == NOT_SUPPORTED
    assert judge(ENERGY, match).verdict == "inconclusive"


def test_no_record_is_not_measured_and_losses_apart_are_inconclusive():
    assert judge(FLOPS, match_study([], None)).verdict == "not measured"
    apart = match_of(make_records(1.0, budgets={"dense": [1e12, 2e12], "moe": [8e12, 1.6e13]}))
    for claim in (FLOPS, ENERGY, TASK):
        assert judge(claim, apart).verdict == "inconclusive"
        assert judge(claim, apart).estimate is None


def test_the_json_holds_verdicts_curve_headline_and_survives_strict_json():
    match = match_of(make_records(2.0, noise=lambda arm, seed, flops: 0.01 * seed))
    content = verdicts_to_json(judge_all([FLOPS, ENERGY], match), match)
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again == content
    claim = again["claims"][0]
    assert (claim["id"], claim["verdict"], claim["n"]) == ("f", NOT_SUPPORTED, 3)
    assert set(claim["interval"]) == {"low", "high", "level", "method"}
    assert claim["run_ids"]
    assert len(again["curve"]["flops"]) == 9
    assert again["schema_version"] == 1
    assert "selectors" not in claim, "verdicts.json keeps its keys; the terms are in the JSON of isojoule claims"


def test_the_json_of_nothing_is_json_too():
    match = match_study([], None)
    assert json.dumps(verdicts_to_json(judge_all(load_claims(), match), match), allow_nan=False)


def test_the_name_of_another_arm_is_a_mismatch_even_without_parameters():
    records = [dataclasses.replace(record, params=None) for record in make_records()]
    match = match_study(records, make_study(records))
    (claim,) = load_claims(["training_compute_tenth"])
    other = dataclasses.replace(claim, selectors=Selectors(candidate="moe_fine"))
    verdict = judge(other, match)
    assert verdict.verdict == "not measured"
    assert "moe_fine" in verdict.text
    open_family = dataclasses.replace(claim, selectors=Selectors(candidate="sparse"))
    assert judge(open_family, match).verdict != "not measured"


def test_a_verdict_at_equal_accuracy_names_no_matched_loss():
    records = with_accuracies(make_records(), 2.0)
    match = match_study(records, make_study(records))
    (claim,) = load_claims(["training_compute_tenth"])
    assert judge(claim, match).matched_loss == match.matched_loss
    by_accuracy = dataclasses.replace(claim, selectors=Selectors(matched_by="accuracy"))
    assert judge(by_accuracy, match).matched_loss is None
