"""Everything that a store says of tasks: a trained study, an inference study, or runs that were made one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.detail import describe_inference, describe_matched, is_inference
from harness.analysis.inference.results import InferenceDetail, InferenceResult
from harness.analysis.match import match_study
from harness.analysis.results import MatchResult
from harness.core.answers import TaskResult
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import StudyInfo, load_study


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStudy:
    """What `isojoule tasks` shows: `match` for a study that trained its models, `inference` for one that did not."""

    match: MatchResult | None
    inference: InferenceResult | None
    detail: InferenceDetail


def load_tasks(root: Path | str) -> TaskStudy:
    """Read the store at `root` and say what its tasks cost.

    Raises:
        RecordError: there is no record, the study file cannot be read, or records must not be pooled.
    """
    store = Store(root)
    records, unreadable = store.load_records()
    return build_tasks(store, records, load_study(Path(root)), unreadable)


def build_tasks(
    store: Store, records: Sequence[RunRecord], study: StudyInfo | None, unreadable: Sequence[str] = ()
) -> TaskStudy:
    """Return what the tasks of `records` cost; answers are read from `store`.

    Raises:
        RecordError: records must not be pooled, or answers cannot be read.
    """
    if not is_inference(records, study):
        match = match_study(records, study, unreadable)
        return TaskStudy(match=match, inference=None, detail=describe_matched(records, match, study))
    answers = load_answers(store, records)
    result = compare_inference(records, answers, study, unreadable)
    return TaskStudy(match=None, inference=result, detail=describe_inference(records, answers, study))


def load_answers(store: Store, records: Sequence[RunRecord]) -> dict[str, list[TaskResult]]:
    """Return the answers of every run, by its id.

    Raises:
        RecordError: a line of a file cannot be read.
    """
    return {record.run_id: store.load_answers(record.run_id) for record in records}
