"""Which trials there are: a tool, a GPU with its sensors and its waveform, and the windows to measure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

GENERATIONS = ("V100", "A100", "H100", "TURING")
WAVES = {
    "constant": "constant:300",
    "square 1 s": "square:100:400:1",
    "square 4 s": "square:100:400:4",
    "square 8 s": "square:100:400:8",
    "square 0.73 s": "square:100:400:0.73",
    "square 10 Hz": "square:100:400:0.1",
    "ramp 1 s": "ramp:100:400:1",
    "burst 2 s": "burst:90:700:2:0.3",
}
NO_COUNTER_WAVES = ("constant", "square 1 s", "square 10 Hz", "ramp 1 s")
# Nominal length in seconds -> how many windows of it a trial holds.
LENGTHS = {0.05: 8, 0.1: 8, 0.2: 8, 0.5: 8, 1.0: 8, 2.0: 10, 5.0: 8, 10.0: 4, 30.0: 1}
TRIAL_S = 37.0
FAULT_AT_S = 12.0
# Faults by name: variables of the stand-in; AT stands for the moment of the fault on the monotonic clock.
FAULTS = {
    "reset": {"STANDIN_RESET_AT_S": "AT"},
    "negative step": {"STANDIN_NEGATIVE_AT_S": "AT"},
    "stuck": {"STANDIN_STUCK_FROM_S": "AT"},
    "failing": {"STANDIN_FAIL_FROM_S": "AT"},
    "lost": {"STANDIN_LOST_AT_S": "AT"},
    "NaN": {"STANDIN_NAN_FROM_S": "AT", "STANDIN_NO_COUNTER": "1"},
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One process: `environ` sets the stand-in; `windows` are (start, length) in seconds after the tool is ready."""

    name: str
    tool: str
    generation: str
    wave: str
    gpus: int = 1
    counter: bool = True
    fault: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    windows: tuple[tuple[float, float], ...] = ()


def make_trials(seed: int, *, quick: bool) -> list[Trial]:  # noqa: C901 - the grid, read from top to bottom
    """Return all trials; random phases and window starts come from `seed`."""
    rng = random.Random(seed)
    trials: list[Trial] = []

    def add(tool: str, generation: str, wave: str, *, gpus: int = 1, counter: bool = True, fault: str = "") -> None:
        environ = {
            "STANDIN_GENERATION": generation,
            "STANDIN_WAVE": WAVES[wave],
            "STANDIN_GPUS": str(gpus),
            "STANDIN_COUNTER_PHASE_S": f"{rng.uniform(0, 0.1):.6f}",
            "STANDIN_POWER_PHASE_S": f"{rng.uniform(0, 0.1):.6f}",
            **({} if counter else {"STANDIN_NO_COUNTER": "1"}),
            **FAULTS.get(fault, {}),
        }
        what = fault or ("" if counter else "no counter")
        name = "-".join(part for part in (tool, generation, wave, f"{gpus}gpu", what) if part).replace(" ", "_")
        together = tool in ("isojoule", "zeus")
        windows = _overlapping(rng) if together else _one_by_one(rng)
        trials.append(
            Trial(
                name=name, tool=tool, generation=generation, wave=wave, gpus=gpus, counter=counter, fault=fault,
                environ=environ, windows=windows,
            )
        )  # fmt: skip

    waves = ("constant", "square 1 s", "square 10 Hz") if quick else tuple(WAVES)
    generations = ("A100",) if quick else GENERATIONS
    for tool in ("isojoule", "zeus"):
        for generation in generations if tool == "isojoule" else ("A100", "H100"):
            for wave in waves:
                add(tool, generation, wave)
        for gpus in (2, 8):
            add(tool, "A100", "square 0.73 s", gpus=gpus)
            add(tool, "H100", "ramp 1 s", gpus=gpus)
        for fault in FAULTS:
            if tool == "isojoule" or fault != "NaN":
                add(tool, "A100", "square 1 s", fault=fault, counter=True)
    for generation in generations:
        for wave in NO_COUNTER_WAVES:
            add("isojoule", generation, wave, counter=False)
    for tool in ("codecarbon", "carbontracker"):
        for wave in waves:
            add(tool, "A100", wave)
        add(tool, "A100", "square 0.73 s", gpus=2)
        add(tool, "A100", "square 1 s", fault="reset")
    return trials


def _overlapping(rng: random.Random) -> tuple[tuple[float, float], ...]:
    """Windows at random moments, as many at once as it comes; lengths vary by 10%, so that nothing is in step."""
    windows = []
    for nominal_s, count in LENGTHS.items():
        for _ in range(count):
            length_s = nominal_s * rng.uniform(0.9, 1.1)
            windows.append((rng.uniform(0.3, max(0.4, TRIAL_S - length_s)), length_s))
    return tuple(sorted(windows))


def _one_by_one(rng: random.Random) -> tuple[tuple[float, float], ...]:
    """Windows after each other, for tools that cannot overlap them."""
    lengths = [1.0, 2.0, 5.0, 2.0, 10.0, 5.0, 1.0, 5.0]
    return tuple((rng.uniform(0.05, 0.3), length * rng.uniform(0.9, 1.1)) for length in lengths)
