"""The three parts of ``isojoule claims``: with and without a study, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from harness.analysis.claims import judge_all, load_claims, verdicts_to_json
from harness.analysis.claims.overview import (
    MEASURED_TITLE,
    PROJECTED_TITLE,
    PUBLISHED_TITLE,
    build_overview,
    overview_to_json,
    overview_to_text,
)
from harness.analysis.claims.projected import projected_rows
from harness.analysis.claims.spec import PRESS_CLAIMS
from harness.analysis.match import load_and_match
from harness.cli.command import main
from harness.core.errors import ConfigError, RecordError
from harness.core.store import Store
from harness.core.study import save_study
from tests.unit.analysis.factory import make_records, make_study


@pytest.fixture
def store(tmp_path):
    records = make_records(2.0, noise=lambda arm, seed, flops: 0.01 * seed)
    folder = tmp_path / "store"
    for record in records:
        Store(folder).write_record(record)
    save_study(folder, dataclasses.replace(make_study(records), claims=PRESS_CLAIMS))
    return folder


def test_every_claim_is_judged_and_those_promised_come_first_and_say_so(store):
    overview = build_overview(store)
    ids = [verdict.claim.id for verdict in overview.verdicts]
    assert tuple(ids[: len(PRESS_CLAIMS)]) == PRESS_CLAIMS
    assert sorted(ids) == sorted(claim.id for claim in load_claims())
    text = overview_to_text(overview)
    assert "training_compute_tenth (promised): not supported at the tested scale" in text
    assert "fairness checks: 27 pass, 0 fail, 0 unknown" in text
    assert "training_compute_quarter (looked at afterwards): not supported at the tested scale" in text
    assert "energy_per_task_90_equal_accuracy (looked at afterwards): inconclusive" in text


def test_the_json_of_a_study_keeps_the_keys_of_its_verdicts_and_adds_the_other_parts(store):
    content = overview_to_json(build_overview(store))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    match = load_and_match(store)
    plain = verdicts_to_json(judge_all(load_claims(PRESS_CLAIMS), match), match)
    assert set(content) == set(plain) | {"measured_reason", "published", "projected"}
    for entry, expected in zip(content["claims"], plain["claims"], strict=False):
        assert {key: entry[key] for key in expected} == expected
        assert set(entry) - set(expected) == {"promised", "terms"}
        assert entry["terms"]["comparator"] == "<="
        assert entry["terms"]["limit"] == 0.1
    assert content["measured_reason"] is None
    assert all("verdict" not in row for row in (*content["published"], *content["projected"]))
    assert {row["grade"] for row in content["projected"]} == {"D"}
    assert {row["bears_on"] for row in content["projected"]} == set(PRESS_CLAIMS)


def test_checks_that_do_not_pass_are_printed_with_the_verdicts_and_their_reason(store):
    for path in (store / "records").glob("*moe*.json"):
        record = Store(store).load_record(path.stem)
        Store(store).write_record(dataclasses.replace(record, epochs=9.0, sensors=()))
    text = overview_to_text(build_overview(store))
    assert "FAIL (blocks a direction) At most four epochs over the text: at most 9 epochs" in text
    assert "? Same power limit in every run: " in text


def test_a_study_without_a_promise_promised_no_claim(store):
    (store / "study.json").unlink()
    overview = build_overview(store)
    assert overview.promised == frozenset()
    assert "(promised)" not in overview_to_text(overview)


def test_without_a_study_every_claim_is_not_measured_and_says_what_to_type():
    overview = build_overview(None)
    assert {verdict.verdict for verdict in overview.verdicts} == {"not measured"}
    text = overview_to_text(overview)
    assert "isojoule run -m experiment=iso_loss_quick" in text
    assert text.index(MEASURED_TITLE) < text.index(PUBLISHED_TITLE) < text.index(PROJECTED_TITLE)
    content = overview_to_json(overview)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["study"] is None
    assert "no study" in content["measured_reason"]
    assert {claim["verdict"] for claim in content["claims"]} == {"not measured"}


def test_published_rows_are_printed_with_value_formula_and_tags():
    lines = overview_to_text(build_overview(None)).splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("published_v3_gpu_hours_over_llama_405b"))
    assert lines[first].split()[1:] == ["0.0904", "ratio", "D<P", "no", "training", "compute"]
    assert "2.788M H800 GPU hours" in lines[first + 1]
    assert lines[first + 2].strip() == "= 2.788e6 / 3.084e7"


def test_a_figure_that_does_not_follow_from_its_inputs_is_shouted(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "kind: published\nid: x\nstatement: s\nsource: s\naxis: speed\nbears_on: none\nisolates_architecture: true\n"
        "inputs: {a: {value: 2, unit: W, tag: P}}\nformula: a\nunit: W\nnote: n\nexpected: 3\nrounding: 0.5\n"
    )
    assert "(published: 3, DIFFERS)" in overview_to_text(build_overview(None, tmp_path))


def test_a_promise_of_an_unknown_claim_and_a_store_that_is_none_are_the_users_mistakes(store, tmp_path):
    study = make_study(make_records(2.0))
    save_study(store, dataclasses.replace(study, claims=("training_compute_tent",)))
    with pytest.raises(ConfigError, match="Did you mean 'training_compute_tenth'"):
        build_overview(store)
    with pytest.raises(RecordError, match="no run records"):
        build_overview(tmp_path / "nowhere")


def test_the_command_takes_the_newest_study_or_none(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(("claims", "--json", "none.json")) == 0
    assert json.loads((tmp_path / "none.json").read_text())["study"] is None
    assert "there is no study to judge" in capsys.readouterr().out
    store.rename((tmp_path / "runs").mkdir() or tmp_path / "runs" / "toy")
    assert main(("claims", "--json", "one.json")) == 0
    assert json.loads((tmp_path / "one.json").read_text())["claims"][0]["promised"] is True
    assert main(("claims", "nowhere")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_projected_ratio_just_above_a_tenth_does_not_read_as_a_tenth():
    (row,) = (row for row in projected_rows() if row.id == "deepseek-v3_llama-3.1-405b_decoding")
    assert row.values["ratio_at_batch_1"] == pytest.approx(0.104, abs=5e-4)
    assert "0.104 at batch 1" in row.text
    assert "at or below 0.1 at batch: nowhere" in row.text
