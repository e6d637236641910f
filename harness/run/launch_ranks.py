"""Starts the ranks of a parallel run on this machine with torch's launcher, and says which one failed if one does."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from harness.core.config import RunConfig
from harness.core.errors import ConfigError, RunFailedError
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run import stop
from harness.run.rank import ERRORS_VARIABLE, is_mistake, read_errors

# Torch's launcher gives a rank that is to end 30 s before it kills it.
_SURELY_LATER_S = 10.0


def launch_ranks(job: dict[str, Any], config: RunConfig, store: Store) -> RunRecord:
    """Do a worker's job in ``config.parallel.num_processes`` processes of this machine, and return the record.

    The main rank writes the record; its events go to this process's standard output. When one rank dies torch's
    launcher ends the others.

    Raises:
        ConfigError: a rank found a mistake of the user's.
        RunFailedError: a rank failed; the message says which and why.
        StopRun: this process was asked to stop; the ranks were told, and have left a checkpoint.
    """
    size = config.parallel.num_processes
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=size,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    with tempfile.TemporaryDirectory(prefix="isojoule-ranks-") as folder:
        job_file = Path(folder) / "job.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        os.environ[ERRORS_VARIABLE] = folder
        os.environ.setdefault("OMP_NUM_THREADS", str(config.num_threads or max(1, (os.cpu_count() or 1) // size)))
        kept = {number: signal.getsignal(number) for number in stop.STOP_SIGNALS}
        try:
            elastic_launch(launch, sys.executable)("-u", "-m", "harness.run.rank", str(job_file))
        except ChildFailedError as error:
            raise explain_failure(size, error.failures, read_errors(Path(folder))) from None
        except SignalException as error:
            raise stop.StopRun(128 + int(error.sigval)) from None
        finally:
            del os.environ[ERRORS_VARIABLE]
            for number, handler in kept.items():  # torch's launcher takes them
                signal.signal(number, handler)
    record = store.load_record(str(job["run_id"]))
    if record is None:
        raise RunFailedError(f"all {size} ranks ended, and left no record")
    return record


def explain_failure(
    size: int, failures: Mapping[int, Any], told: Mapping[int, Mapping[str, Any]]
) -> ConfigError | RunFailedError:
    """Return the error of the rank that failed first: one that was killed, else one that does not merely miss another.

    `failures` are torch's, by rank, with ``exitcode`` and ``timestamp``; `told` is what the ranks themselves have left.
    """
    ranks = sorted(set(failures) | set(told))
    killed = [r for r in ranks if r in failures and failures[r].exitcode < 0 and r not in told]
    # the launcher ends the ranks that are left with SIGTERM, and those that do not go much later with SIGKILL
    missed = min((told[r]["time_s"] for r in told if told[r]["lost"]), default=math.inf)
    hung = [r for r in killed if failures[r].timestamp > missed + _SURELY_LATER_S]
    killed = [r for r in killed if r not in hung]
    killed.sort(key=lambda r: failures[r].exitcode == -signal.SIGTERM)
    own = [r for r in ranks if r in told and not told[r]["lost"]]
    mute = [r for r in ranks if r not in told and r not in killed and r not in hung]
    for rank in own:
        if is_mistake(dict(told[rank])):
            return ConfigError(told[rank]["text"])
    first = next(iter([*own, *killed, *mute, *hung, *ranks]), 0)
    return RunFailedError(f"rank {first} of {size} {_explain_end(first, failures, told, is_hung=first in hung)}")


def _explain_end(
    rank: int, failures: Mapping[int, Any], told: Mapping[int, Mapping[str, Any]], *, is_hung: bool
) -> str:
    if is_hung:
        return "did not answer the others for parallel.timeout_s, and was ended"
    if rank in told:
        return f"failed: {told[rank]['text']}"
    code = failures[rank].exitcode if rank in failures else None
    if code is None or code >= 0:
        return f"ended with exit code {code}; the log of the run says why"
    name = signal.Signals(-code).name
    cause = " (out of memory, or by hand)" if name == "SIGKILL" else ""
    return f"was killed by {name}{cause}; the other ranks were ended with it"
