"""A command is measured for real, and its JSON stands beside the result that the command wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.cli.command import main
from tests.unit.analysis.imported.files import VLLM


def test_what_measure_writes_is_what_import_serving_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, energy, table = (tmp_path / name for name in ("result.json", "energy.json", "table.json"))
    written = json.dumps({**VLLM, "duration": 1.0})
    work = f"import pathlib, time; time.sleep(1.2); pathlib.Path({str(result)!r}).write_text({written!r})"
    assert main(["measure", "--json", str(energy), "--", sys.executable, "-c", work]) == 0
    assert main(["import-serving", str(result), "--energy", str(energy), "--json", str(table)]) == 0
    measured = json.loads(energy.read_text())
    (row,) = json.loads(table.read_text())["results"]
    assert row["energy"]["energy_j"] == pytest.approx(measured["energy_j"])
    if measured["energy_j"] is not None:
        assert row["energy"]["j_per_request"] == pytest.approx(measured["energy_j"] / VLLM["completed"])
    assert row["energy"]["kind"] in {"measured", "modelled", "unknown"}
    assert row["energy"]["grade"] == max((r["grade"] for r in measured["readings"]), default=None)
    assert capsys.readouterr().out
