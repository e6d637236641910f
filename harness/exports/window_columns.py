"""The table of windows: one row for each window and sensor reading; a window without any reading has one row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.analysis.energy_sum import add_up
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord, WindowRecord
from harness.exports.columns import Column, ColumnType


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window, one of its readings (``None`` where it has none), and its run."""

    record: RunRecord
    window: WindowRecord
    reading: EnergyReading | None


def iterate_window_rows(record: RunRecord) -> Iterator[WindowRow]:
    """Yield the rows of a run in the order of its windows."""
    for window in record.windows:
        for reading in window.energy or (None,):
            yield WindowRow(record, window, reading)


def _of_record(name: str, kind: ColumnType) -> Column[WindowRow]:
    return Column(name=name, type=kind, read=lambda row: getattr(row.record, name))


def _of_window(name: str, kind: ColumnType) -> Column[WindowRow]:
    return Column(name=name, type=kind, read=lambda row: getattr(row.window, name))


def _of_part(part: str, name: str, kind: ColumnType, column: str | None = None) -> Column[WindowRow]:
    """Return a column of the window's ``work`` or ``regime``, null where the window has none."""

    def read(row: WindowRow) -> Any:
        owner = getattr(row.window, part)
        return None if owner is None else getattr(owner, name)

    return Column(name=column or f"{part}_{name}", type=kind, read=read)


def _of_reading(name: str, kind: ColumnType, column: str | None = None) -> Column[WindowRow]:
    return Column(
        name=column or name, type=kind, read=lambda row: None if row.reading is None else getattr(row.reading, name)
    )


WINDOW_COLUMNS: tuple[Column[WindowRow], ...] = (
    _of_record("run_id", "text"),
    _of_record("study", "text"),
    _of_record("arm", "text"),
    _of_record("size", "text"),
    _of_record("seed", "int"),
    _of_window("phase", "text"),
    _of_window("repetition", "int"),
    _of_window("begin_s", "float"),
    _of_window("duration_s", "float"),
    _of_window("synced", "bool"),
    _of_window("peak_memory_bytes", "int"),
    _of_window("temperature_c", "float"),
    _of_part("regime", "kind", "text"),
    _of_part("regime", "batch_size", "int"),
    _of_part("regime", "num_input_tokens", "int"),
    _of_part("regime", "num_output_tokens", "int"),
    _of_part("regime", "answer_length", "text"),
    _of_part("work", "unit", "text"),
    _of_part("work", "amount", "float"),
    _of_part("work", "flops", "float"),
    _of_part("work", "num_input_tokens", "int"),
    _of_part("work", "num_output_tokens", "int"),
    _of_part("work", "num_tasks", "int"),
    _of_part("work", "num_correct", "int"),
    _of_part("work", "num_steps", "int"),
    _of_part("work", "num_bytes", "float"),
    _of_part("work", "bytes_source", "text"),
    _of_reading("sensor", "text"),
    _of_reading("domain", "text"),
    _of_reading("device", "text"),
    _of_reading("device_index", "int"),
    _of_reading("method", "text"),
    _of_reading("simulated", "bool"),
    _of_reading("energy_j", "float"),
    _of_reading("net_energy_j", "float"),
    _of_reading("grade", "text", "energy_grade"),
    Column(
        name="energy_kind", type="text", read=lambda row: None if row.reading is None else add_up([row.reading]).word
    ),
    _of_reading("uncertainty_j", "float"),
    _of_reading("gain_error", "float", "gain_error_relative"),
    _of_reading("crosscheck_j", "float"),
    _of_reading("idle_w", "float"),
    _of_reading("peak_power_w", "float"),
    _of_reading("num_samples", "int"),
    _of_reading("coverage", "float", "coverage_share"),
    _of_reading("reason", "text", "energy_reason"),
)
