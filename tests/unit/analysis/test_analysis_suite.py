"""A study's task is its suite: kinds weigh the same, sweeps stay out, and runs without regimes are read as before."""

from __future__ import annotations

import dataclasses
import json

import pytest

from harness.analysis.claims import judge_all, load_claims, verdicts_to_json
from harness.analysis.match import match_study
from harness.analysis.results import MatchResult
from harness.analysis.task_costs import measure_task
from harness.core import records as c
from tests.unit.analysis.factory import make_record, make_records, make_study
from tests.unit.analysis.inference.factory import sweep_windows, with_suite

JOULES = {"dense": {"arithmetic": 1.0, "sorting": 3.0}, "moe": {"arithmetic": 0.5, "sorting": 3.0}}
ACCURACIES = {"arithmetic": 0.9, "sorting": 0.5}


def study(**options: object) -> MatchResult:
    records = [with_suite(r, JOULES[r.arm], ACCURACIES, **options) for r in make_records(2.0)]  # type: ignore[arg-type]
    return match_study(records, make_study(records))


def test_a_task_is_the_mean_over_kinds_and_accuracy_too() -> None:
    task = measure_task(with_suite(make_record("dense"), JOULES["dense"], ACCURACIES))
    assert task.energy_j == pytest.approx(2.0)
    assert task.prefill_j == pytest.approx(0.5)
    assert task.accuracy == pytest.approx(0.7)
    assert task.num_tasks == 128
    assert task.seconds == pytest.approx(0.04)


def test_kinds_have_rows_and_ratios_of_their_own() -> None:
    found = study()
    by_kind = {kind.kind: kind for kind in found.kinds}
    ratios = {name: kind.task_ratios[0].estimate for name, kind in by_kind.items()}
    assert ratios == {"arithmetic": pytest.approx(0.5), "sorting": pytest.approx(1.0)}
    assert by_kind["sorting"].chance == 0.1
    assert by_kind["sorting"].task_ratios[0].interval is not None
    assert found.task_ratios[0].estimate == pytest.approx(3.5 / 4)


def test_windows_of_a_sweep_and_of_whole_generations_never_enter() -> None:
    plain, swept = study(), study(sweep=sweep_windows(lambda batch: (50.0, 5.0), free=True))
    assert plain.arm_tasks == swept.arm_tasks
    assert plain.task_ratios == swept.task_ratios


def test_answers_of_fixed_length_are_the_task_where_free_ones_stand_beside() -> None:
    record = with_suite(make_record("dense"), {"sorting": 1.0}, {"sorting": 0.5})
    free = tuple(
        dataclasses.replace(w, regime=dataclasses.replace(w.regime, answer_length="free"), duration_s=99.0)
        for w in record.windows
        if w.regime is not None
    )
    both = dataclasses.replace(record, windows=(*record.windows, *free))
    assert measure_task(both) == measure_task(record)


def test_an_answer_of_one_token_costs_its_prefill_alone() -> None:
    """A letter of a multiple choice: without this the energy of the whole suite would be unknown."""
    record = with_suite(make_record("dense"), {"letter": 4.0, "sorting": 1.0}, {"letter": 0.5, "sorting": 0.5})
    windows = [
        dataclasses.replace(w, regime=dataclasses.replace(w.regime, num_output_tokens=1))
        if w.regime is not None and w.regime.kind == "letter"
        else w
        for w in record.windows
        if not (w.phase == "decode" and w.regime is not None and w.regime.kind == "letter")
    ]
    record = dataclasses.replace(record, windows=tuple(windows))
    letter = measure_task(record, "letter")
    assert (letter.energy_j, letter.prefill_j, letter.decode_j) == (pytest.approx(1.0), pytest.approx(1.0), None)
    assert letter.seconds == pytest.approx(0.01)
    assert measure_task(record).energy_j == pytest.approx(1.0)
    lost = tuple(w for w in record.windows if w.phase != "decode")
    assert measure_task(dataclasses.replace(record, windows=lost), "sorting").energy_j is None


def test_a_sweep_beside_line_completion_alone_leaves_the_task_as_it_was() -> None:
    record = make_record("dense")
    swept = dataclasses.replace(record, windows=(*record.windows, *sweep_windows(lambda batch: (50.0, 5.0))))
    assert measure_task(swept) == measure_task(record)


def test_studies_without_kinds_keep_the_keys_of_their_verdicts() -> None:
    claims = load_claims(["energy_per_task_90"])

    def keys(match: MatchResult) -> set[str]:
        return set(verdicts_to_json(judge_all(claims, match), match))

    records = make_records(2.0)
    plain = match_study(records, make_study(records))
    assert plain.kinds == plain.task_pairs == ()
    assert keys(study()) - keys(plain) == {"kinds", "task_pairs"}
    json.dumps(verdicts_to_json(judge_all(claims, study()), study()), allow_nan=False)


def test_the_compute_optimal_pair_stands_first_and_the_others_say_what_is_unequal() -> None:
    pairs = study().task_pairs
    assert [pair.code for pair in pairs] == ["compute_optimal", "equal_tokens", "equal_active_params"]
    optimal, tokens, active = pairs
    assert optimal.loss_gap == pytest.approx(0.0, abs=1e-9)
    # with equal tokens the sparse arm, which needs half of them, is better by more than nothing
    assert tokens.loss_gap is not None
    assert tokens.loss_gap > 0.05
    assert active.loss_gap == pytest.approx(0.0, abs=1e-9)
    assert tokens.accuracy_gap == pytest.approx(0.0)
    assert tokens.task_ratios[0].estimate == pytest.approx(3.5 / 4)
    assert tokens.n == 3


def test_a_pair_that_does_not_exist_says_so() -> None:
    records = [
        with_suite(r, JOULES[r.arm], ACCURACIES)
        for r in make_records(2.0, budgets={"dense": (1e12, 4e12), "moe": (0.7e12, 1.9e12)})
    ]
    found = match_study(records, make_study(records))
    tokens = next(pair for pair in found.task_pairs if pair.code == "equal_tokens")
    assert tokens.task_ratios == ()
    assert "agree in it in every seed" in (tokens.reason or "")


def test_matching_by_accuracy_uses_the_mean_over_kinds() -> None:
    def shares(record: c.RunRecord) -> dict[str, float]:
        assert record.path is not None
        effective = record.path.flops * (2.0 if record.arm == "moe" else 1.0)
        return {"arithmetic": min(0.95, 0.2 * effective / 1e12), "sorting": min(0.9, 0.1 * effective / 1e12)}

    records = [with_suite(r, JOULES[r.arm], shares(r)) for r in make_records(2.0)]
    found = match_study(records, make_study(records)).accuracy
    assert found is not None
    assert found.error_rate == pytest.approx(1 - (0.95 + 0.8) / 2)
