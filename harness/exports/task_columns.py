"""The table of task results: one row for each question that was asked, with the run that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.core.answers import TaskResult
from harness.core.records import RunRecord
from harness.exports.columns import Column, ColumnType


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task result and its run."""

    record: RunRecord
    result: TaskResult


# The names are those of `TaskResult`, so that a table reads back into it.
RESULT_FIELDS: dict[str, ColumnType] = {
    "kind": "text",
    "index": "int",
    "repetition": "int",
    "status": "text",
    "prompt_sha256": "text",
    "expected": "text",
    "answer": "text",
    "correct": "bool",
    "num_input_tokens": "int",
    "num_output_tokens": "int",
    "answer_bytes": "int",
    "energy_j": "float",
    "energy_grade": "text",
    "energy_share": "text",
    "seconds": "float",
    "reason": "text",
    "sent_s": "float",
    "ttft_s": "float",
    "e2e_s": "float",
    "num_tries": "int",
    "http_status": "int",
    "made_bytes": "int",
    "ended_bytes": "int",
}


def _of_result(name: str) -> Any:
    return lambda row: getattr(row.result, name)


TASK_COLUMNS: tuple[Column[TaskRow], ...] = (
    Column(name="run_id", type="text", read=lambda row: row.record.run_id),
    Column(name="study", type="text", read=lambda row: row.record.study),
    Column(name="arm", type="text", read=lambda row: row.record.arm),
    Column(name="size", type="text", read=lambda row: row.record.size),
    Column(name="seed", type="int", read=lambda row: row.record.seed),
    *(Column(name=name, type=kind, read=_of_result(name)) for name, kind in RESULT_FIELDS.items()),
)
