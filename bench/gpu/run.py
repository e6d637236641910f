"""Do all that is done on one CUDA card, as far as the time goes: ``python -m bench.gpu.run --out DIR --minutes 9.5``.

Each call goes on where the last one stopped. ``DIR/steps.json`` says what is done, ``DIR/logs/`` what each step
printed, and ``DIR/kept.tar.gz`` holds records, traces and results: what the next machine goes on from
(``--from FILE``).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.keep import keep_results, take_results
from bench.gpu.steps import Step, list_steps
from harness.core.clock import utc_label
from harness.core.store import write_text_atomically

STATE_FILE = "steps.json"
ROOT = Path(__file__).parents[2]
# From asking a step to stop until the machine may be gone: a study writes a checkpoint and its records meanwhile.
STOP_S = 30.0
_KILL_S = 15.0
_PACK_S = 10.0


def main() -> int:
    """Run the steps; return 0 when all are done, 3 when some are left or failed, 2 for a mistake."""
    parser = argparse.ArgumentParser(description="All that is done on one CUDA card, resumable.")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of all results (default: runs/gpu)")
    parser.add_argument("--minutes", type=float, default=9.5, help="stop in time before so many minutes are over")
    parser.add_argument("--only", metavar="STEP", help="this step alone, also where it is done")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="kept.tar.gz of another machine")
    parser.add_argument("--rehearse", action="store_true", help="tiny models on any machine: tries the steps")
    options = parser.parse_args()
    options.out = options.out.resolve()
    steps = list_steps(options.out, rehearse=options.rehearse, card="" if options.rehearse else _name_card())
    mistake = _find_mistake(options, steps)
    if mistake is not None:
        print(mistake, file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    if options.source is not None:
        try:
            take_results(options.source, options.out)
        except (tarfile.TarError, OSError) as error:
            print(f"--from: '{options.source}' cannot be unpacked: {error}", file=sys.stderr)
            return 2
    chosen = [step for step in steps if options.only in (None, step.name)]
    deadline = time.monotonic() + 60 * options.minutes
    state = run_steps(chosen, options.out, deadline, force=options.only is not None, tell=_tell)
    print(f"kept: {keep_results(options.out)}")
    return 0 if all(state.get(step.key, {}).get("state") == "done" for step in chosen) else 3


def _find_mistake(options: argparse.Namespace, steps: Sequence[Step]) -> str | None:
    names = [step.name for step in steps]
    if options.only is not None and options.only not in names:
        return f"--only is '{options.only}'; the steps are {', '.join(names)}."
    if options.source is not None and not options.source.is_file():
        return f"--from: there is no file '{options.source}'; give the kept.tar.gz of an earlier call."
    if not options.minutes * 60 > STOP_S + _PACK_S:
        return f"--minutes is {options.minutes:g}; give 1 or more."
    if options.rehearse or _name_card():
        return None
    return "no CUDA device on this machine; give --rehearse to try the steps."


@functools.cache
def _name_card() -> str:
    """Return the UUID of the first CUDA device, empty where there is none."""
    import torch

    return str(torch.cuda.get_device_properties(0).uuid) if torch.cuda.is_available() else ""


def run_steps(
    steps: Sequence[Step], out: Path, deadline: float, *, force: bool = False, tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run what is left of `steps` until `deadline` (`time.monotonic`); return the state of each by its key.

    A step that failed is tried again by the next call. The state is written before and after each step.
    """
    state = _read_state(out)
    changed = False
    for step in steps:
        held = state.get(step.key, {})
        if held.get("state") == "done" and not force and not (step.again and changed):
            tell(f"{step.name}: done before")
            continue
        if step.needs is not None and not step.needs.exists():
            tell(f"{step.name}: there is no {step.needs.parent.name}/{step.needs.name} yet")
            continue
        left = deadline - time.monotonic() - STOP_S - _PACK_S - _reserve_s(steps, step)
        if left < step.least_s:
            tell(f"{step.name}: left for the next call ({max(0.0, left):.0f} s left, it needs {step.least_s:.0f})")
            continue
        tell(f"{step.name}: {' '.join(step.command)}")
        state[step.key] = {**held, "state": "running", "started": utc_label(), "tries": held.get("tries", 0) + 1}
        _write_state(out, state)
        began = time.monotonic()
        code, stopped = _run(step, out / "logs" / f"{step.name}.log", left)
        took = time.monotonic() - began
        result = "stopped" if stopped else "done" if code in step.fine else "failed"
        seconds = held.get("seconds", 0.0) + took
        state[step.key] |= {"state": result, "returncode": code, "seconds": round(seconds, 1)}
        _write_state(out, state)
        tell(f"{step.name}: {result} after {took:.0f} s (exit code {code})")
        changed = True
    return state


def _reserve_s(steps: Sequence[Step], step: Step) -> float:
    """Return the seconds kept for the steps after `step` that are done each time, and for `step` itself to stop in."""
    later = steps[steps.index(step) + 1 :]
    can_follow = [each for each in later if each.needs is None or each.needs.exists() or step.resumes]
    needed = sum(each.least_s for each in can_follow if each.again)
    return needed + STOP_S if needed else 0.0


def _run(step: Step, log: Path, seconds: float) -> tuple[int, bool]:
    """Run one command into its log; ask it to stop after `seconds`, and end it where it does not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = subprocess.Popen(step.command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            return process.wait(seconds), False
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        except KeyboardInterrupt:  # the terminal has told the step too
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
            raise
        for patience, end in ((STOP_S - _KILL_S, process.terminate), (_KILL_S, process.kill)):
            try:
                return process.wait(patience), True
            except subprocess.TimeoutExpired:
                end()
        return process.wait(), True


def _read_state(out: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((out / STATE_FILE).read_text())["steps"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return state


def _write_state(out: Path, state: dict[str, Any]) -> None:
    write_text_atomically(out / STATE_FILE, json.dumps({"steps": state}, indent=1) + "\n")


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
