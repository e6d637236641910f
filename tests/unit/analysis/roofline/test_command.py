"""``isojoule roofline``: what is printed and written, what is refused, and that ``isojoule project`` reads it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.cli.command import main
from harness.core.records import RunRecord
from tests.unit.analysis.inference.factory import fill_store, make_inference_study
from tests.unit.analysis.roofline.factory import SWEEP, TRUTH, make_pair

PAIR = ("--pair", "qwen3-30b-a3b_qwen3-14b", "--batch", "1")


def store(root: Path, records: list[RunRecord]) -> str:
    return str(fill_store(root / "pair", records, None, make_inference_study(records)))


def simulated(record: RunRecord) -> RunRecord:
    windows = tuple(
        dataclasses.replace(w, energy=tuple(dataclasses.replace(e, simulated=True) for e in w.energy))
        for w in record.windows
    )
    return dataclasses.replace(record, windows=windows)


def test_constants_and_prediction_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    assert main(["roofline", store(tmp_path, make_pair(1.3)), "--json", str(path), "--hardware", "h100"]) == 0
    text = capsys.readouterr().out
    for part in (
        "gross energy",
        "decode, dense (measured energy)",
        "implied overhead of bytes and FLOPs: 1.30",
        "700 W",
    ):
        assert part in text
    content = json.loads(path.read_text())
    fit = next(f for f in content["fits"] if (f["arm"], f["phase"]) == ("dense", "decode"))
    assert [fit["constants"][t]["value"] for t in fit["constants"]] == pytest.approx(TRUTH)
    assert content["predictions"][1]["overhead"]["value"] == pytest.approx(1.3)
    assert fit["word"] == "measured"


def test_constants_go_round_to_the_projection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "c.json", tmp_path / "p.json"
    assert main(["roofline", store(tmp_path, make_pair(1.0)), "--constants", str(path)]) == 0
    written = json.loads(path.read_text())
    assert (written["grade"], written["study"], written["simulated"]) == ("A", "pair", False)
    assert written["num_observations"] == 48
    assert main(["project", *PAIR, "--constants", str(path), "--json", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "measured energy (grade A); fitted to 48 windows; study pair; on toy card" in text
    constants = json.loads(out.read_text())["constants"]
    found = [constants[name] for name in ("j_per_step", "j_per_byte", "j_per_flop")]
    assert found == pytest.approx(TRUTH, rel=1e-9)
    assert constants["constants_origin"] == "calibrated_here"


def test_modelled_constants_are_written_and_the_projection_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    line = [(batch, 128) for batch in (1, 2, 4, 8, 16)]
    assert main(["roofline", store(tmp_path, make_pair(1.0, grade="C", sweep=line)), "--constants", str(path)]) == 0
    text = capsys.readouterr().out
    assert "the energy is modelled, not measured" in text
    assert "are not told apart" in text
    assert "modelled/projected" in text
    assert main(["project", *PAIR, "--constants", str(path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "modelled energy (grade C), not measured" in told
    assert "do not tell the constants apart" in told


@pytest.mark.parametrize(
    ("records", "part"),
    [
        ([simulated(r) for r in make_pair(1.0)], "the energy is simulated"),
        (make_pair(1.0, sweep=SWEEP[:3]), "no constants to write: decode of 'dense': 3 regimes"),
        (make_pair(1.0, phases=("prefill",)), "no constants to write: decode of 'dense': no window"),
    ],
)
def test_constants_that_are_none_are_refused_in_one_line(
    records: list[RunRecord], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    assert main(["roofline", store(tmp_path, records), "--constants", str(path)]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1
    assert not path.exists()


def test_simulated_energy_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roofline", store(tmp_path, [simulated(r) for r in make_pair(1.0)])]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED" in text
    assert "simulated/projected" in text
    assert "(measured energy)" not in text


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = store(tmp_path, make_pair(1.0))
    for arguments, part in (
        ([folder, "--hardware", "h1000"], "unknown hardware 'h1000'"),
        ([str(tmp_path / "nowhere")], "nowhere"),
        ([folder, "--json", str(tmp_path / "no" / "x.json")], "cannot write"),
    ):
        assert main(["roofline", *arguments]) == 2
        error = capsys.readouterr().err
        assert part in error
        assert error.count("\n") == 1
