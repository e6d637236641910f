"""Jobs that two processes share are each done, in order, whoever does them and whatever becomes of the copy."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial

import pytest

from harness.core.shared_jobs import SharedJobs

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 or sys.platform != "linux", reason="no copy is made")


def _run(script: str) -> list[str]:
    head = "import os, time\nfrom functools import partial\nfrom harness.core.shared_jobs import SharedJobs\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.parametrize("num_jobs", [0, 1, 5, 3000])
def test_results_come_in_the_order_of_the_jobs(num_jobs: int) -> None:
    done = SharedJobs([partial(pow, number, 2) for number in range(num_jobs)]).finish()
    assert done == [number**2 for number in range(num_jobs)]


@TWO_CORES
def test_no_file_stays_open() -> None:
    first, last = _run("""
    for _ in range(20):
        SharedJobs([partial(pow, number, 2) for number in range(5)]).finish()
        print(len(os.listdir("/proc/self/fd")))
    """)[::19]
    assert last == first


@TWO_CORES
def test_each_job_is_done_once_and_both_processes_do_some() -> None:
    found = _run("""
    def job(number):
        time.sleep(0.05)
        return f"{number}-{os.getpid()}"
    print(*SharedJobs([partial(job, number) for number in range(20)]).finish())
    """)
    assert [int(one.partition("-")[0]) for one in found] == list(range(20))
    assert len({one.partition("-")[2] for one in found}) == 2


@TWO_CORES
def test_jobs_of_a_copy_that_dies_are_done_here() -> None:
    script = """
    here = os.getpid()
    def job(number):
        if os.getpid() != here and number > 1:
            os._exit(9)
        time.sleep(0.02)
        return number
    print(*SharedJobs([partial(job, number) for number in range(8)]).finish())
    """
    assert _run(script) == [str(number) for number in range(8)]


def test_an_exception_of_a_job_is_raised_here_wherever_it_was_met() -> None:
    def fail() -> int:
        raise ValueError("no")

    shared = SharedJobs([fail])
    with pytest.raises(ValueError, match="no"):
        shared.finish()
