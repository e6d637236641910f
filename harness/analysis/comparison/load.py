"""A store read as far as it can be read, and judged: what is broken becomes a line of text, never an exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.claims import judge_all, load_claims
from harness.analysis.claims.inference import judge_inference
from harness.analysis.claims.spec import INFERENCE_CLAIMS, PRESS_CLAIMS
from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.detail import is_inference
from harness.analysis.inference.results import InferenceResult
from harness.analysis.match import match_study
from harness.analysis.results import MatchResult
from harness.analysis.verdicts import ClaimSpec, ClaimVerdict
from harness.core.ahead import Ahead
from harness.core.answers import TaskResult
from harness.core.beside import start_beside
from harness.core.errors import ConfigError, RecordError, did_you_mean
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import STUDY_FILE, StudyInfo, load_study


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContent:
    """What a store holds; `unreadable` has one line for each file that cannot be read, without its folder.

    `records_sha256` is over the bytes of all record files (`Store.hash_records`).
    """

    folder: str
    records: tuple[RunRecord, ...]
    unreadable: tuple[str, ...]
    study: StudyInfo | None
    answers: Mapping[str, Sequence[TaskResult]]
    traces: Mapping[str, Mapping[str, Any]]
    records_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedStore:
    """A store with its comparison and its verdicts; `result` is of either kind of study."""

    content: StoreContent
    result: MatchResult | InferenceResult
    verdicts: tuple[ClaimVerdict, ...]


def load_content(root: Path, ahead: Ahead[Any] | None = None) -> StoreContent:
    """Read the store at `root`; a store without any record, or of broken files, is read as far as it goes.

    `ahead` gets each record as soon as it is read.

    Raises:
        RecordError: `root` is no folder, or neither holds ``records/`` nor ``study.json``.
    """
    require_store(root)
    store = Store(root)
    hashed = start_beside(store.hash_records, store.count_records())
    unreadable: list[str] = []
    records: list[RunRecord] = []
    try:
        records, unreadable = store.load_records(ahead.see if ahead is not None else None)
    except RecordError:
        unreadable = ["there is no record yet: records/ holds no file of a run"]
    if ahead is not None:
        ahead.close()
    study = None
    try:
        study = load_study(root)
    except RecordError as error:
        unreadable.append(_without_folder(str(error), root))
    answers: dict[str, list[TaskResult]] = {}
    for record in records if is_inference(records, study) else ():
        try:
            answers[record.run_id] = store.load_answers(record.run_id)
        except (RecordError, OSError, UnicodeDecodeError) as error:
            answers[record.run_id] = []
            why = _without_folder(str(error), root) if isinstance(error, RecordError) else "it cannot be read as text"
            unreadable.append(f"the answers of {record.run_id} are left out: {why}")
    return StoreContent(
        folder=root.resolve().name,
        records=tuple(records),
        unreadable=tuple(unreadable),
        study=study,
        answers=answers,
        traces=store.find_traces(record.run_id for record in records),
        records_sha256=hashed(),
    )


def require_store(root: Path) -> None:
    """Check that `root` is the folder of a study.

    Raises:
        RecordError: it is missing, a file, or a folder without ``records/`` and ``study.json``.
    """
    advice = "give the folder of a study (it holds records/)."
    try:
        if not root.exists():
            raise RecordError(f"there is no folder '{root}'; {advice}")
        if not root.is_dir():
            raise RecordError(f"'{root}' is a file; {advice}")
        if not (root / "records").is_dir() and not (root / STUDY_FILE).is_file():
            raise RecordError(f"no run records under '{root}'; {advice}")
    except OSError as error:
        raise RecordError(f"'{root}' cannot be read: {error.strerror}.") from error


def may_train(root: Path) -> bool:
    """Return whether there are records at `root`, and of no study that says it trained nothing; none is read."""
    try:
        study = load_study(root)
    except RecordError:
        study = None
    return (root / "records").is_dir() and (study is None or study.purpose != "inference")


def judge_content(content: StoreContent) -> JudgedStore:
    """Match and judge what `content` holds.

    Raises:
        RecordError: records must not be pooled, or the study is a search of the learning rate.
    """
    records, study = content.records, content.study
    inference = is_inference(records, study)
    default = INFERENCE_CLAIMS if inference else PRESS_CLAIMS
    claims, unknown = _choose_claims(study.claims if study is not None else default)
    lines = (*content.unreadable, *unknown)
    result: MatchResult | InferenceResult
    if inference:
        result = compare_inference(records, content.answers, study, lines)
        verdicts = judge_inference(claims, result)
    else:
        result = match_study(records, study, lines)
        verdicts = judge_all(claims, result)
    return JudgedStore(content=content, result=result, verdicts=tuple(verdicts))


def _choose_claims(ids: Sequence[str]) -> tuple[list[ClaimSpec], list[str]]:
    """Return the claims that are known, and a line for each that is not."""
    known = {claim.id: claim for claim in load_claims()}
    unknown = [
        f"claim '{name}' is not judged: this isojoule does not know it.{did_you_mean(name, known)}"
        for name in ids
        if name not in known
    ]
    return [known[name] for name in ids if name in known], unknown


def _without_folder(text: str, root: Path) -> str:
    return text.replace(f"{root}/", "").replace(str(root), "")


def name_stores(roots: Sequence[Path]) -> None:
    """Check that no store is named twice.

    Raises:
        ConfigError: two of `roots` are one folder.
    """
    seen: dict[Path, Path] = {}
    for root in roots:
        real = root.resolve()
        if real in seen:
            raise ConfigError(f"'{root}' is named twice; a study beside itself says nothing. Name another store.")
        seen[real] = root
