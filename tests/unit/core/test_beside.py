"""Work beside this process gives what it gives here: the same value, the same exception, and its own after a death."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from harness.core.beside import MIN_RECORDS, start_beside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux")


def _run(script: str) -> list[str]:
    """Run `script` in a process without threads, as a command is, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"from harness.core.beside import start_beside\nimport os\n{textwrap.dedent(script)}"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_many_records_are_worked_on_by_a_copy_of_the_process() -> None:
    here, there, value = _run(
        "wait = start_beside(lambda: (os.getpid(), 0.1 + 0.2), 10_000); print(os.getpid(), *wait())"
    )
    assert here != there
    assert float(value) == 0.1 + 0.2


def test_few_records_are_worked_on_here() -> None:
    calls: list[int] = []
    wait = start_beside(lambda: calls.append(1), MIN_RECORDS - 1)
    assert not calls
    wait()
    assert calls == [1]


def test_an_exception_is_raised_where_the_result_is_asked_for() -> None:
    script = """
    def fail():
        raise ValueError(str(os.getpid()))
    wait = start_beside(fail, 10_000)
    try:
        wait()
    except ValueError as error:
        print(str(error) == str(os.getpid()))
    """
    assert _run(script) == ["True"]


def test_the_work_of_a_copy_that_died_or_whose_result_cannot_be_sent_is_done_here() -> None:
    script = """
    here = os.getpid()
    print(start_beside(lambda: os._exit(9) if os.getpid() != here else "done", 10_000)())
    print(start_beside(lambda: (lambda: "sent"), 10_000)()())
    """
    assert _run(script) == ["done", "sent"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_copy_is_ready_when_it_has_answered_or_died() -> None:
    script = """
    import time
    for end in (lambda: time.sleep(1) or "slept", lambda: time.sleep(1) or os._exit(9)):
        here = os.getpid()
        wait = start_beside(lambda: end() if os.getpid() != here else "again")
        print(wait.is_ready())
        while not wait.is_ready():
            time.sleep(0.01)
        print(wait(), wait.is_ready())
    """
    assert _run(script) == ["False", "slept", "True", "False", "again", "True"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_copy_answers_only_the_process_that_made_it() -> None:
    script = """
    first = start_beside(os.getpid, 10_000)
    second = start_beside(lambda: (os.getpid(), first()), 10_000)
    asker, answer = second()
    print(asker == answer, first() not in (asker, os.getpid()))
    """
    assert _run(script) == ["True", "True"]


def test_without_shared_memory_the_work_is_done_here() -> None:
    script = """
    def refuse(name):
        raise OSError(24, "Too many open files")
    os.memfd_create = refuse
    here = os.getpid()
    print(start_beside(os.getpid, 10_000)() == here)
    """
    assert _run(script) == ["True"]
