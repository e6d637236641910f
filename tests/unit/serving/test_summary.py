"""Latencies by the field's formulas, goodput, and the stretch of full load: worked by hand."""

from __future__ import annotations

import dataclasses

import pytest

from harness.core.task_config import ServerConfig
from harness.serving.load import LoadResult
from harness.serving.outcome import Outcome
from harness.serving.protocol import Usage
from harness.serving.steady import SteadyStretch, count_steady_work, find_steady
from harness.serving.summary import BY_USAGE, percentiles, summarise

SERVER = ServerConfig(base_url="http://127.0.0.1:1", concurrency=2)
NO_STRETCH = SteadyStretch(None, None, "none")


def _answered(index: int, sent_s: float, times_s: list[float], num_tokens: int | None = None) -> Outcome:
    usage = Usage(10, num_tokens if num_tokens is not None else len(times_s))
    result = Outcome(index, sent_s=sent_s, end_s=times_s[-1], output_times_s=times_s, usage=usage, num_tries=1)
    result.text, result.finish_reason, result.done_marked = "a", "stop", True
    return result


def _failed(index: int, sent_s: float, end_s: float, cause: str) -> Outcome:
    return Outcome(index, sent_s=sent_s, end_s=end_s, cause=cause, reason=cause, num_tries=3)


def _result(*outcomes: Outcome, end_s: float = 100.0) -> LoadResult:
    return LoadResult(0.0, end_s, list(outcomes), num_planned=len(outcomes), max_in_flight=2)


def test_ttft_itl_tpot_and_e2e_are_those_of_the_field() -> None:
    result = _result(_answered(0, 1.0, [1.5, 2.5, 3.0], num_tokens=4), _failed(1, 1.0, 4.0, "timeout"))
    stats = summarise(result, SERVER, "m", NO_STRETCH, origin_s=-5.0)
    assert (stats.ttft_s.mean, stats.e2e_s.mean, stats.itl_s.n) == (0.5, 2.0, 2)
    assert stats.itl_s.mean == pytest.approx(0.75)
    assert stats.tpot_s.mean == pytest.approx(1.5 / 3)
    assert (stats.num_sent, stats.num_answered, stats.num_failed, stats.num_retries) == (2, 1, 1, 2)
    assert stats.failures == {"timeout": 1}
    assert (stats.duration_s, stats.requests_per_s) == (3.0, 1 / 3)
    assert (stats.num_input_tokens, stats.num_output_tokens, stats.token_source) == (10, 4, BY_USAGE)
    assert stats.send_lateness_s is None


def test_without_usage_chunks_are_counted_and_prompts_are_unknown() -> None:
    silent = _answered(0, 0.0, [1.0, 2.0])
    silent.usage = None
    stats = summarise(_result(silent), SERVER, "m", NO_STRETCH, 0.0)
    assert (stats.num_input_tokens, stats.num_output_tokens) == (None, 2)
    assert "chunks" in stats.token_source
    mixed = summarise(_result(silent, _answered(1, 0.0, [1.0])), SERVER, "m", NO_STRETCH, 0.0)
    assert mixed.num_input_tokens is None
    assert "1 of 2" in mixed.token_source


def test_percentiles_are_linear_between_ranks_and_none_without_values() -> None:
    some = percentiles([None, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert (some.n, some.p50, some.p90, some.maximum) == (5, 3.0, 4.6, 5.0)
    assert dataclasses.astuple(percentiles([])) == (0, *(None,) * 6)


def test_goodput_counts_answers_within_every_limit() -> None:
    quick, slow = _answered(0, 0.0, [0.1, 0.2]), _answered(1, 0.0, [0.1, 4.0])
    wordless = _answered(2, 0.0, [4.0])
    wordless.output_times_s = []
    limits = dataclasses.replace(SERVER, max_ttft_s=0.5, max_e2e_s=5.0)
    assert summarise(_result(quick, slow, wordless), limits, "m", NO_STRETCH, 0.0).goodput_per_s == 2 / 4
    tight = dataclasses.replace(limits, max_tpot_s=1.0)
    assert summarise(_result(quick, slow), tight, "m", NO_STRETCH, 0.0).goodput_per_s == 1 / 4
    without = summarise(_result(quick), SERVER, "m", NO_STRETCH, 0.0)
    assert without.goodput_per_s is None
    assert "max_ttft_s" in without.goodput_reason


def _closed_loop(num_pairs: int) -> list[Outcome]:
    """Two requests under way all the time, each 1 s long with its first token after 0.25 s."""
    return [
        _answered(2 * pair + place, float(pair), [pair + 0.25, pair + 0.5, pair + 1.0])
        for pair in range(num_pairs)
        for place in (0, 1)
    ]


def test_steady_is_from_the_first_tokens_until_fewer_than_the_concurrency_remain() -> None:
    steady = find_steady(_result(*_closed_loop(30)), 2, sensor_period_s=0.05)
    assert (steady.begin_s, steady.end_s, steady.reason) == (0.25, 30.0, None)
    done = count_steady_work(_closed_loop(30), 0.25, 30.0)
    assert (done.num_finished, done.num_output_tokens, done.num_input_tokens) == (58, 178.0, 600.0)


def test_steady_ends_when_the_first_of_the_last_requests_ends() -> None:
    outcomes = _closed_loop(20)
    outcomes[-1] = _answered(39, 19.0, [19.25, 25.0])
    steady = find_steady(_result(*outcomes), 2, None)
    assert steady.end_s == 20.0


@pytest.mark.parametrize(
    ("num_pairs", "period_s", "words"),
    [(8, 0.05, "10 s are needed"), (30, 0.5, "50 s are needed"), (1, 0.05, "fewer than twice")],
)
def test_a_steady_stretch_that_is_too_short_is_refused(num_pairs: int, period_s: float, words: str) -> None:
    steady = find_steady(_result(*_closed_loop(num_pairs)), 2, period_s)
    assert (steady.begin_s, steady.end_s) == (None, None)
    assert words in steady.reason


def test_a_stretch_in_which_requests_waited_between_tries_is_not_full() -> None:
    outcomes = _closed_loop(30)
    for outcome in outcomes[10:20]:
        outcome.waits_s = [(outcome.sent_s, outcome.sent_s + 0.9)]
    steady = find_steady(_result(*outcomes), 2, 0.05)
    assert steady.begin_s is None
    assert "85% of the load" in steady.reason
