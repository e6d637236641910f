"""The wheel holds everything: grafted configs and experiments, the sweeper plugin, every YAML, JSON and template."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build from a copy of the tracked and new files, so that nothing built before is picked up."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ("git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"), capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        if name.startswith(("reports/", "tests/")) or not (ROOT / name).is_file():
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)),
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_top_levels_are_harness_and_the_plugin_namespace(wheel_names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"harness", "hydra_plugins"}
    assert "hydra_plugins/__init__.py" not in wheel_names, "hydra_plugins must stay a namespace package"


def test_every_config_and_template_is_inside(wheel_names: set[str]) -> None:
    files = [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "conf").rglob("*.json")]
    configs = {f"harness/{path.relative_to(ROOT).as_posix()}" for path in files}
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "harness/report/templates").iterdir()}
    assert configs
    assert templates
    assert configs | templates | {"harness/py.typed", "harness/conf/__init__.py"} <= wheel_names


def test_every_module_is_inside(wheel_names: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "harness").rglob("*.py")}
    assert modules <= wheel_names
    assert {"harness/experiments/launch.py", "hydra_plugins/isojoule/block_sweeper.py"} <= wheel_names
