"""Energy of the measured command beside a benchmark's result: per request and token, or why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.imported.beside_energy import import_serving
from harness.analysis.imported.results import EnergyBeside
from harness.analysis.imported.text import imported_to_json, imported_to_text
from harness.core.errors import DataError
from tests.unit.analysis.imported.files import AIPERF, VLLM, guidellm_benchmark, guidellm_report, measurement


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def beside(tmp_path: Path, energy: Any, result: Any = VLLM) -> EnergyBeside:
    rows = import_serving([write(tmp_path / "r.json", result)], [write(tmp_path / "e.json", energy)])
    assert rows[0].energy is not None
    return rows[0].energy


def test_energy_is_shared_by_answered_requests_and_output_tokens(tmp_path: Path) -> None:
    energy = beside(tmp_path, measurement(4900.0))
    assert (energy.j_per_request, energy.j_per_output_token) == (50.0, 1.0)
    assert (energy.grade, energy.kind, energy.sensors) == ("A", "measured", ("nvml gpu",))
    assert energy.time_share == pytest.approx(25 / 30)


def test_a_command_that_is_mostly_not_the_benchmark_says_so(tmp_path: Path) -> None:
    assert "only 25%: the rest (start-up, warm-up)" in (beside(tmp_path, measurement(duration_s=100.0)).note or "")
    assert (beside(tmp_path, measurement(duration_s=26.0)).note or "").endswith("the benchmark measured 96%")


def test_modelled_energy_is_called_modelled(tmp_path: Path) -> None:
    energy = beside(tmp_path, measurement(grade="C"))
    assert (energy.kind, energy.grade) == ("modelled", "C")
    assert "modelled, grade C" in imported_to_text(import_serving([tmp_path / "r.json"], [tmp_path / "e.json"]))


def test_a_wall_meter_beside_a_gpu_is_not_counted_twice(tmp_path: Path) -> None:
    content = measurement(4900.0)
    wall = {**content["readings"][0], "sensor": "external", "domain": "system", "energy_j": 9000.0}
    content["readings"].append(wall)
    assert beside(tmp_path, content).j_per_request == 50.0


def test_unknown_energy_gives_null_with_its_reason(tmp_path: Path) -> None:
    energy = beside(tmp_path, measurement(None))
    assert (energy.energy_j, energy.j_per_request, energy.kind) == (None, None, "unknown")
    assert "stood still" in (energy.reason or "")


def test_a_command_shorter_than_the_benchmark_is_not_its_measurement(tmp_path: Path) -> None:
    energy = beside(tmp_path, measurement(duration_s=10.0))
    assert energy.j_per_request is None
    assert "not the measurement of this benchmark" in (energy.reason or "")


def test_one_measurement_of_several_benchmarks_is_not_split(tmp_path: Path) -> None:
    energy = beside(tmp_path, measurement(), guidellm_report(guidellm_benchmark(1.0), guidellm_benchmark(2.0)))
    assert energy.j_per_request is None
    assert "covers all 2 benchmarks" in (energy.reason or "")


def test_no_answered_request_is_no_division_by_zero(tmp_path: Path) -> None:
    energy = beside(tmp_path, measurement(), {**VLLM, "completed": 0})
    assert (energy.j_per_request, energy.reason) == (None, "no request was answered")


def test_each_file_gets_the_energy_of_its_own_command(tmp_path: Path) -> None:
    rows = import_serving(
        [write(tmp_path / "a.json", VLLM), write(tmp_path / "b.json", AIPERF)],
        [write(tmp_path / "ea.json", measurement(98.0)), write(tmp_path / "eb.json", measurement(100.0))],
    )
    assert [row.energy.j_per_request for row in rows if row.energy] == [1.0, 10.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"readings": []}, "isojoule measure --json FILE -- COMMAND"),
        ([], "isojoule measure --json FILE -- COMMAND"),
        ("{", "no readable JSON"),
        ({**measurement(), "schema_version": 9}, "schema 9"),
        ({**measurement(), "duration_s": "long"}, "damaged"),
        ({**measurement(), "readings": [{"sensor": "nvml"}]}, "damaged"),
        ({**measurement(), "readings": [3]}, "damaged"),
    ],
)
def test_a_file_that_is_no_measurement_is_one_clear_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        beside(tmp_path, content)


def test_a_measurement_without_any_sensor_is_unknown(tmp_path: Path) -> None:
    energy = beside(tmp_path, {**measurement(), "energy_j": None, "readings": []})
    assert (energy.energy_j, energy.reason) == (None, "no sensor was read")


def test_json_and_text_hold_the_reasons_and_no_secret_of_the_file(tmp_path: Path) -> None:
    rows = import_serving([write(tmp_path / "g.json", guidellm_report())])
    text, content = imported_to_text(rows), json.dumps(imported_to_json(rows), allow_nan=False)
    assert "no single gaps" in text
    assert "no single gaps" in content
    assert "do-not-read-me" not in text + content
    assert rows[0].energy is None
