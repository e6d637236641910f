"""A search read back: the lowest mean loss is chosen, never a diverged or failed trial, and doubts are said."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from harness.analysis.claims import load_claims
from harness.analysis.match import match_study
from harness.analysis.tuning.format import tuning_to_json, tuning_to_text, tuning_to_yaml
from harness.analysis.tuning.results import Search, TuningResult
from harness.analysis.tuning.search import build_tuning, load_tuning
from harness.core.errors import RecordError
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import StudyInfo, TuningNote, save_study
from tests.unit.analysis.factory import make_record, make_study, swap_path

RATES = (0.003, 0.006, 0.012)
LOSSES = {0.003: 2.3, 0.006: 2.2, 0.012: 2.25}
NAN = "the training loss is nan at step 40; lower train.learning_rate."


def trial(arm: str, rate: float, loss: float, *, seed: int = 0, batch: int = 8, size: str = "s", **changes: Any):
    record = make_record(arm, size=size, seed=seed, loss=loss, role="single", **changes)
    config = record.config | {"train": record.config["train"] | {"learning_rate": rate, "batch_size": batch}}
    name = f"toy-{arm}-{size}-{rate:g}-{batch}-s{seed}"
    return dataclasses.replace(record, run_id=name, config=config)


def grid(arms: Sequence[str] = ("dense", "moe"), seeds: Sequence[int] = (0,), **changes: Any) -> list[RunRecord]:
    return [trial(arm, rate, LOSSES[rate], seed=s, **changes) for arm in arms for rate in RATES for s in seeds]


def promise(records: Sequence[RunRecord]) -> StudyInfo:
    return make_study(records, purpose="tuning", tuning=())


def build(records: Sequence[RunRecord], study: StudyInfo | None = None) -> TuningResult:
    return build_tuning(records, study or promise(records))


def search_of(tuning: TuningResult, arm: str = "dense", size: str = "s") -> Search:
    return next(search for search in tuning.searches if (search.arm, search.size) == (arm, size))


def codes(tuning: TuningResult) -> set[str]:
    return {finding.code for finding in tuning.findings}


def fail(record: RunRecord, error: str) -> RunRecord:
    return dataclasses.replace(record, status="failed", error=error, path=None, quality=(), loss_curve=())


def test_the_lowest_loss_is_chosen_with_the_distance_to_the_next() -> None:
    search = search_of(build(grid()))
    assert search.chosen is not None
    assert search.chosen.learning_rate == 0.006
    assert search.rate_interior is True
    assert search.gap == pytest.approx(0.05)
    assert (search.is_clear, search.gap_interval) == (None, None), "one seed tells nothing about noise"
    assert search.batch_interior is None
    assert (search.num_seeds, search.tokens_per_trial) == (1, int(1e12 / 6e6))


def test_a_fair_search_of_one_seed_has_one_doubt() -> None:
    tuning = build(grid())
    assert codes(tuning) == {"one_seed"}
    assert tuning.equal_budgets.outcome == "pass"


@pytest.mark.parametrize("best", [0.003, 0.012])
def test_a_best_rate_at_the_end_of_the_grid_is_an_edge(best: float) -> None:
    tuning = build([trial(arm, rate, 2.0 if rate == best else 2.4) for arm in ("dense", "moe") for rate in RATES])
    assert search_of(tuning).rate_interior is False
    assert "edge_rate" in codes(tuning)


def test_a_diverged_trial_is_never_chosen_and_bounds_the_grid() -> None:
    records = grid()
    bad = trial("dense", 0.012, 1.0, loss_curve=tuple((i, 2.0 if i < 20 else 4.0) for i in range(40)))
    tuning = build([bad if r.run_id == bad.run_id else r for r in records])
    search = search_of(tuning)
    assert search.chosen is not None
    assert search.chosen.learning_rate == 0.006
    assert [t.state for t in search.trials] == ["finished", "finished", "diverged"]
    assert search.rate_interior is True
    assert "diverged_trial" in codes(tuning)
    assert search.cost.flops == pytest.approx(3e12), "what it cost is known, and counted"


def test_a_trial_whose_loss_became_nan_diverged_and_its_cost_is_unknown() -> None:
    tuning = build([fail(r, NAN) if r.run_id.startswith("toy-dense-s-0.012") else r for r in grid()])
    search = search_of(tuning)
    assert search.trials[-1].state == "diverged"
    assert search.rate_interior is True
    assert search.cost.flops is None
    assert search.cost.known_flops == pytest.approx(2e12)
    assert {"diverged_trial", "cost_unknown"} <= codes(tuning)
    block = tuning_to_yaml(tuning)
    assert "# dense s: cost of the search: unknown for 1 runs; at least 2e+12 FLOPs" in block
    assert yaml.safe_load(block)[0]["total_flops"] is None


def test_a_failed_neighbour_leaves_open_whether_the_choice_is_an_edge() -> None:
    tuning = build([fail(r, "killed") if r.run_id.startswith("toy-dense-s-0.012") else r for r in grid()])
    assert search_of(tuning).rate_interior is None
    assert {"failed_trial", "edge_unknown"} <= codes(tuning)


def test_when_every_trial_failed_nothing_is_chosen() -> None:
    tuning = build([fail(r, "killed") if r.arm == "dense" else r for r in grid()])
    search = search_of(tuning)
    assert search.chosen is None
    assert search.reason == "no trial finished with a loss in every seed"
    assert "no_choice" in codes(tuning)
    assert tuning.equal_budgets.outcome == "unknown"


def test_an_unfinished_search_chooses_nothing() -> None:
    records = grid()
    tuning = build(records[1:], promise(records))
    assert search_of(tuning).chosen is None
    assert search_of(tuning, "moe").chosen is not None
    assert {"missing_trials", "no_choice"} <= codes(tuning)


def test_a_trial_with_a_seed_less_is_not_chosen_for_its_luck() -> None:
    records = [r for r in grid(seeds=(0, 1)) if r.run_id != "toy-dense-s-0.006-8-s1"]
    search = search_of(build(records))
    assert search.chosen is not None
    assert search.chosen.learning_rate == 0.012


def test_over_seeds_the_mean_decides_and_the_noise_is_said() -> None:
    def noisy(spread: float) -> TuningResult:
        records = []
        for arm in ("dense", "moe"):
            for seed, shift in enumerate((-spread, 0.0, spread)):
                for rate in RATES:
                    own = -shift if rate == 0.006 else shift
                    records.append(trial(arm, rate, LOSSES[rate] + own, seed=seed))
        return build(records)

    quiet, loud = noisy(0.001), noisy(0.2)
    assert search_of(quiet).is_clear is True
    assert search_of(loud).is_clear is False
    assert "choice_within_noise" in codes(loud)
    assert "choice_within_noise" not in codes(quiet)
    chosen = search_of(loud).chosen
    assert chosen is not None
    assert chosen.learning_rate == 0.006
    assert chosen.spread == pytest.approx(0.2)


def test_a_batch_is_chosen_with_its_rate_and_its_own_edge() -> None:
    table = {(r, b): LOSSES[r] + abs(b - 8) / 100 for r in RATES for b in (4, 8, 16)}
    records = [trial(arm, r, loss, batch=b) for arm in ("dense", "moe") for (r, b), loss in table.items()]
    search = search_of(build(records))
    assert search.chosen is not None
    assert (search.chosen.learning_rate, search.chosen.batch_size) == (0.006, 8)
    assert (search.rate_interior, search.batch_interior) == (True, True)
    small = [record for record in records if record.config["train"]["batch_size"] != 4]
    assert search_of(build(small)).batch_interior is False
    assert "edge_batch" in codes(build(small))


def test_a_missing_family_fails() -> None:
    tuning = build(grid(arms=("dense",)))
    assert "missing_arm" in codes(tuning)
    assert tuning.equal_budgets.outcome == "fail"


def test_unequal_grids_and_unequal_budgets_are_found() -> None:
    fewer = [record for record in grid() if record.run_id != "toy-moe-s-0.012-8-s0"]
    tuning = build(fewer)
    assert "unequal_grids" in codes(tuning)
    assert tuning.equal_budgets.outcome == "fail"
    longer = [swap_path(r, flops=1.2e12) if r.arm == "moe" else r for r in grid()]
    assert build(longer).equal_budgets.outcome == "fail"
    near = [swap_path(r, flops=1.05e12) if r.arm == "moe" else r for r in grid()]
    assert build(near).equal_budgets.outcome == "pass"


def test_trials_of_unequal_length_are_found_and_not_disclosed_as_equal() -> None:
    records = grid()
    tuning = build([swap_path(records[0], tokens=1), *records[1:]])
    assert "unequal_tokens" in codes(tuning)
    assert "# dense s: nothing to disclose" in tuning_to_yaml(tuning)


def test_one_rate_for_a_family_is_the_lowest_mean_over_its_sizes() -> None:
    other = {0.003: 2.0, 0.006: 2.1, 0.012: 2.6}
    records = grid() + [trial(arm, rate, other[rate], size="m") for arm in ("dense", "moe") for rate in RATES]
    tuning = build(records)
    (dense, _) = tuning.arms
    assert (dense.learning_rate, dense.mean_loss) == (0.003, pytest.approx(2.15))
    assert search_of(tuning).chosen is not search_of(tuning, size="m").chosen
    notes = {by: yaml.safe_load(tuning_to_yaml(tuning, by)) for by in ("size", "arm")}
    assert [note["chosen"] for note in notes["size"]] == [0.003, 0.006, 0.003, 0.006]
    assert [note["chosen"] for note in notes["arm"]] == [0.003] * 4


def test_the_block_is_what_a_study_discloses() -> None:
    notes = yaml.safe_load(tuning_to_yaml(build(grid(grade="C"))))
    lists = [{**note, "learning_rates": tuple(note["learning_rates"])} for note in notes]
    dense, moe = (TuningNote(**note) for note in lists)
    assert (dense.arm, moe.arm, dense.chosen, dense.num_trials) == ("dense", "moe", 0.006, 3)
    assert dense.total_flops == pytest.approx(3e12)
    assert dense.total_energy_j == pytest.approx(30.0)
    assert dense.energy_grade == "C"
    assert all(isinstance(rate, float) for rate in dense.learning_rates)
    assert isinstance(dense.total_flops, float), "a number with an exponent and no point is read as text"


def test_energy_that_is_unknown_stays_unknown() -> None:
    tuning = build([swap_path(r, energy=()) for r in grid()])
    assert search_of(tuning).cost.energy_j is None
    assert "total_energy_j: null" in tuning_to_yaml(tuning)
    assert "energy unknown" in tuning_to_text(tuning)


def test_text_and_json_say_the_same() -> None:
    tuning = build([fail(r, NAN) if r.run_id.startswith("toy-dense-s-0.012") else r for r in grid()])
    text, content = tuning_to_text(tuning), tuning_to_json(tuning)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert "0.006 x batch 8 chosen" in text
    assert "one seed: this may be noise" in text
    assert "diverged" in text


def test_a_search_is_never_matched_and_a_comparison_never_ranked() -> None:
    records = grid()
    with pytest.raises(RecordError, match="isojoule tune"):
        match_study(records, promise(records))
    with pytest.raises(RecordError, match="isojoule match"):
        build_tuning(records, make_study(records))


def test_records_without_a_plan_are_ranked_and_said_to_be_unplanned() -> None:
    assert "no_study" in codes(build_tuning(grid(), None))


def test_a_store_is_ranked_from_disk(tmp_path) -> None:
    records = grid()
    store = Store(tmp_path)
    for record in records:
        store.write_record(record)
    save_study(tmp_path, promise(records))
    assert load_tuning(tmp_path).searches == build(records).searches
    assert load_claims(), "claims are not touched by a search"
