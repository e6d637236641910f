"""The candidate by the baseline's constants: the overhead is named, and what is not determined is said."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.projection.hardware import load_card
from harness.analysis.roofline.results import Prediction
from harness.analysis.roofline.study import NO_CARD, build_roofline
from harness.analysis.roofline.summary import roofline_to_json
from harness.core.records import RunRecord
from tests.unit.analysis.factory import reading
from tests.unit.analysis.roofline.factory import SWEEP, make_pair, make_run

ARMS = ("dense", "moe")


def predict(records: list[RunRecord]) -> Prediction:
    (found,) = [p for p in build_roofline(records, ARMS).predictions if p.phase == "decode"]
    return found


@pytest.mark.parametrize("overhead", [1.0, 1.3, 0.7])
def test_the_implied_overhead_is_the_one_that_was_put_in(overhead: float) -> None:
    found = predict(make_pair(overhead))
    assert found.overhead.value == pytest.approx(overhead, rel=1e-9)
    assert found.overhead_rms == pytest.approx(0, abs=1e-9)
    assert found.ratio.value is not None
    assert (found.ratio.value > 1) == (overhead > 1) or overhead == 1.0
    assert 0 < (found.work_share or 0) < 1
    assert (found.ratio.n, found.num_observations) == (3, 48)


def test_without_overhead_every_regime_is_as_predicted() -> None:
    found = predict(make_pair(1.0, noise=0.02))
    assert found.ratio.value == pytest.approx(1.0, abs=0.02)
    assert found.ratio.interval is not None
    assert found.ratio.interval.low < 1 < found.ratio.interval.high
    assert len(found.regimes) == len(SWEEP)
    assert all(row.ratio.value == pytest.approx(1.0, abs=0.08) for row in found.regimes)
    assert "holds here" in found.finding
    # two thirds of normal errors lie within their rms
    assert 0.4 < (found.within or 0) < 0.95


def test_an_overhead_beyond_the_held_out_error_is_told() -> None:
    found = predict(make_pair(1.6, noise=0.02))
    assert found.overhead.interval is not None
    assert found.overhead.interval.low < 1.6 < found.overhead.interval.high
    assert "does not hold here" in found.finding
    assert found.within == pytest.approx(0.0, abs=0.2)


def test_a_whole_step_that_costs_more_is_told_from_an_overhead_of_its_work() -> None:
    records = make_pair(1.0)
    twice = [
        dataclasses.replace(
            r,
            windows=tuple(
                dataclasses.replace(
                    w, energy=tuple(dataclasses.replace(e, energy_j=2 * (e.energy_j or 0)) for e in w.energy)
                )
                for w in r.windows
            ),
        )
        if r.arm == "moe"
        else r
        for r in records
    ]
    found = predict(twice)
    assert found.ratio.value == pytest.approx(2.0)
    assert found.scaled_rms == pytest.approx(0, abs=1e-9)
    assert (found.overhead_rms or 0) > 0.05


def test_constants_that_are_not_told_apart_leave_the_prediction_open() -> None:
    line = [(batch, 128) for batch in (1, 2, 4, 8, 16, 32)]
    found = predict(make_pair(1.0, sweep=line, noise=0.02))
    assert found.ratio_range is not None
    # weights of the candidate are twice as many: a cost that could be the step's or the byte's doubles or does not
    assert found.ratio_range[1] / found.ratio_range[0] > 1.2
    sharp = predict(make_pair(1.0, noise=0.02))
    assert sharp.ratio_range == (sharp.ratio.value, sharp.ratio.value)


def test_one_seed_has_a_ratio_and_no_interval() -> None:
    found = predict(make_pair(1.3, seeds=(0,)))
    assert found.ratio.value is not None
    assert found.ratio.interval is None
    assert "one value" in str(found.ratio.reason)


def test_steps_cheaper_than_their_constant_part_have_no_overhead() -> None:
    records = [make_run("dense"), make_run("moe", constants=(0.001, 0.0, 1e-16))]
    found = predict(records)
    assert found.overhead.value is None
    assert "constant part alone" in str(found.overhead.reason)
    assert found.overhead_rms is None


def test_without_constants_or_candidate_there_is_a_reason_and_no_number() -> None:
    few = predict(make_pair(1.0, sweep=SWEEP[:3]))
    assert (few.ratio.value, few.overhead.value, few.rms, few.within, few.ratio_range) == (None,) * 5
    assert "dense has no constants" in str(few.reason)
    alone = predict([make_run("dense")])
    assert alone.reason == "no window of moe has all that a prediction needs"
    cpu = tuple(dataclasses.replace(w, energy=(reading(5.0, domain="cpu"),)) for w in make_run("moe").windows)
    other = predict([make_run("dense"), dataclasses.replace(make_run("moe"), windows=cpu)])
    assert other.reason == "the energy of the two arms covers different devices"


def test_a_card_caps_predictions_and_says_so_where_it_cannot() -> None:
    records = make_pair(1.0)
    card = load_card("h100")
    found = build_roofline(records, ARMS, card)
    assert found.power_limit_w == 700
    free = build_roofline(records, ARMS)
    assert (free.power_limit_w, free.power_limit_note) == (None, NO_CARD)
    decode = found.predictions[1]
    # 700 W for 0.01 s are 7 J: large batches with a long context are predicted above that
    assert 0 < decode.num_capped < decode.num_observations
    assert max(row.predicted_j for row in decode.regimes) == pytest.approx(7.0)
    assert free.predictions[1].num_capped == 0
    cpu = [
        dataclasses.replace(
            r,
            windows=tuple(
                dataclasses.replace(w, energy=tuple(dataclasses.replace(e, domain="cpu") for e in w.energy))
                for w in r.windows
            ),
        )
        for r in records
    ]
    kept = build_roofline(cpu, ARMS, card)
    assert kept.power_limit_w is None
    assert "is not applied" in kept.power_limit_note


def test_modelled_energy_stays_modelled_everywhere() -> None:
    found = build_roofline(make_pair(1.2, grade="C"), ARMS)
    assert {fit.word for fit in found.fits} == {"modelled"}
    assert {p.word for p in found.predictions} == {"modelled"}
    plain = roofline_to_json(found)
    assert [(p["word"], p["kind"], p["grade"]) for p in plain["predictions"]] == [("modelled", "projected", "C")] * 2
    mixed = [*make_pair(1.2)[:3], *make_pair(1.2, grade="C")[3:]]
    assert predict(mixed).word == "modelled"
