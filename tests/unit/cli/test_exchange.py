"""The verbs ``export`` and ``import-serving``: what they print, and one clear line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.command import main
from harness.exports.formats import FORMATS
from tests.unit.analysis.imported.files import AIPERF, VLLM, measurement
from tests.unit.exports.factory import answer, make_record, reading, regime, window, write_store

RUN = "toy-dense-s-s0-abc"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    record = make_record(
        RUN,
        windows=(
            window("prefill", (reading(100.0),), regime=regime(), tasks=10, tokens_out=10),
            window("decode", (reading(300.0),), regime=regime(), tasks=5, tokens_out=55),
        ),
        path_energy=(reading(500.0),),
    )
    return write_store(tmp_path / "store", record, answers={RUN: [answer(0, "4")]})


def fail(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command, which must be a user's mistake, and return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    (line,) = captured.err.splitlines()
    return line


WRITTEN = {
    "csv": ("tables", ["tables/tasks.csv", "tables/runs.csv", "tables/windows.csv"]),
    "parquet": ("tables", ["tables/tasks.parquet", "tables/runs.parquet", "tables/windows.parquet"]),
    "mlperf": ("deep/mlperf.json", ["deep/mlperf.json"]),
    "ai_energy_score": ("score.json", ["score.json"]),
    "sci": ("sci.json", ["sci.json"]),
    "model_card": ("cards", [f"cards/{RUN}.md"]),
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_writes_what_it_prints(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out, expected = WRITTEN[name]
    assert main(["export", str(store), "--to", name, "--out", str(tmp_path / out), "--grams-per-kwh", "400"]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [tmp_path / path for path in expected]
    assert all(path.stat().st_size for path in printed)
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_reader_must_know_goes_to_standard_error(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(store), "--to", "sci", "--country", "DEU", "--out", str(tmp_path / "sci.json")])
    assert "operational part stands alone" in capsys.readouterr().err


def test_an_unknown_format_names_the_nearest(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fail(capsys, "export", store, "--to", "parket", "--out", tmp_path / "x")
    assert "Did you mean 'parquet'?" in line
    assert "ai_energy_score" in line


def test_an_unknown_unit_names_the_nearest(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fail(capsys, "export", store, "--to", "sci", "--per", "tokn", "--out", tmp_path / "x")
    assert "Did you mean 'token'?" in line


def test_a_folder_without_records_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run records under" in fail(capsys, "export", tmp_path, "--to", "csv", "--out", tmp_path / "x")


def test_a_store_whose_records_cannot_be_read_is_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "records" / f"{RUN}.json").write_text("{}")
    assert "none of the 1 records" in fail(capsys, "export", store, "--to", "csv", "--out", tmp_path / "x")


@pytest.mark.parametrize("name", ["csv", "mlperf"])
def test_a_path_that_cannot_be_written_is_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in fail(capsys, "export", store, "--to", name, "--out", tmp_path / "file" / "x")


def test_a_folder_in_the_place_of_the_file_is_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "name a file in it" in fail(capsys, "export", store, "--to", "mlperf", "--out", tmp_path)


def test_import_serving_prints_a_table_and_writes_the_same_json_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text(json.dumps(VLLM))
    (tmp_path / "e.json").write_text(json.dumps(measurement(4900.0)))
    for name in ("one.json", "two.json"):
        arguments = ["import-serving", tmp_path / "r.json", "--energy", tmp_path / "e.json", "--json", tmp_path / name]
        assert main([str(argument) for argument in arguments]) == 0
    assert "50.0 J a request, 1.00 J an output token" in capsys.readouterr().out
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    (row,) = json.loads((tmp_path / "one.json").read_text())["results"]
    assert row["energy"]["j_per_request"] == 50.0


def test_names_in_result_files_do_not_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**VLLM, "model_id": "\x1b[2Jmodel\u202e"}))
    assert main(["import-serving", str(tmp_path / "r.json")]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_energies_must_be_as_many_as_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("a", VLLM), ("b", AIPERF), ("e", measurement())):
        (tmp_path / name).write_text(json.dumps(content))
    line = fail(capsys, "import-serving", tmp_path / "a", tmp_path / "b", "--energy", tmp_path / "e")
    assert "give one --energy FILE for each result file" in line


def test_half_a_surrogate_pair_in_a_result_file_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**VLLM, "model_id": "a\ud800"}))
    assert main(["import-serving", str(tmp_path / "r.json"), "--json", str(tmp_path / "out.json")]) == 0
    assert r"a\ud800" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["results"][0]["result"]["model"] == "a\ud800"
