"""Real signals at random moments to any process of a study: it ends with what an undisturbed study ends with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from harness.core.store import Store
from tests.faults.tiny_study import COMMAND, STUDY, check_store, read_essence, read_flop_verdicts, store_in
from tests.workers import is_fork_server, is_worker, workers_of

pytestmark = pytest.mark.faults
NUM_KILLS = int(os.environ.get("ISOJOULE_FAULT_KILLS", "200"))
SEED = int(os.environ.get("ISOJOULE_FAULT_SEED", "20261126"))
SIGNALS = (*(signal.SIGKILL,) * 4, signal.SIGTERM, signal.SIGINT)
# Most kills wait until a worker is at work, so that the study gets on; the others hit starts as well.
WHILE_WORKING = 0.8
LONGEST_WAIT_S = 3.0
# A new command or fork server has to import everything again: workers are hit more often.
WEIGHTS = {"worker": 5, "sampler": 2}
ENDS_WITHIN_S = 120.0


@dataclass
class Tally:
    """What was killed by which signal in which phase, and how the study stood after each."""

    kills: Counter[str] = field(default_factory=Counter)
    num_kills: int = 0
    num_starts: int = 0
    num_studies: int = 0


def test_a_study_under_random_kills_ends_as_an_undisturbed_one(undisturbed: Path, tmp_path: Path) -> None:
    """No finished record is lost, changed or made twice, none is half-written; losses, FLOPs and verdicts are equal."""
    rng = random.Random(SEED)
    tally = Tally()
    expected = read_essence(store_in(undisturbed))
    verdicts = read_flop_verdicts(store_in(undisturbed), undisturbed)
    assert any(estimate is not None for _, estimate, _ in verdicts.values()), "the study has a ratio to compare"
    while tally.num_kills < NUM_KILLS:
        folder = tmp_path / f"study-{tally.num_studies}"
        folder.mkdir()
        _disturb(folder, rng, tally)
        assert read_essence(store_in(folder)) == expected
        assert read_flop_verdicts(store_in(folder), folder) == verdicts
        leftovers = [path.name for path in (store_in(folder).root / "started").glob("*")]
        assert leftovers == [], "no marker is left of a study that is whole"
        tally.num_studies += 1
        print(f"study {tally.num_studies}: {tally.num_kills} kills, {tally.num_starts} starts", flush=True)
    print(json.dumps({"kills": tally.num_kills, "starts": tally.num_starts, "by": dict(tally.kills)}, indent=1))
    assert tally.num_kills >= NUM_KILLS


def _disturb(folder: Path, rng: random.Random, tally: Tally) -> None:
    """Run the study to its end, killing something at random moments as long as kills are left."""
    finished: dict[str, bytes] = {}
    while True:
        with (
            (folder / "command.log").open("a") as log,
            subprocess.Popen(
                (*COMMAND, *STUDY, "--retry-failed"), cwd=folder, stdout=log, stderr=log, start_new_session=True
            ) as command,
        ):
            tally.num_starts += 1
            while command.poll() is None and tally.num_kills < NUM_KILLS:
                if rng.random() < WHILE_WORKING:
                    _wait_for_a_worker(command, store_in(folder))
                time.sleep(rng.uniform(0.0, LONGEST_WAIT_S))
                if command.poll() is None and _kill_one(command.pid, rng, tally):
                    _wait_where_it_ends(command, tally)
            code = command.wait(timeout=600)
        now = check_store(store_in(folder))
        for run_id, content in finished.items():
            assert now.get(run_id) == content, f"{run_id} was finished, and is another record now"
        finished = now
        if code == 0:
            return


def _wait_for_a_worker(command: subprocess.Popen[bytes], store: Store) -> None:
    while command.poll() is None and not workers_of(store):
        time.sleep(0.2)


def _wait_where_it_ends(command: subprocess.Popen[bytes], tally: Tally) -> None:
    """Give the command a moment to end by the signal, if it is going to."""
    deadline = time.monotonic() + 1.0
    while command.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def _kill_one(pid: int, rng: random.Random, tally: Tally) -> bool:
    """Send a random signal to a random process of the study: the command, its fork server, worker or sampler."""
    try:
        command = psutil.Process(pid)
        kinds: dict[str, list[psutil.Process]] = {}
        for process in [command, *command.children(recursive=True)]:
            if process.status() != psutil.STATUS_ZOMBIE:
                kinds.setdefault(_kind_of(process, pid), []).append(process)
        kind = rng.choices(list(kinds), [WEIGHTS.get(kind, 1) for kind in kinds])[0]
        chosen = rng.choice(kinds[kind])
        number = rng.choice(SIGNALS)
        os.kill(chosen.pid, number)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
    tally.num_kills += 1
    tally.kills[f"{kind} {signal.Signals(number).name}"] += 1
    print(f"{tally.num_kills}: {kind} {signal.Signals(number).name}", flush=True)
    return True


def _kind_of(process: psutil.Process, command_pid: int) -> str:
    if process.pid == command_pid:
        return "command"
    if is_worker(process):
        return "worker"
    if is_fork_server(process):
        return "fork server"
    return "sampler" if "harness." in " ".join(process.cmdline()) else "other"
