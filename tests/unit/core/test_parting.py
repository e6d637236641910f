"""A program that parts at once ends with its exit code, its output and the work of others done."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.core.parting import hold_to_the_end, leave, parts_at_once


class Witness:
    """Tells when it is taken apart."""

    def __init__(self) -> None:
        self.gone: list[int] = []

    def hand_over(self) -> object:
        gone = self.gone

        class Told:
            def __del__(self) -> None:
                gone.append(1)

        return Told()


def _run(script: str) -> subprocess.CompletedProcess[str]:
    head = "import atexit, sys\nfrom harness.core.parting import hold_to_the_end, leave, parts_at_once\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=60
    )


def test_what_is_held_is_left_and_all_that_was_printed_or_registered_is_done() -> None:
    done = _run("""
    class Told:
        def __del__(self):
            print("taken apart")
    atexit.register(print, "registered")
    with parts_at_once():
        hold_to_the_end(Told())
        sys.stdout.write("printed\\n")
        sys.stderr.write("said\\n")
        sys.exit(leave(3))
    """)
    assert (done.returncode, done.stdout, done.stderr) == (3, "printed\nregistered\n", "said\n")


def test_where_nothing_is_held_a_program_ends_as_always() -> None:
    done = _run("""
    with parts_at_once():
        code = leave(2)
    print("still here", code)
    sys.exit(code)
    """)
    assert (done.returncode, done.stdout) == (2, "still here 2\n")


@pytest.mark.skipif(sys.platform != "linux", reason="a full device")
def test_output_that_cannot_be_written_is_not_lost_in_silence() -> None:
    script = "import sys\nfrom harness.core.parting import hold_to_the_end, leave, parts_at_once\n"
    script += "with parts_at_once():\n    hold_to_the_end(1)\n    print('x')\n    sys.exit(leave(0))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode != 0
    assert b"No space left" in done.stderr


def test_a_library_holds_nothing() -> None:
    witness = Witness()
    hold_to_the_end(witness.hand_over())
    assert witness.gone == [1]
    assert leave(5) == 5


def test_the_next_work_lets_go_of_the_one_before() -> None:
    witness = Witness()
    with parts_at_once():
        hold_to_the_end(witness.hand_over())
        assert witness.gone == []
        hold_to_the_end()
        assert witness.gone == [1]
        assert leave(4) == 4
