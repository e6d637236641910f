"""The promise of a study: old files load, and what uses nothing new is written to the same bytes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.core.errors import RecordError
from harness.core.study import MatchRule, StudyInfo, TuningNote, load_study, save_study

ROOT = Path(__file__).resolve().parents[3]
COMMITTED = sorted(path.parent for path in (ROOT / "reports").glob("*/study.json"))
NOTE = TuningNote(
    arm="dense",
    size="s",
    learning_rates=(0.003, 0.006),
    chosen=0.006,
    tokens_per_trial=1,
    num_seeds=2,
    total_flops=1e12,
    total_duration_s=None,
    where="LOG.md",
)
STUDY = StudyInfo(
    study="x",
    title="Größe",
    command="isojoule run",
    baseline_arm="dense",
    candidate_arm="moe",
    match=MatchRule(),
    order_seed=0,
    runs=(),
    claims=(),
    tuning=(NOTE,),
)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_a_published_study_loads_and_is_written_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    study = load_study(folder)
    assert study is not None
    assert study.purpose == "comparison"
    save_study(tmp_path, study)
    assert (tmp_path / "study.json").read_bytes() == (folder / "study.json").read_bytes()


@pytest.mark.parametrize(
    "study",
    [
        STUDY,
        dataclasses.replace(STUDY, purpose="tuning"),
        dataclasses.replace(
            STUDY,
            tuning=(
                NOTE,
                dataclasses.replace(
                    NOTE, total_energy_j=0.0, energy_grade="C", batch_sizes=(4, 8), chosen_batch=8, size="m"
                ),
            ),
        ),
    ],
)
def test_what_is_saved_is_what_is_loaded(study: StudyInfo, tmp_path: Path) -> None:
    save_study(tmp_path, study)
    assert load_study(tmp_path) == study


def test_only_what_is_used_is_written(tmp_path: Path) -> None:
    save_study(tmp_path, STUDY)
    plain = json.loads((tmp_path / "study.json").read_text())
    assert "purpose" not in plain
    assert set(plain["tuning"][0]).isdisjoint({"total_energy_j", "energy_grade", "batch_sizes", "chosen_batch"})
    save_study(tmp_path, dataclasses.replace(STUDY, purpose="tuning"))
    assert json.loads((tmp_path / "study.json").read_text())["purpose"] == "tuning"


def test_a_purpose_that_nobody_knows_is_one_clear_line(tmp_path: Path) -> None:
    save_study(tmp_path, STUDY)
    path = tmp_path / "study.json"
    path.write_text(path.read_text().replace('"order_seed"', '"purpose": "guessing", "order_seed"'))
    with pytest.raises(RecordError, match="purpose"):
        load_study(tmp_path)


def test_trials_are_rates_times_batches_times_seeds() -> None:
    assert NOTE.num_trials == 4
    assert dataclasses.replace(NOTE, batch_sizes=(4, 8, 16)).num_trials == 12
