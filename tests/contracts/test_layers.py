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
TORCH_FREE = (
    "core",
    "data",
    "sensors",
    "measure",
    "analysis",
    "report",
    "serving",
    "flops.formulas",
    "flops.published",
)
_IMPORT_ALL = """
import importlib, pkgutil, sys
layer = importlib.import_module(sys.argv[1])
modules = [found.name for found in pkgutil.walk_packages(getattr(layer, "__path__", []), layer.__name__ + ".")]
for name in modules:
    importlib.import_module(name)
print(len(modules), "torch" in sys.modules)
"""


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
        if path.parent.name != "cli" and any(name.startswith("harness.experiments") for name in _imports(path))
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


@pytest.mark.parametrize("layer", TORCH_FREE)
def test_records_can_be_judged_without_torch(layer: str) -> None:
    """Every module of the layer is imported in a fresh process, and torch does not come along."""
    done = subprocess.run(
        (sys.executable, "-c", _IMPORT_ALL, f"harness.{layer}"), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    num_modules, has_torch = done.stdout.split()
    assert int(num_modules) > 2 or "." in layer
    assert has_torch == "False"


def test_layers_point_downwards() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run((str(command),), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
