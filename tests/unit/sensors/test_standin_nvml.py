"""The stand-in NVML itself: its truth against a fine numeric integral, and what it shows against that truth."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.standin.build import LIBRARY_NAME, build_nvml
from tests.standin.truth import Truth
from tests.tools import require_tool

NOT_SUPPORTED, LOST = 3, 15
AVERAGE, INSTANT, ENERGY = 185, 186, 83
START_J = 1e6
REPLAY_ROWS = "time watts\n# seconds, watts\n10.0 50\n10.3,200\n10.5 120\n11.0 80\n"


class Field(ctypes.Structure):
    """nvmlFieldValue_t."""

    _fields_ = [
        ("id", ctypes.c_uint32), ("scope", ctypes.c_uint32), ("stamp", ctypes.c_int64), ("latency", ctypes.c_int64),
        ("type", ctypes.c_uint32), ("status", ctypes.c_uint32), ("value", ctypes.c_uint64),
    ]  # fmt: skip


class Gpus:
    """The library as a C program calls it, set up by keywords: ``wave="constant:1"`` is STANDIN_WAVE."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        for name, value in settings.items():
            os.environ[f"STANDIN_{name.upper()}"] = str(value)
        self.library = ctypes.CDLL(str(folder / LIBRARY_NAME))
        while self.library.nvmlShutdown() == 0:
            pass
        assert self.library.nvmlInitWithFlags(0) == 0
        self.truth = Truth(folder)

    def handle(self, gpu: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        assert self.library.nvmlDeviceGetHandleByIndex_v2(gpu, ctypes.byref(handle)) == 0
        return handle

    def counter_mj(self, gpu: int = 0) -> int:
        value = ctypes.c_ulonglong()
        code = self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle(gpu), ctypes.byref(value))
        return value.value if code == 0 else -code

    def usage_mw(self, gpu: int = 0) -> int:
        value = ctypes.c_uint()
        code = self.library.nvmlDeviceGetPowerUsage(self.handle(gpu), ctypes.byref(value))
        return value.value if code == 0 else -code

    def field(self, field_id: int, gpu: int = 0) -> int:
        field = Field(id=field_id)
        assert self.library.nvmlDeviceGetFieldValues(self.handle(gpu), 1, ctypes.byref(field)) == 0
        return field.value if field.status == 0 else -field.status


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("gcc")
    return build_nvml(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Gpus]]:
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("STANDIN_")}
    yield lambda **settings: Gpus(folder, settings)
    for name in [name for name in os.environ if name.startswith("STANDIN_")]:
        del os.environ[name]
    os.environ.update(kept)


def steady(read: Callable[[], int], expect: Callable[[float], int]) -> tuple[int, int]:
    """Return what was read and what was due, taken again where an update fell between."""
    for _ in range(50):
        before = expect(time.monotonic())
        got = read()
        if expect(time.monotonic()) == before:
            return got, before
        time.sleep(0.003)
    raise AssertionError("the readings never held still")


def square(t: float, lo: float, hi: float, period: float, duty: float) -> float:
    return hi if t % period < duty * period else lo


WAVES: dict[str, Callable[[float], float]] = {
    "constant:123.5": lambda t: 123.5,
    "square:100:400:0.73": lambda t: square(t, 100, 400, 0.73, 0.5),
    "square:20:300:0.1:0.25:0.04": lambda t: square(t - 0.04, 20, 300, 0.1, 0.25),
    "ramp:50:350:0.9": lambda t: 50 + 300 * (t % 0.9) / 0.9,
    "burst:60:700:1.5:0.075": lambda t: square(t, 60, 700, 1.5, 0.05),
    "replay": lambda t: 50 if (x := t % 1.5) < 0.3 else 200 if x < 0.5 else 120 if x < 1.0 else 80,
}


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("gpu", [0, 3])
def test_truth_is_the_integral_of_the_wave(start: Callable[..., Gpus], tmp_path: Path, wave: str, gpu: int) -> None:
    """Closed forms agree with a sum of fine steps, far from zero and over whole and broken periods."""
    (tmp_path / "trace.txt").write_text(REPLAY_ROWS)
    text = f"replay:{tmp_path / 'trace.txt'}" if wave == "replay" else wave
    truth = start(wave=text, gpus=4).truth
    shape = WAVES[wave]
    for begin, length in ((0.0, 0.37), (12345.678, 2.345), (2_000_000.01, 0.05)):
        step = 2e-5
        middles = [begin + (i + 0.5) * step for i in range(round(length / step))]
        powers = [(gpu + 1) * shape(t - 0.013 * gpu) for t in middles]
        highest = max(powers)
        assert truth.energy_j(gpu, begin, begin + length) == pytest.approx(sum(powers) * step, abs=100 * step * highest)
        for t in middles[:: len(middles) // 7]:
            assert truth.power_w(gpu, t) == pytest.approx((gpu + 1) * shape(t - 0.013 * gpu), abs=0.02 * highest)
    whole = truth.energy_j(gpu, 10.0, 17.0)
    assert truth.energy_j(gpu, 10.0, 12.3) + truth.energy_j(gpu, 12.3, 17.0) == pytest.approx(whole, rel=1e-12)


def test_a_load_file_is_followed_as_it_grows(start: Callable[..., Gpus], tmp_path: Path) -> None:
    """Power holds from line to line; half a line waits for its end; lines may lie in the future."""
    path = tmp_path / "load.txt"
    path.write_text("")
    gpus = start(wave=f"load:{path}", counter_period_s=0)
    assert gpus.truth.energy_j(0, 1, 2) == 0
    now = time.monotonic()
    with path.open("a") as file:
        file.write(f"{now - 2} 100\n{now - 1} 30")
        file.flush()
        assert gpus.truth.power_w(0, now) == 100
        file.write("0\n")
        file.flush()
        assert gpus.truth.energy_j(0, now - 3, now) == pytest.approx(100 + 100 + 300)
        file.write(f"{now + 100} 7\n")
    assert gpus.truth.energy_j(0, now + 99, now + 101) == pytest.approx(307)
    assert gpus.field(INSTANT) == 300_000


@pytest.mark.parametrize("gpu", [0, 7])
def test_the_counter_holds_the_exact_integral_of_its_last_tick(start: Callable[..., Gpus], gpu: int) -> None:
    """Between ticks it stands; at a tick it has all that was drawn until then, from a start that is not 0."""
    gpus = start(gpus=8, wave="square:100:400:0.073", counter_period_s=0.02, counter_phase_s=0.007)

    def due(now: float) -> int:
        phase = 0.007 + 0.013 * gpu
        tick = phase + math.floor((now - phase) / 0.02) * 0.02
        return math.floor(1e3 * (START_J + gpus.truth.energy_j(gpu, 0.013 * gpu, tick)))  # from the wave's own zero

    for _ in range(10):
        got, expected = steady(lambda: gpus.counter_mj(gpu), due)
        assert abs(got - expected) <= 1
        time.sleep(0.011)


def test_ticks_move_by_the_jitter_and_no_more(start: Callable[..., Gpus]) -> None:
    """Under constant power the counter tells the time of its tick: never late, moved, within the stated jitter."""
    gpus = start(wave="constant:1000", counter_period_s=0.01, counter_jitter_s=0.003)
    shifts = []
    for _ in range(60):
        before, tick, after = time.monotonic(), gpus.counter_mj() / 1e6 - START_J / 1e3, time.monotonic()
        assert before - 0.0165 < tick < after
        shifts.append((tick + 0.005) % 0.01 - 0.005)
        time.sleep(0.004)
    assert max(abs(shift) for shift in shifts) <= 0.00301
    assert max(shifts) - min(shifts) > 0.003


def test_an_exact_counter_has_no_ticks(start: Callable[..., Gpus]) -> None:
    """With period 0 the counter lies between what was drawn before and after the call."""
    gpus = start(wave="ramp:100:900:0.1", counter_period_s=0)
    before = gpus.truth.energy_j(0, 0, time.monotonic())
    got = gpus.counter_mj() / 1e3 - START_J
    assert before - 0.002 <= got <= gpus.truth.energy_j(0, 0, time.monotonic())


GENERATIONS: dict[str, tuple[tuple[float, float], ...]] = {  # (period, window) of usage, instant, average
    "V100": ((0.02, 0.01),),
    "TURING": ((0.1, 0.1),),
    "A100": ((0.1, 0.025), (0.1, 0.025), (0.1, 1.0)),
    "ADA": ((0.1, 1.0), (0.1, 0.1), (0.1, 1.0)),
    "H100": ((0.1, 1.0), (0.1, 0.025), (0.1, 1.0)),
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_power_is_the_mean_over_its_window_at_its_last_update(start: Callable[..., Gpus], generation: str) -> None:
    """Each generation shows its own signals, with update period and averaging window as published."""
    gpus = start(generation=generation, wave="square:100:400:0.173", power_phase_s=0.031, power_gain=1.5)
    reads = [gpus.usage_mw, lambda: gpus.field(INSTANT), lambda: gpus.field(AVERAGE)]
    for read, (period, window) in zip(reads, GENERATIONS[generation], strict=False):

        def due(now: float, period: float = period, window: float = window) -> int:
            at = 0.031 + math.floor((now - 0.031) / period) * period
            return round(1500 * gpus.truth.energy_j(0, at - window, at) / window)

        got, expected = steady(read, due)
        assert abs(got - expected) <= 1
    if len(GENERATIONS[generation]) == 1:
        assert (gpus.field(INSTANT), gpus.field(AVERAGE)) == (-NOT_SUPPORTED, -NOT_SUPPORTED)


def test_gain_is_shown_and_not_drawn(start: Callable[..., Gpus]) -> None:
    """A sensor's gain is in its counter and its power; the truth stays."""
    gpus = start(wave="constant:100", gain=1.1, counter_period_s=0)
    assert gpus.usage_mw() == 110_000
    assert gpus.truth.energy_j(0, 5, 6) == pytest.approx(100)
    before, begin = gpus.counter_mj(), time.monotonic()
    time.sleep(0.05)
    assert (gpus.counter_mj() - before) / 1e3 == pytest.approx(110 * (time.monotonic() - begin), rel=0.05)


def test_a_counter_restarts_stands_still_and_steps_back(start: Callable[..., Gpus]) -> None:
    """A reset starts from 0 at its own time, the latest counts; a stuck counter keeps its tick; a step back is 5 J."""
    now = time.monotonic()
    reset = start(wave="constant:100", counter_period_s=0, reset_at_s=f"{now - 9},{now - 2},{now + 900}")
    assert reset.counter_mj() / 1e3 == pytest.approx(100 * (time.monotonic() - now + 2), abs=0.5)
    stuck = start(wave="constant:100", counter_period_s=0, stuck_from_s=now - 1)
    assert abs(stuck.counter_mj() / 1e3 - 100 * (now - 1 - (now - 2))) < 0.01
    del os.environ["STANDIN_RESET_AT_S"], os.environ["STANDIN_STUCK_FROM_S"]
    back = start(wave="constant:0", negative_at_s=now - 1)
    assert back.counter_mj() == round(1e3 * (START_J - 5))


def test_missing_failing_and_lost(start: Callable[..., Gpus]) -> None:
    """What is missing is not supported, what fails gives its code between its times, a lost GPU fails altogether."""
    missing = start(no_counter=1, no_instant=1)
    assert (missing.counter_mj(), missing.field(ENERGY), missing.field(INSTANT)) == (-NOT_SUPPORTED,) * 3
    assert missing.usage_mw() == missing.field(AVERAGE) == 100_000
    os.environ.update(STANDIN_NO_COUNTER="", STANDIN_NO_INSTANT="")
    failing = start(fail_from_s=time.monotonic() - 1, fail_until_s=time.monotonic() + 0.2, fail_code=10)
    assert (failing.counter_mj(), failing.usage_mw(), failing.field(INSTANT)) == (-10,) * 3
    time.sleep(0.25)
    assert failing.usage_mw() == failing.field(INSTANT) == 100_000
    partly = start(fail_until_s=math.inf, fail_only="counter")
    assert (partly.counter_mj(), partly.field(ENERGY), partly.usage_mw()) == (-10, -10, 100_000)
    lost = start(lost_at_s=0)
    handle = ctypes.c_void_p()
    assert lost.library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)) == LOST
