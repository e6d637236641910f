"""Our energy beside another tool's result: the JSON of ``isojoule measure`` around the benchmark or the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.energy_sum import EnergySum, sum_all
from harness.analysis.imported.reading import load_json, load_serving_results
from harness.analysis.imported.results import EnergyBeside, ImportedRow, ServingResult
from harness.analysis.imported.values import divide, read_number
from harness.core.errors import DataError
from harness.core.plain_json import read_text
from harness.core.readings import EnergyReading
from harness.core.strict import StrictReader
from harness.core.units import format_digits

SCHEMA_VERSION = 1
# A clock of another process, and a benchmark's own rounding, may differ by this much from ours.
_SLACK_S = 0.5
# Below this share of the time a figure per request holds too much that no request asked for to pass without a word.
FULL_SHARE = 0.9
_READING = StrictReader(EnergyReading)
_NOT_OF_A_READING = "mean_power_w"


def import_serving(files: Sequence[Path], energies: Sequence[Path] = ()) -> list[ImportedRow]:
    """Return one row for each benchmark in `files`, with the energy of the measured command of that file.

    `energies` are as many as `files`, in their order, or none.

    Raises:
        DataError: a file cannot be read or is of no known tool, or a measurement is damaged.
    """
    rows: list[ImportedRow] = []
    for index, path in enumerate(files):
        results = load_serving_results(path)
        measured = load_measurement(energies[index]) if energies else None
        rows += [ImportedRow(result=result, energy=_put_beside(result, measured, len(results))) for result in results]
    return rows


def load_measurement(path: Path) -> tuple[EnergySum, float]:
    """Return the energy and the duration (s) of a command that ``isojoule measure --json`` measured.

    Raises:
        DataError: the file cannot be read or is no such measurement.
    """
    try:
        content = load_json(read_text(path))
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"'{path}' is no readable JSON ({error}).") from error
    if not isinstance(content, Mapping) or not {"schema_version", "readings", "duration_s"} <= set(content):
        raise DataError(f"'{path}' is no measurement; make one with: isojoule measure --json FILE -- COMMAND")
    if content["schema_version"] != SCHEMA_VERSION:
        raise DataError(
            f"'{path}' has measurement schema {content['schema_version']}, this isojoule reads {SCHEMA_VERSION}."
        )
    duration_s = read_number(content["duration_s"])
    if duration_s is None or not isinstance(content["readings"], list):
        raise DataError(f"'{path}' is a damaged measurement: duration_s or readings cannot be read.")
    return sum_all([_read_reading(entry, path) for entry in content["readings"]]), duration_s


def _read_reading(entry: Any, path: Path) -> EnergyReading:
    try:
        return _READING.take({key: value for key, value in dict(entry).items() if key != _NOT_OF_A_READING})
    except (TypeError, ValueError) as error:
        raise DataError(f"'{path}' is a damaged measurement: a reading of it cannot be read.") from error


def _put_beside(
    result: ServingResult, measured: tuple[EnergySum, float] | None, num_results: int
) -> EnergyBeside | None:
    if measured is None:
        return None
    energy, duration_s = measured
    reason = energy.reason if energy.energy_j is None else None
    if num_results > 1:
        reason = f"the measurement covers all {num_results} benchmarks of the file; measure each in a run of its own"
    elif result.duration_s is not None and duration_s + _SLACK_S < result.duration_s:
        reason = (
            f"the measured command ran {format_digits(duration_s)} s, shorter than the benchmark's "
            f"{format_digits(result.duration_s)} s: it is not the measurement of this benchmark"
        )
    share = _share_of_time(result, duration_s)
    known_j = energy.energy_j if reason is None else None
    per_request = divide(known_j, result.num_answered)
    per_token = divide(known_j, result.num_output_tokens)
    if reason is None and (per_request is None or per_token is None):
        reason = "no request was answered" if not result.num_answered else "the tool counted no output tokens"
    return EnergyBeside(
        energy_j=energy.energy_j,
        net_energy_j=energy.net_energy_j,
        grade=energy.grade,
        kind=energy.word,
        sensors=energy.sensors,
        duration_s=duration_s,
        j_per_request=per_request,
        j_per_output_token=per_token,
        time_share=share,
        reason=reason,
        note=_describe_cover(share, duration_s),
    )


def _share_of_time(result: ServingResult, duration_s: float) -> float | None:
    if result.duration_s is None or result.duration_s <= 0 or duration_s + _SLACK_S < result.duration_s:
        return None
    return min(1.0, result.duration_s / duration_s)


def _describe_cover(share: float | None, duration_s: float) -> str | None:
    if share is None:
        return None
    text = (
        f"gross energy of the whole measured command ({format_digits(duration_s)} s), of which the benchmark measured"
    )
    if share >= FULL_SHARE:
        return f"{text} {share:.0%}"
    return f"{text} only {share:.0%}: the rest (start-up, warm-up) is in these figures too; measure a longer benchmark"
