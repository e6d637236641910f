"""The steps of `make gpu` in their order, and the same in small for a machine without a card.

A step is a command. Those that are studies go on where they were stopped; the others begin anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ISOJOULE = (sys.executable, "-m", "harness")
# What a study ends with when some of its runs failed: the others stand, and the report names those that did not.
SOME_FAILED = 3
# The card whose power limit caps what its constants predict (an H100 has the same).
CARD = "h200"
LADDER, REHEARSAL, TUNING = "iso_loss_h200", "iso_loss_rehearsal", "tune_lr_h200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command. It is not begun with less than `least_s` left, nor before there is what it `needs`.

    `resumes`: stopped, it goes on later. `again`: it is done anew each time that a step before it did something. Exit
    codes `fine` count as done; what they mean is in its log. What was done on another card than `card` is not done.
    """

    name: str
    command: tuple[str, ...]
    least_s: float
    resumes: bool = False
    again: bool = False
    fine: tuple[int, ...] = (0,)
    needs: Path | None = None
    card: str = ""

    @property
    def key(self) -> str:
        """Return what the step is called among those that are done."""
        return f"{self.name} of {self.card}" if self.card else self.name


def list_steps(out: Path, *, rehearse: bool, card: str = "") -> tuple[Step, ...]:
    """Return the steps that write into the folder `out`; with `rehearse` those that need no card.

    Sensors are calibrated on each `card` (its UUID), since no other card's profile holds for it.
    """
    study = out / (REHEARSAL if rehearse else LADDER)
    checks = () if rehearse else (_sensors(out, card), _tests(out))
    tuning = () if rehearse else (_study("tune", TUNING, out),)
    models = (sys.executable, "-m", "bench.models.gpu", "--out", str(out), *(("--tiny",) if rehearse else ()))
    return (
        *checks,
        Step(name="models", command=models, least_s=30 if rehearse else 500, fine=(0, 1)),
        *tuning,
        _study("ladder", study.name, out),
        _reading("regimes", study, 20, "tasks", str(study), "--json", str(out / "tasks.json")),
        _reading(
            "roofline", study, 20, "roofline", str(study), "--hardware", CARD, "--json", str(out / "roofline.json")
        ),
        _reading("report", study, 40, "report", str(study), "--json", str(out / "results.json")),
    )


def _sensors(out: Path, card: str) -> Step:
    file = out / (f"calibration_{card}.json" if card else "calibration.json")
    command = (*ISOJOULE, "sensors", "--calibrate", "--json", str(file))
    return Step(name="sensors", command=command, least_s=180, card=card)


def _tests(out: Path) -> Step:
    report = f"--junitxml={out / 'tests_gpu.xml'}"
    return Step(name="tests", command=(sys.executable, "-m", "pytest", "-q", "tests/gpu", report), least_s=240)


def _study(name: str, experiment: str, out: Path) -> Step:
    command = (*ISOJOULE, "run", "-m", f"experiment={experiment}", f"store={out / experiment}")
    return Step(name=name, command=command, least_s=60, resumes=True, fine=(0, SOME_FAILED))


def _reading(name: str, study: Path, least_s: float, *verb: str) -> Step:
    """Return a step that only reads the records of `study`, as many as there are."""
    return Step(name=name, command=(*ISOJOULE, *verb), least_s=least_s, again=True, needs=study / "records")
