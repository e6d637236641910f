"""Which rank is blamed when a parallel run fails."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from harness.core.errors import ConfigError, HarnessError, RunFailedError
from harness.run.launch_ranks import explain_failure


def explain(failures: dict[int, int], told: dict[int, dict[str, Any]], seen_s: int = 1000) -> HarnessError:
    return explain_failure(
        4, {rank: SimpleNamespace(exitcode=code, timestamp=seen_s) for rank, code in failures.items()}, told
    )


def tell(text: str, *, lost: bool = False, exit_code: int = 1) -> dict[str, Any]:
    return {"text": text, "lost": lost, "exit_code": exit_code, "time_s": 1000.5}


def test_a_killed_rank_is_named_and_not_those_that_lost_it() -> None:
    error = explain({0: 1, 2: -signal.SIGKILL, 3: -signal.SIGTERM}, {0: tell("Connection closed", lost=True)})
    assert isinstance(error, RunFailedError)
    assert str(error).startswith("rank 2 of 4 was killed by SIGKILL (out of memory, or by hand)")


def test_a_rank_with_an_error_of_its_own_is_named_before_one_that_the_launcher_ended() -> None:
    error = explain({1: 1, 3: -signal.SIGTERM}, {1: tell("the training loss is nan"), 0: tell("gloo", lost=True)})
    assert str(error) == "rank 1 of 4 failed: the training loss is nan"


def test_a_mistake_of_the_users_stays_one() -> None:
    error = explain({0: 2, 1: 2}, {0: tell("device", exit_code=2), 1: tell("device", exit_code=2)})
    assert isinstance(error, ConfigError)
    assert str(error) == "device"


@pytest.mark.parametrize("told", [{}, {2: tell("timed out", lost=True)}])
def test_a_rank_that_says_nothing_is_named_by_its_exit_code(told: dict[int, dict[str, Any]]) -> None:
    assert "rank 1 of 4 ended with exit code 3" in str(explain({1: 3}, told))


def test_a_rank_that_hung_until_the_launcher_killed_it_is_named() -> None:
    error = explain({0: 1, 2: -signal.SIGKILL}, {0: tell("Timed out", lost=True)}, seen_s=1030)
    assert str(error) == "rank 2 of 4 did not answer the others for parallel.timeout_s, and was ended"
