"""What a study promised before its first run: arms, budgets, seeds and the rule that picks the verdict's loss.

``study.json`` stands at the root of a store, written before the first run and never changed by the runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import RecordError
from harness.core.plain_json import PlainJsonError, check_file_name, read_text, why_unreadable
from harness.core.readings import Grade
from harness.core.store import write_text_atomically
from harness.core.strict import Amount, Count, Integer, Real, StrictReader, StrictValue

STUDY_FILE = "study.json"
Purpose = Literal["comparison", "tuning", "inference"]
# Fields that came after the first studies were published, by where they stand. At these values a file leaves them out,
# so that a study that uses none of them is written to the same bytes as before.
_ADDED_LATER: dict[str, dict[str, Any]] = {
    "": {"purpose": "comparison"},
    "match": {"interval": "paired", "margin_accuracy": None},
    "tuning": {"total_energy_j": None, "energy_grade": None, "batch_sizes": [], "chosen_batch": None},
}


class MatchRule(StrictValue, frozen=True, kw_only=True):
    """How losses are matched, fixed before the first run.

    ``lowest_common``: the verdict's loss is the lowest that both families reached in every seed (the worse family's
    worst seed decides). ``middle_common``: the middle of the losses that both reached in every seed, where runs lie on
    both sides and the curve is steeper, so that the same seeds say more. ``fixed``: `loss` itself, in bits per byte.

    `num_losses` points of the curve are spread evenly over the losses both reached. `interval` says how seeds make an
    interval: ``paired`` (the ratio inside each seed) or ``two_sample`` (seeds of the arms as independent). Two models
    count as equally good where the interval of their difference lies inside the margin: `margin_bits_per_byte` of loss,
    `margin_accuracy` of task accuracy (a share; ``None``: the study declared none, so nothing is called equivalent).
    """

    rule: Literal["lowest_common", "middle_common", "fixed"] = "lowest_common"
    loss: Real | None = None
    num_losses: Count = 9
    margin_bits_per_byte: Real = 0.01
    interval: Literal["paired", "two_sample"] = "paired"
    margin_accuracy: Real | None = None


class TuningNote(StrictValue, frozen=True, kw_only=True):
    """Search of the learning rate, or of rate and batch, of one arm and size, with its cost; `where` names its source.

    `total_energy_j` is that of training, all trials together, `energy_grade` its grade; the batch was not searched
    where `batch_sizes` is empty. Every rate was tried with every batch.
    """

    arm: str
    size: str
    learning_rates: tuple[Real, ...]
    chosen: Real
    tokens_per_trial: Integer
    num_seeds: Count
    total_flops: Amount | None
    total_duration_s: Real | None
    where: str
    total_energy_j: Real | None = None
    energy_grade: Grade | None = None
    batch_sizes: tuple[Integer, ...] = ()
    chosen_batch: Integer | None = None

    @property
    def num_trials(self) -> int:
        """Return how many runs the search made: rates x batches x seeds."""
        return len(self.learning_rates) * max(1, len(self.batch_sizes)) * self.num_seeds


class PlannedRun(StrictValue, frozen=True, kw_only=True):
    """One run of the plan, in order."""

    run_id: str
    arm: str
    size: str
    role: str
    seed: Integer
    tokens: Count
    block: Integer


class StudyInfo(StrictValue, frozen=True, kw_only=True):
    """The whole promise; `claims` are ids of claim files, `command` is what reproduces the study.

    The runs of a study whose `purpose` is ``tuning`` are trials that differ in learning rate or batch: they are ranked,
    never matched. In an ``inference`` study nothing is trained: models or servers answer as they are, and seeds number
    the repeats.
    """

    study: str
    title: str
    command: str
    baseline_arm: str
    candidate_arm: str
    match: MatchRule
    order_seed: Integer
    runs: tuple[PlannedRun, ...]
    claims: tuple[str, ...]
    tuning: tuple[TuningNote, ...] = ()
    notes: str = ""
    purpose: Purpose = "comparison"


_READER = StrictReader(StudyInfo)


def save_study(root: Path, study: StudyInfo) -> None:
    """Write the promise to the store at `root`."""
    content = _READER.to_plain(study)
    for place, added in _ADDED_LATER.items():
        parts = content.get(place, []) if place else content
        for part in parts if isinstance(parts, list) else [parts]:
            for name, before in added.items():
                if part.get(name) == before:
                    del part[name]
    write_text_atomically(root / STUDY_FILE, json.dumps(content, indent=1, ensure_ascii=False))


def load_study(root: Path) -> StudyInfo | None:
    """Return the promise of the store at `root`, or ``None`` where runs were made one by one.

    Raises:
        RecordError: there is a study file, and it cannot be read.
    """
    path = root / STUDY_FILE
    what = f"{path} is not a readable study file"
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{what}: {why_unreadable(error)}") from error
    study = _READER.read(text, what)
    try:
        for index, run in enumerate(study.runs):
            check_file_name(run.run_id, f"runs.{index}.run_id")
    except PlainJsonError as error:
        raise RecordError(f"{what}: {error}") from error
    return study
