"""Load: closed loop, open loop, the run's own time, and a server that is given up. Sent = answered + failed, always."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from harness.serving import client as client_module
from harness.serving.arrivals import draw_arrivals
from harness.serving.client import Target
from harness.serving.load import Load, LoadResult, drive
from harness.serving.protocol import Ask
from tests.scripted_server import MODEL, Reply, ScriptedServer, answer_well


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_BACKOFF_S", 0.01)


def _drive(server: ScriptedServer, num_requests: int, load: Load, **settings: Any) -> LoadResult:
    values = {"model": MODEL, "api": "completions", "timeout_s": 5.0, "max_retries": 1, **settings}
    asks = [Ask(f"prompt {index}", 4) for index in range(num_requests)]
    result = asyncio.run(drive(Target(base_url=server.base_url, **values), asks, load))
    answered = [outcome for outcome in result.outcomes if outcome.answered]
    failed = [outcome for outcome in result.outcomes if outcome.cause is not None]
    assert len(answered) + len(failed) == len(result.outcomes)
    assert not {outcome.index for outcome in answered} & {outcome.index for outcome in failed}
    assert all(outcome.end_s is not None for outcome in result.outcomes)
    return result


def test_a_closed_loop_keeps_its_concurrency_and_sends_everything_once() -> None:
    with ScriptedServer(lambda reply: answer_well(reply, gap_s=0.01)) as server:
        result = _drive(server, 20, Load(concurrency=4, max_run_s=30))
    assert [outcome.index for outcome in result.outcomes] == list(range(20))
    assert result.max_in_flight == 4
    assert sorted(body["prompt"] for body in server.bodies) == sorted(f"prompt {i}" for i in range(20))
    assert result.stopped is None


def test_an_open_loop_sends_on_time_though_nothing_is_answered() -> None:
    async def slow(reply: Reply) -> None:
        await asyncio.sleep(1.0)
        await answer_well(reply)

    arrivals = (0.0, 0.05, 0.1, 0.15, 0.2)
    with ScriptedServer(slow) as server:
        result = _drive(server, 5, Load(concurrency=0, max_run_s=30, arrivals_s=arrivals))
    assert result.max_in_flight == 5
    assert all(outcome.answered for outcome in result.outcomes)
    planned = [result.begin_s + arrival for arrival in arrivals]
    late = [outcome.sent_s - due for outcome, due in zip(result.outcomes, planned, strict=True)]
    assert min(late) >= 0
    assert result.outcomes[-1].sent_s < result.outcomes[0].end_s
    assert len(result.lateness_s) == 5
    assert result.num_waited == 0


def test_an_open_loop_with_a_limit_waits_for_a_place_and_counts_that() -> None:
    with ScriptedServer(lambda reply: answer_well(reply, gap_s=0.05)) as server:
        result = _drive(server, 5, Load(concurrency=2, max_run_s=30, arrivals_s=(0.0,) * 5))
    assert result.max_in_flight == 2
    assert result.num_waited == 3


def test_the_time_of_the_run_ends_it_and_keeps_what_had_come() -> None:
    async def stalls_later(reply: Reply) -> None:
        if reply.number < 3:
            await answer_well(reply)
            return
        await reply.begin()
        await reply.word("begun")
        await asyncio.sleep(60)

    began = time.monotonic()
    with ScriptedServer(stalls_later) as server:
        result = _drive(server, 10, Load(concurrency=2, max_run_s=0.7), timeout_s=60.0)
    assert time.monotonic() - began < 15
    assert sum(outcome.answered for outcome in result.outcomes) == 3
    cut = [outcome for outcome in result.outcomes if outcome.cause == "run_timeout"]
    assert [outcome.text for outcome in cut] == ["begun", "begun"]
    assert "max_run_s" in result.stopped


def test_a_server_killed_in_the_middle_is_given_up_and_the_rest_is_not_sent() -> None:
    with ScriptedServer() as server:

        async def script(reply: Reply) -> None:
            if reply.number == 10:
                server.kill_here()
            else:
                await answer_well(reply)

        server._script = script
        result = _drive(server, 100, Load(concurrency=2, max_run_s=60))
    answered = sum(outcome.answered for outcome in result.outcomes)
    assert 8 <= answered <= 11
    assert len(result.outcomes) < 25
    assert "given up after 8 failures in a row" in result.stopped
    assert {outcome.cause for outcome in result.outcomes} >= {None, "refused"}


def test_single_failures_among_answers_do_not_end_a_run() -> None:
    async def script(reply: Reply) -> None:
        if reply.number % 5 == 4:
            await reply.status(400, {"error": "no"})
        else:
            await answer_well(reply)

    with ScriptedServer(script) as server:
        result = _drive(server, 40, Load(concurrency=3, max_run_s=60))
    assert len(result.outcomes) == 40
    assert sum(outcome.cause == "http_4xx" for outcome in result.outcomes) == 8
    assert result.stopped is None


def test_a_mistake_of_this_client_is_a_failure_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> dict:
        raise RuntimeError("bug")

    monkeypatch.setattr(client_module, "build_body", broken)
    with ScriptedServer() as server:
        result = _drive(server, 3, Load(concurrency=1, max_run_s=60))
    assert [outcome.cause for outcome in result.outcomes] == ["client_error"] * 3


async def _misbehave(reply: Reply, sort: str) -> None:
    if sort.startswith("http"):
        await reply.status(int(sort[-3:]), {"error": sort}, {"Retry-After": "0"})
        return
    await reply.begin()
    if sort == "empty_stream":
        await reply.event("[DONE]")
    elif sort == "malformed_chunk":
        await reply.part("data: {no json}\n\n")
    else:
        await reply.word("half")
    if sort == "dropped_stream":
        await asyncio.sleep(0.02)
        reply.drop()
        return
    if sort == "timeout":
        await asyncio.sleep(30)
    await reply.end()


@pytest.mark.parametrize(("concurrency", "rate"), [(6, None), (0, 200.0)])
def test_every_request_of_a_mixed_load_ends_with_its_own_cause(concurrency: int, rate: float | None) -> None:
    """Good answers and seven sorts of failure at once; none is lost, and none takes another along."""
    sorts = ("good", "http_429", "good", "http_500", "empty_stream", "good", "malformed_chunk", "missing_done", "good",
             "dropped_stream", "good", "timeout", "good", "http_404")  # fmt: skip
    causes = {"good": None, "http_500": "http_5xx", "http_404": "http_4xx"}

    async def script(reply: Reply) -> None:
        sort = sorts[int(reply.body["prompt"].split()[1]) % len(sorts)]
        await (answer_well(reply) if sort == "good" else _misbehave(reply, sort))

    arrivals = tuple(draw_arrivals(56, rate, 0.5, seed=2)) if rate is not None else None
    with ScriptedServer(script) as server:
        result = _drive(server, 56, Load(concurrency, 60, arrivals), timeout_s=1.5)
    assert {outcome.index for outcome in result.outcomes} == set(range(56))
    for outcome in result.outcomes:
        sort = sorts[outcome.index % len(sorts)]
        assert outcome.cause == causes.get(sort, sort), outcome


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_have_the_spread_that_the_burstiness_asks_for(burstiness: float) -> None:
    """The coefficient of variation of a gamma distribution is one over the root of its shape."""
    times = np.array(draw_arrivals(20_000, 5.0, burstiness, seed=1))
    gaps = np.diff(times)
    assert times[-1] == pytest.approx(20_000 / 5.0)
    assert gaps.min() >= 0
    assert gaps.std() / gaps.mean() == pytest.approx(burstiness**-0.5, rel=0.05)


def test_arrivals_depend_on_the_seed_alone() -> None:
    assert draw_arrivals(5, 2.0, 1.0, 3) == draw_arrivals(5, 2.0, 1.0, 3)
    assert draw_arrivals(5, 2.0, 1.0, 3) != draw_arrivals(5, 2.0, 1.0, 4)
    assert draw_arrivals(0, 2.0, 1.0, 3) == []
