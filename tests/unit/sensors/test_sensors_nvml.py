"""NVML through the real nvidia-ml-py and a compiled stand-in library whose power is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tools import require_tool

SOURCE = Path(__file__).with_name("fake_nvml.c")
ROOT = Path(__file__).parents[3]

PROBE = """
import json
from dataclasses import asdict
from harness.core.errors import SensorError
from harness.sensors.nvml import Nvml
statuses = [asdict(s) for s in Nvml().probe()]
try:
    sensors = Nvml().open()
    error = None
except SensorError as e:
    sensors, error = [], str(e)
reads = [[s.read_energy_j(), s.read_power_w(), s.read_temperature_c()] for s in sensors]
infos = [asdict(s.info) for s in sensors]
for s in sensors:
    s.close()
print(json.dumps({"statuses": statuses, "reads": reads, "infos": infos, "error": error}))
"""

WINDOW = """
import json, time
from harness.core.config import MeasureConfig, SensorConfig
from harness.measure import Meter
with Meter(MeasureConfig(sensor=SensorConfig(names=["nvml"]), poll_interval_s=0.02)) as meter:
    with meter.window("work") as w:
        time.sleep(1.0)
r = [[x.energy_j / w.duration_s, x.uncertainty_j / w.duration_s, x.crosscheck_j / w.duration_s] for x in w.readings]
print(json.dumps({"reads": r, "total": w.energy_j / w.duration_s, "temperature": w.to_record().temperature_c}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = require_tool("gcc")
    folder = tmp_path_factory.mktemp("nvml")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(SOURCE), "-lm"], check=True)
    return folder


def run_with(library: Path, program: str, **settings: str) -> Any:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "FAKE_"))}
    environ = {**kept, "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_counter_is_grade_a_in_joules_and_watts(library: Path) -> None:
    """mJ and mW become J and W, and the counter decides the method."""
    got = run_with(library, PROBE, FAKE_LO="300", FAKE_HI="300")
    assert [(i["method"], i["grade"], i["device_index"]) for i in got["infos"]] == [("counter", "A", 0)]
    assert "GPU-0000-fake" in got["infos"][0]["device"]
    assert "186" in got["infos"][0]["source"]
    energy_j, power_w, temperature_c = got["reads"][0]
    assert energy_j > 1
    assert power_w == 300
    assert temperature_c == 40


def test_gpu_without_counter_is_sampled_and_grade_b(library: Path) -> None:
    """No counter means sampled power, and no energy is made up."""
    got = run_with(library, PROBE, FAKE_NO_COUNTER="1", FAKE_NO_INSTANT="1", FAKE_LO="70", FAKE_HI="70")
    assert [(i["method"], i["grade"]) for i in got["infos"]] == [("sampled", "B")]
    assert "nvmlDeviceGetPowerUsage" in got["infos"][0]["source"]
    assert got["reads"][0][:2] == [None, 70]


@pytest.mark.parametrize(
    ("visible", "power_w"),
    [("2,0", [300, 100]), ("GPU-1000", [200]), ("1,9,0", [200]), ("GPU-2000-fake,0", [300, 100])],
)
def test_visible_devices_are_respected(library: Path, visible: str, power_w: list[float]) -> None:
    """Indices, UUIDs and cut UUIDs choose GPUs in CUDA's order; an unknown entry ends the list, as in CUDA."""
    got = run_with(library, PROBE, FAKE_N="3", CUDA_VISIBLE_DEVICES=visible)
    assert [read[1] for read in got["reads"]] == power_w
    assert [info["device_index"] for info in got["infos"]] == list(range(len(power_w)))


def test_hidden_gpus_leave_nothing_to_open(library: Path) -> None:
    """An empty CUDA_VISIBLE_DEVICES hides all GPUs, and the error says where to look."""
    got = run_with(library, PROBE, FAKE_N="2", CUDA_VISIBLE_DEVICES="")
    assert got["reads"] == []
    assert "CUDA_VISIBLE_DEVICES" in got["error"]


def test_split_gpu_is_refused_with_a_reason(library: Path) -> None:
    """A MIG GPU is listed as unavailable; the other one is opened."""
    got = run_with(library, PROBE, FAKE_N="2", FAKE_MIG="0")
    assert [s["available"] for s in got["statuses"]] == [False, True]
    assert "MIG" in got["statuses"][0]["reason"]
    assert [read[1] for read in got["reads"]] == [200]


def test_unlike_gpus_need_an_unambiguous_order(library: Path) -> None:
    """CUDA and NVML may number unlike GPUs differently; only a stated order or UUIDs are believed."""
    refused = run_with(library, PROBE, FAKE_N="2", FAKE_UNLIKE="1", CUDA_VISIBLE_DEVICES="1")
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in refused["error"]
    stated = run_with(
        library, PROBE, FAKE_N="2", FAKE_UNLIKE="1", CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID"
    )
    assert [read[1] for read in stated["reads"]] == [200]


def test_window_over_two_gpus_sums_known_power(library: Path) -> None:
    """Two GPUs at 100 W and 200 W make 300 W, within the stated bounds of a 20 ms counter."""
    got = run_with(library, WINDOW, FAKE_N="2", FAKE_PERIOD_S="0.02")
    for (mean_w, bound_w, check_w), true_w in zip(got["reads"], (100, 200), strict=True):
        assert abs(mean_w - true_w) <= bound_w
        assert 0 < bound_w < 0.2 * true_w
        assert check_w == pytest.approx(true_w)
    assert got["total"] == pytest.approx(sum(read[0] for read in got["reads"]))
    assert got["temperature"] == 41


def test_missing_tool_skips_unless_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A skip for want of a compiler can be made a failure where the compiler is promised."""
    monkeypatch.delenv("ISOJOULE_REQUIRE_TOOLS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool"):
        require_tool("no-such-tool")
    monkeypatch.setenv("ISOJOULE_REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool"):
        require_tool("no-such-tool")
