"""Contracts that hold the house up: who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDORS = {"pynvml": "nvml.py", "codecarbon": "codecarbon.py"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _modules() -> list[Path]:
    return sorted((ROOT / "harness").rglob("*.py"))


def test_only_experiments_import_hydra() -> None:
    guilty = [
        path.relative_to(ROOT).as_posix()
        for path in _modules()
        if any(name.partition(".")[0] in ("hydra", "omegaconf") for name in _imports(path))
    ]
    assert guilty == []


def test_only_the_command_imports_experiments() -> None:
    guilty = [
        path.name
        for path in _modules()
        if path.name != "cli.py" and any(name.startswith("harness.experiments") for name in _imports(path))
    ]
    assert guilty == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_library_is_imported_in_its_own_file_only(vendor: str) -> None:
    guilty = [
        path.name
        for path in _modules()
        if path.name != VENDORS[vendor] and any(name.partition(".")[0] == vendor for name in _imports(path))
    ]
    assert guilty == []


def test_records_can_be_judged_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import harness.core.store, harness.core.study, harness.sensors.discover, harness.sensors.describe\n"
        "import harness.measure, harness.analysis.match, harness.analysis.claims, harness.analysis.summary\n"
        "import harness.report.build, harness.data, harness.flops.formulas\n"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_layers_point_downwards() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run((str(command),), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
