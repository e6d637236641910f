"""The sampler in a real process of its own: what it measures, and what happens when either side is killed."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.core.clock import now_s
from harness.core.config import ExternalMeterConfig, MeasureConfig, SensorConfig
from harness.core.errors import ConfigError, SensorError
from harness.measure import Meter, Window
from harness.measure.process import ProcessSampler
from harness.measure.samplefile import EVENTS_NAME, SAMPLES_NAME, SampleReader, SampleWriter
from harness.measure.samples import ROW

SYNTHETIC = MeasureConfig(sensor=SensorConfig(names=["synthetic"]))
POWER_W = 100.0  # what `synthetic` draws, always
PARENT = """
import os, sys, time
from harness.core.config import MeasureConfig, SensorConfig
from harness.measure import Meter
with Meter(MeasureConfig(sensor=SensorConfig(names=["synthetic"]))) as meter:
    heir = os.fork() if sys.argv[1] == "fork" else -1
    if heir == 0:
        time.sleep(60)
        os._exit(0)
    print(meter.sampler.pid, heir, flush=True)
    time.sleep(60)
"""


def wait_for(condition: Callable[[], bool], limit_s: float = 20.0) -> bool:
    """Wait for something that must happen; the limit only ends a test that fails."""
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def assert_power(window: Window) -> None:
    (reading,) = window.readings
    assert reading.energy_j is not None, reading.reason
    assert reading.uncertainty_j is not None
    truth_j = POWER_W * window.duration_s
    assert abs(reading.energy_j - truth_j) <= reading.uncertainty_j
    assert reading.energy_j == pytest.approx(truth_j, abs=0.5)


def test_a_window_measures_through_the_process() -> None:
    with Meter(SYNTHETIC) as meter:
        assert isinstance(meter.sampler, ProcessSampler)
        pid = meter.sampler.pid
        assert pid is not None
        assert pid != os.getpid()
        with meter.window("decode") as window:
            time.sleep(0.3)
            so_far_j = window.energy_so_far_j()
    assert so_far_j is not None
    assert 0 < so_far_j <= POWER_W * (window.duration_s + 0.1)
    assert_power(window)
    assert window.findings == ()
    assert meter.findings == ()
    assert [info.name for info in meter.sensors] == ["synthetic"]
    assert not is_running(pid)


def test_windows_nest_and_overlap_from_a_thread() -> None:
    with Meter(SYNTHETIC) as meter:
        outer, inner, other = (meter.window(name) for name in ("outer", "inner", "other"))
        opened, finish = threading.Event(), threading.Event()

        def overlap() -> None:
            with other:
                opened.set()
                finish.wait(20)

        thread = threading.Thread(target=overlap)
        with outer:
            time.sleep(0.1)
            with inner:
                time.sleep(0.1)
                thread.start()
                opened.wait(20)
            time.sleep(0.1)
        time.sleep(0.1)
        finish.set()
        thread.join()
    for window in (outer, inner, other):
        assert_power(window)
    assert outer.begin_s < inner.begin_s < other.begin_s < outer.begin_s + outer.duration_s
    assert other.begin_s + other.duration_s > outer.begin_s + outer.duration_s


def test_a_killed_sampler_leaves_windows_unknown_with_the_reason_and_the_run_goes_on() -> None:
    with Meter(SYNTHETIC) as meter:
        assert isinstance(meter.sampler, ProcessSampler)
        assert meter.sampler.pid is not None
        with meter.window("before") as before:
            time.sleep(0.2)
        assert_power(before)
        with meter.window("hit") as hit:
            os.kill(meter.sampler.pid, signal.SIGKILL)
            assert wait_for(lambda: meter.sampler.failure() is not None)
            time.sleep(0.3)
        assert hit.energy_j is None
        with meter.window("later") as later:
            time.sleep(0.05)
        reasons = [window.readings[0].reason or "" for window in (hit, later)]
        assert "sampler_ended" in [finding.code for finding in meter.findings]
    assert later.energy_j is None
    assert all("killed by signal 9" in reason for reason in reasons)
    assert before.energy_j == pytest.approx(POWER_W * before.duration_s, abs=0.5)


def test_a_killed_sampler_is_still_told_once_the_meter_has_closed() -> None:
    with Meter(SYNTHETIC) as meter:
        assert isinstance(meter.sampler, ProcessSampler)
        assert meter.sampler.pid is not None
        with meter.window("hit") as hit:
            os.kill(meter.sampler.pid, signal.SIGKILL)
            assert wait_for(lambda: meter.sampler.failure() is not None)
            time.sleep(0.3)
    assert "killed by signal 9" in (hit.readings[0].reason or "")
    assert "sampler_ended" in [finding.code for finding in meter.findings]


def test_a_meter_that_answers_slowly_covers_its_window_and_holds_up_nothing_else() -> None:
    slow = ExternalMeterConfig(command="sh -c 'sleep 0.4; echo 42'")
    config = MeasureConfig(sensor=SensorConfig(names=["synthetic", "external"], external=slow))
    with Meter(config) as meter, meter.window("work") as window:
        begin_s = now_s()
        time.sleep(2.5)
        end_s = now_s()
    counter, plug = window.readings
    rows = meter.sampler.samples[0].between(begin_s, end_s)
    assert counter.energy_j == pytest.approx(POWER_W * window.duration_s, rel=0.01)
    assert float(np.median(np.diff(rows["time_s"]))) < 0.1  # the meter's answers take four times as long
    assert plug.energy_j == pytest.approx(42.0 * window.duration_s, rel=0.01)
    assert plug.coverage == 1.0
    assert 2 <= plug.num_samples <= 6


@pytest.fixture(params=["alone", "fork"])
def parent(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Give a measuring program and its sampler's process id; with ``fork`` a child of it holds the pipe as well."""
    with subprocess.Popen([sys.executable, "-c", PARENT, request.param], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        sampler, heir = (int(word) for word in process.stdout.readline().split())
        try:
            yield process, sampler
        finally:
            process.kill()
            for pid in (heir, sampler):
                if pid > 0 and is_running(pid):
                    os.kill(pid, signal.SIGKILL)


def test_a_killed_parent_leaves_no_sampler_behind(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, sampler = parent
    assert is_running(sampler)
    process.kill()
    process.wait()
    assert wait_for(lambda: not is_running(sampler), 15.0)


def test_an_interrupt_from_the_terminal_does_not_end_the_sampler() -> None:
    with Meter(SYNTHETIC) as meter:
        assert isinstance(meter.sampler, ProcessSampler)
        assert meter.sampler.pid is not None
        with meter.window("decode") as window:
            os.kill(meter.sampler.pid, signal.SIGINT)
            time.sleep(0.2)
    assert_power(window)


def test_a_given_folder_keeps_the_samples(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "samples"
    with Meter(SYNTHETIC, folder=folder) as meter, meter.window("decode"):
        time.sleep(0.1)
    size = (folder / SAMPLES_NAME).stat().st_size
    assert size % ROW.itemsize == 0
    assert size // ROW.itemsize == meter.sampler.samples[0].size > 0


def test_a_temporary_folder_goes_away_with_the_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    meter = Meter(SYNTHETIC)
    with meter:
        assert len(list(tmp_path.iterdir())) == 1
    del meter
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_sensor_is_a_mistake_and_one_that_cannot_be_read_is_not(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="nosuch"),
        Meter(MeasureConfig(sensor=SensorConfig(names=["nosuch"]))),
    ):
        pass
    broken = SensorConfig(names=["replay"], replay_file=str(tmp_path / "missing.csv"))
    with pytest.raises((SensorError, ConfigError)) as error, Meter(MeasureConfig(sensor=broken)):
        pass
    assert "missing.csv" in str(error.value)
    assert "\n" not in str(error.value).strip()
    assert "Traceback" not in str(error.value)


def test_a_process_that_cannot_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SensorError, match="did not start") as error, Meter(SYNTHETIC):
        pass
    assert "\n" not in str(error.value)


def test_no_sensor_gives_no_readings_and_a_finding() -> None:
    with Meter(MeasureConfig(sensor=SensorConfig(names=[]))) as meter, meter.window("pretrain") as window:
        assert window.energy_so_far_j() is None
    assert window.readings == ()
    assert window.energy_j is None
    assert [finding.code for finding in window.findings] == ["no_sensor"]
    assert [finding.code for finding in meter.findings] == ["no_sensor"]


def test_a_row_or_line_cut_short_is_passed_over_until_the_rest_comes(tmp_path: Path) -> None:
    writer = SampleWriter(tmp_path)
    reader = SampleReader(tmp_path)
    writer.write_row(0, 1.0, 10.0, math.nan, 1e-5, 0)
    writer.write_row(1, 2.0, 20.0, 5.0, 1e-5, 2)
    writer.write_event(sensor=0, error="bus error")
    writer.close()
    rows, events = (tmp_path / name for name in (SAMPLES_NAME, EVENTS_NAME))
    whole = rows.read_bytes()
    with rows.open("ab") as file:
        file.write(whole[:13])
    with events.open("a") as file:
        file.write('{"sensor": 1, "err')
    found = reader.read_rows()
    assert found["time_s"].tolist() == [1.0, 2.0]
    assert (found["sensor"].tolist(), found["failed"].tolist()) == ([0, 1], [0, 2])
    assert [event["error"] for event in reader.read_events()] == ["bus error"]
    assert reader.read_rows().size == 0
    with rows.open("ab") as file:
        file.write(whole[13 : ROW.itemsize])
    with events.open("a") as file:
        file.write('or": "late"}\n')
    assert reader.read_rows()["time_s"].tolist() == [1.0]
    assert reader.read_events() == [json.loads('{"sensor": 1, "error": "late"}')]
    reader.close()
