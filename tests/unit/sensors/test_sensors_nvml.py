"""NVML through the real nvidia-ml-py and a compiled stand-in library whose power is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.standin.build import build_nvml
from tests.tools import require_tool

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
def read(function):
    try:
        return function()
    except SensorError as e:
        return f"failed: {e}"
reads = [[read(s.read_energy_j), read(s.read_power_w)] for s in sensors]
states = [read(lambda: asdict(s.read_state())) for s in sensors]
signals = [read(s.read_signals) for s in sensors]
infos = [asdict(s.info) for s in sensors]
for s in sensors:
    s.close()
print(json.dumps(dict(statuses=statuses, reads=reads, states=states, signals=signals, infos=infos, error=error)))
"""

LATER = """
import json, sys, time
from harness.core.errors import SensorError
from harness.sensors.nvml import Nvml
sensor = Nvml().open()[0]
before = [sensor.read_energy_j(), sensor.read_power_w()]
time.sleep(max(0.0, float(sys.argv[1]) - time.monotonic()) + 0.05)
after = []
for function in (sensor.read_energy_j, sensor.read_power_w, sensor.read_state, sensor.read_signals):
    try:
        after.append(bool(function()))
    except SensorError as e:
        after.append(str(e))
print(json.dumps([before, after]))
"""

WINDOW = """
import json, time
from harness.core.config import MeasureConfig, SensorConfig
from harness.measure import Meter
with Meter(MeasureConfig(sensor=SensorConfig(names=["nvml"]))) as meter:
    with meter.window("work") as w:
        time.sleep(1.0)
print(json.dumps({"reads": [[x.energy_j, x.uncertainty_j] for x in w.readings], "total": w.energy_j}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("gcc")
    return build_nvml(tmp_path_factory.mktemp("nvml"))


def run_with(library: Path, program: str, *args: str, **settings: str) -> Any:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "STANDIN_"))}
    environ = {**kept, "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run(
        [sys.executable, "-c", program, *args], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_counter_is_grade_a_in_joules_and_watts(library: Path) -> None:
    """mJ and mW become J and W, the counter decides the method, and the generation's power is described."""
    got = run_with(library, PROBE, STANDIN_WAVE="constant:300", STANDIN_POWER_LIMIT_W="650")
    (info,) = got["infos"]
    assert (info["method"], info["grade"], info["device_index"]) == ("counter", "A", 0)
    assert "GPU-00a1b2c3" in info["device"]
    assert "186" in info["source"]
    assert (info["power_period_s"], info["power_window_s"]) == (0.1, 0.025)
    assert (info["power_limit_w"], info["gain_error"], info["update_period_s"]) == (650, 0.05, None)
    energy_j, power_w = got["reads"][0]
    assert energy_j > 1e6
    assert power_w == 300


@pytest.mark.parametrize(
    ("generation", "source", "power"),
    [
        ("V100", "nvmlDeviceGetPowerUsage", (0.02, 0.01)),
        ("TURING", "nvmlDeviceGetPowerUsage", (0.1, 0.1)),
        ("A100", "185 (average", (0.1, 1.0)),
        ("H100", "nvmlDeviceGetPowerUsage", (0.1, 1.0)),
        ("ADA", "186 (instant", (0.1, 0.1)),
    ],
)
def test_without_counter_the_power_that_sees_all_is_read(
    library: Path, generation: str, source: str, power: Any
) -> None:
    """No counter means sampled power, by the shortest mean without blind time where there is one; no joules."""
    settings = {"STANDIN_NO_COUNTER": "1", "STANDIN_GENERATION": generation, "STANDIN_WAVE": "constant:70"}
    got = run_with(library, PROBE, **settings)
    (info,) = got["infos"]
    assert (info["method"], info["grade"]) == ("sampled", "B")
    assert source in info["source"]
    assert (info["power_period_s"], info["power_window_s"]) == power
    assert info["update_period_s"] == power[0]
    assert got["reads"][0] == [None, 70]


def test_signals_for_calibration_are_all_that_there_is(library: Path) -> None:
    """Each signal comes under its own name; one that the GPU does not offer is unknown, not 0."""
    (hopper,) = run_with(library, PROBE, STANDIN_WAVE="constant:300")["signals"]
    assert hopper["counter_j"] > 1e6
    assert [hopper[f"{name}_w"] for name in ("instant", "average", "usage")] == [300, 300, 300]
    (volta,) = run_with(library, PROBE, STANDIN_GENERATION="V100", STANDIN_NO_COUNTER="1")["signals"]
    assert volta == {"counter_j": None, "instant_w": None, "average_w": None, "usage_w": 100}


def test_module_power_is_named_as_such(library: Path) -> None:
    """Where the GPU alone tells no power, the module's is read, and the source says what it covers."""
    got = run_with(library, PROBE, STANDIN_MODULE_ONLY="1", STANDIN_WAVE="constant:500")
    assert got["infos"][0]["domain"] == "gpu"
    assert "module (CPU and GPU)" in got["infos"][0]["source"]
    assert got["reads"][0][1] == 500


def test_state_tells_what_the_gpu_was_doing(library: Path) -> None:
    """Temperature, clocks, utilisation, reasons by name (idle is none) and processes; all unknown where not offered."""
    (state,) = run_with(library, PROBE, STANDIN_THROTTLE="4101", STANDIN_PIDS="42,7", STANDIN_WAVE="constant:350")[
        "states"
    ]
    assert state == {
        "temperature_c": 40,
        "sm_clock_mhz": 1755,
        "memory_clock_mhz": 2619,
        "utilisation": 0.5,
        "throttle_reasons": ["sw_power_cap", "reason_0x1000"],
        "process_ids": [7, 42],
    }
    (idle,) = run_with(library, PROBE, STANDIN_THROTTLE="1")["states"]
    assert (idle["throttle_reasons"], idle["process_ids"]) == ([], [])
    got = run_with(library, PROBE, STANDIN_NO_STATE="1")
    assert set(got["states"][0].values()) == {None}
    assert got["infos"][0]["power_limit_w"] is None


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("STANDIN_LOST_AT_S", ["GPU is lost"] * 4), ("STANDIN_FAIL_FROM_S", ["Unknown Error"] * 4),
     ("STANDIN_NAN_FROM_S", [True, "no power", True, "no power"])],
)  # fmt: skip
def test_a_failing_read_is_an_error_not_a_zero(library: Path, setting: str, expected: list[Any]) -> None:
    """A device lost, calls failing or values that are no numbers in mid-run raise; what still answers is read."""
    at = str(time.monotonic() + 3)
    before, after = run_with(library, LATER, at, **{setting: at})
    assert before[1] == 100
    for got, wanted in zip(after, expected, strict=True):
        assert got is True if wanted is True else wanted in got


def test_a_gpu_that_fails_from_the_start_is_refused_with_the_reason(library: Path) -> None:
    """A failing counter is not taken for a missing one, nor a lost GPU for none."""
    failing = run_with(library, PROBE, STANDIN_FAIL_FROM_S="0", STANDIN_FAIL_ONLY="counter")
    assert "Unknown Error" in failing["error"]
    lost = run_with(library, PROBE, STANDIN_LOST_AT_S="0")
    assert "GPU is lost" in lost["error"]


def test_a_field_without_a_number_is_not_used(library: Path) -> None:
    """Field values that are no numbers at the start leave the plain power call, and the source says why."""
    got = run_with(library, PROBE, STANDIN_NAN="1", STANDIN_WAVE="constant:300")
    assert "field 186 (instant) gave no number" in got["infos"][0]["source"]
    assert got["reads"][0][1] == 300


def test_no_power_beside_a_counter_is_unknown(library: Path) -> None:
    """A GPU that tells its counter alone has no power; one that tells nothing is refused."""
    got = run_with(library, PROBE, STANDIN_NO_POWER="1")
    assert got["reads"][0][1] is None
    nothing = run_with(library, PROBE, STANDIN_NO_POWER="1", STANDIN_NO_COUNTER="1")
    assert "neither an energy counter nor power" in nothing["error"]


@pytest.mark.parametrize(("visible", "power_w"), [("2,0", [300, 100]), ("GPU-10a1", [200]), (None, [100, 200, 300])])
def test_visible_devices_are_respected(library: Path, visible: str | None, power_w: list[float]) -> None:
    """The chosen GPUs are opened under CUDA's numbers."""
    chosen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    got = run_with(library, PROBE, STANDIN_GPUS="3", **chosen)
    assert [read[1] for read in got["reads"]] == power_w
    assert [info["device_index"] for info in got["infos"]] == list(range(len(power_w)))


@pytest.mark.parametrize("visible", ["", "-1", "0,0"])
def test_hidden_gpus_leave_nothing_to_open(library: Path, visible: str) -> None:
    """CUDA_VISIBLE_DEVICES may hide all GPUs, and the error says where to look."""
    got = run_with(library, PROBE, STANDIN_GPUS="2", CUDA_VISIBLE_DEVICES=visible)
    assert got["reads"] == []
    assert f"CUDA_VISIBLE_DEVICES='{visible}'" in got["error"]


def test_split_gpu_is_refused_with_a_reason(library: Path) -> None:
    """A MIG GPU and a MIG slice are listed as unavailable; the other GPU is opened."""
    got = run_with(library, PROBE, STANDIN_GPUS="2", STANDIN_MIG="0")
    assert [s["available"] for s in got["statuses"]] == [False, True]
    assert "MIG" in got["statuses"][0]["reason"]
    assert [read[1] for read in got["reads"]] == [200]
    piece = run_with(library, PROBE, STANDIN_MIG="0", CUDA_VISIBLE_DEVICES="MIG-5ca1ab1e-0000")
    assert "MIG-5ca1ab1e-0000" in piece["error"]


def test_unlike_gpus_need_an_unambiguous_order(library: Path) -> None:
    """CUDA and NVML may number unlike GPUs differently; only a stated order or UUIDs are believed."""
    unlike = {"STANDIN_GPUS": "2", "STANDIN_UNLIKE": "1"}
    refused = run_with(library, PROBE, **unlike, CUDA_VISIBLE_DEVICES="1")
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in refused["error"]
    for choice in ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, {"CUDA_VISIBLE_DEVICES": "GPU-1"}):
        stated = run_with(library, PROBE, **unlike, **choice)
        assert [read[1] for read in stated["reads"]] == [200]


def test_window_over_two_gpus_sums_known_power(library: Path) -> None:
    """A window of about 1 s over GPUs of 100 W and 200 W holds their energy within the stated bounds, and sums it."""
    got = run_with(library, WINDOW, STANDIN_GPUS="2", STANDIN_COUNTER_PERIOD_S="0.02")
    for (energy_j, bound_j), true_w in zip(got["reads"], (100, 200), strict=True):
        assert true_w - bound_j <= energy_j <= 1.5 * true_w
        assert 0 <= bound_j < 0.2 * true_w
    assert got["total"] == pytest.approx(sum(read[0] for read in got["reads"]))


def test_missing_tool_skips_unless_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A skip for want of a compiler can be made a failure where the compiler is promised."""
    monkeypatch.delenv("ISOJOULE_REQUIRE_TOOLS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool"):
        require_tool("no-such-tool")
    monkeypatch.setenv("ISOJOULE_REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool"):
        require_tool("no-such-tool")
