"""What a study was last started with, kept beside its promise for its status: its budget, and what each run trains.

``schedule.json`` at the root of a store; unlike ``study.json`` it is written anew at every start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from harness.core.errors import RecordError
from harness.core.store import write_text_atomically
from harness.core.strict_config import STRICT
from harness.run.study_budget import StudyBudget

SCHEDULE_FILE = "schedule.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFile:
    """`train_flops` holds the training FLOPs of each run by formula, its own part alone."""

    __pydantic_config__ = STRICT
    budget: StudyBudget = field(default_factory=StudyBudget)
    train_flops: dict[str, Annotated[float, Field(ge=0, le=1e30)]] = field(default_factory=dict)


_ADAPTER: TypeAdapter[ScheduleFile] = TypeAdapter(ScheduleFile)


def save_schedule(root: Path, schedule: ScheduleFile) -> None:
    """Write the schedule to the store at `root`."""
    write_text_atomically(root / SCHEDULE_FILE, _ADAPTER.dump_json(schedule, indent=1).decode() + "\n")


def load_schedule(root: Path) -> ScheduleFile:
    """Return the schedule of the store at `root`, an empty one where there is no file.

    Raises:
        RecordError: there is a file, and it cannot be read.
    """
    path = root / SCHEDULE_FILE
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ScheduleFile()
    except OSError as error:
        raise RecordError(f"{path} is not a readable schedule: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RecordError(f"{path} is not a readable schedule: {where}: {first['msg']}") from error
