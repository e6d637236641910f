"""What a study promised before its first run: arms, budgets, seeds and the rule that picks the verdict's loss.

``study.json`` stands at the root of a store, written before the first run and never changed by the runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.core.errors import RecordError
from harness.core.store import write_text_atomically

STUDY_FILE = "study.json"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRule:
    """How losses are matched, fixed before the first run.

    ``lowest_common``: the verdict's loss is the lowest that both families reached in every seed (the worse family's
    worst seed decides). ``fixed``: `loss` itself, in bits per byte. `num_losses` points of the curve are spread evenly
    over the losses both reached. `interval` says how seeds make an interval: ``paired`` (the ratio inside each seed) or
    ``two_sample`` (seeds of the arms as independent). Two models count as equally good where the interval of their
    difference lies inside the margin: `margin_bits_per_byte` of loss, `margin_accuracy` of task accuracy (a share;
    ``None``: the study declared none, so nothing is called equivalent).
    """

    __pydantic_config__ = _STRICT
    rule: Literal["lowest_common", "fixed"] = "lowest_common"
    loss: float | None = None
    num_losses: int = 9
    margin_bits_per_byte: float = 0.01
    interval: Literal["paired", "two_sample"] = "paired"
    margin_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningNote:
    """Learning-rate search of one arm and size, disclosed with its cost; `where` names the log entry."""

    __pydantic_config__ = _STRICT
    arm: str
    size: str
    learning_rates: tuple[float, ...]
    chosen: float
    tokens_per_trial: int
    num_seeds: int
    total_flops: float | None
    total_duration_s: float | None
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run of the plan, in order."""

    __pydantic_config__ = _STRICT
    run_id: str
    arm: str
    size: str
    role: str
    seed: int
    tokens: int
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInfo:
    """The whole promise; `claims` are ids of claim files, `command` is what reproduces the study."""

    __pydantic_config__ = _STRICT
    study: str
    title: str
    command: str
    baseline_arm: str
    candidate_arm: str
    match: MatchRule
    order_seed: int
    runs: tuple[PlannedRun, ...]
    claims: tuple[str, ...]
    tuning: tuple[TuningNote, ...] = ()
    notes: str = ""


_ADAPTER: TypeAdapter[StudyInfo] = TypeAdapter(StudyInfo)


def save_study(root: Path, study: StudyInfo) -> None:
    """Write the promise to the store at `root`."""
    write_text_atomically(root / STUDY_FILE, _ADAPTER.dump_json(study, indent=1).decode())


def load_study(root: Path) -> StudyInfo | None:
    """Return the promise of the store at `root`, or ``None`` where runs were made one by one.

    Raises:
        RecordError: there is a study file, and it cannot be read.
    """
    path = root / STUDY_FILE
    if not path.exists():
        return None
    try:
        return _ADAPTER.validate_json(path.read_text())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RecordError(f"{path} is not a readable study file: {where}: {first['msg']}") from error
