"""One request: answered, or failed with its own cause, tried again only where nothing had come, in time in any case."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from harness.serving import client as client_module
from harness.serving.client import Target, answer, open_client, read_retry_after
from harness.serving.outcome import Outcome
from harness.serving.protocol import Ask, Usage
from tests.scripted_server import MODEL, Reply, Script, ScriptedServer, answer_well

ASK = Ask("What?", max_tokens=5, stop="\n", seed=3)


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_BACKOFF_S", 0.01)


def _ask(base_url: str, **settings: Any) -> Outcome:
    values = {"model": MODEL, "api": "completions", "timeout_s": 10.0, "max_retries": 2, **settings}
    result = Outcome(0)

    async def run() -> None:
        async with open_client() as client:
            await answer(client, Target(base_url=base_url, **values), ASK, result)

    asyncio.run(run())
    return result


def _ask_script(script: Script, **settings: Any) -> tuple[Outcome, ScriptedServer]:
    with ScriptedServer(script) as server:
        return _ask(server.base_url, **settings), server


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_good_answer_has_text_tokens_and_times(api: str) -> None:
    result, server = _ask_script(lambda reply: answer_well(reply, gap_s=0.02), api=api)
    assert result.answered, result.reason
    assert (result.text, result.usage, result.finish_reason) == ("one two\n", Usage(7, 3), "stop")
    assert len(result.output_times_s) == 3
    assert result.sent_s < result.output_times_s[0] < result.output_times_s[2] <= result.end_s
    assert result.tpot_s == pytest.approx((result.e2e_s - result.ttft_s) / 2)
    assert result.done_marked
    (body,) = server.bodies
    assert (body["temperature"], body["seed"], body["stop"], body["max_tokens"]) == (0, 3, ["\n"], 5)
    assert body["stream_options"] == {"include_usage": True}
    assert body.get("prompt") == ("What?" if api == "completions" else None)


def test_the_first_token_is_the_first_output_that_is_not_empty() -> None:
    async def script(reply: Reply) -> None:
        await reply.begin()
        await reply.word("")
        await asyncio.sleep(0.1)
        await reply.word("a")
        await reply.word("", "length")
        await reply.event("[DONE]")
        await reply.end()

    result, _ = _ask_script(script)
    assert len(result.output_times_s) == 1
    assert result.ttft_s >= 0.1
    assert (result.num_output_tokens, result.usage, result.tpot_s) == (1, None, None)


def test_an_answer_may_be_empty_and_a_stream_may_end_without_done_where_it_says_finished() -> None:
    async def script(reply: Reply) -> None:
        await reply.begin()
        await reply.word("", "stop")
        await reply.end()

    result, _ = _ask_script(script)
    assert result.answered
    assert (result.text, result.ttft_s, result.done_marked) == ("", None, False)


def test_the_connection_is_used_again_after_a_whole_answer() -> None:
    connections = []

    async def script(reply: Reply) -> None:
        connections.append(reply._writer)
        await answer_well(reply)

    async def run(base_url: str) -> None:
        async with open_client() as client:
            for index in range(3):
                await answer(client, Target(base_url, MODEL, "chat", 5.0, 0), ASK, Outcome(index))

    with ScriptedServer(script) as server:
        asyncio.run(run(server.base_url))
    assert len(connections) == 3
    assert len(set(connections)) == 1


async def _garbage(reply: Reply) -> None:
    await reply.begin()
    await reply.part(b"\x00\xff<!garbage>\n\n")
    await reply.end()


async def _no_json(reply: Reply) -> None:
    await reply.begin()
    await reply.word("a")
    await reply.event("{never closed")
    await reply.end()


async def _no_end(reply: Reply) -> None:
    await reply.begin()
    await reply.word("a")
    await reply.end()


async def _cut_chunk(reply: Reply) -> None:
    await reply.begin()
    await reply.word("a")
    await reply.part('data: {"choi')
    await reply.end()


async def _nothing(reply: Reply) -> None:
    await reply.begin()
    await reply.end()


async def _only_done(reply: Reply) -> None:
    await reply.begin()
    await reply.event("[DONE]")
    await reply.end()


async def _drop_after_a_word(reply: Reply) -> None:
    await reply.begin()
    await reply.word("a")
    await asyncio.sleep(0.02)
    reply.drop()


async def _error_inside(reply: Reply) -> None:
    await reply.begin()
    await reply.word("a")
    await reply.event({"error": {"message": "out of memory"}})
    await reply.end()


async def _json_instead(reply: Reply) -> None:
    await reply.status(200, {"choices": [{"text": "a"}]})


async def _bad_request(reply: Reply) -> None:
    await reply.status(400, {"error": {"message": "no such field"}})


async def _moved(reply: Reply) -> None:
    await reply.status(307, {}, {"Location": "http://127.0.0.1:1/"})


@pytest.mark.parametrize(
    ("script", "cause", "words"),
    [
        (_garbage, "malformed_chunk", "UTF-8"),
        (_no_json, "malformed_chunk", "no JSON"),
        (_no_end, "missing_done", "after 1 chunks without"),
        (_cut_chunk, "missing_done", "inside an event"),
        (_nothing, "empty_stream", "no answer"),
        (_only_done, "empty_stream", "no answer"),
        (_drop_after_a_word, "dropped_stream", "after 1 chunks"),
        (_error_inside, "server_error", "out of memory"),
        (_json_instead, "not_a_stream", "application/json"),
        (_bad_request, "http_4xx", "no such field"),
        (_moved, "http_3xx", "307"),
    ],
)
def test_each_failure_has_its_own_cause_and_is_not_tried_again(script: Script, cause: str, words: str) -> None:
    result, server = _ask_script(script)
    assert (result.answered, result.cause) == (False, cause)
    assert words in result.reason
    assert len(server.bodies) == result.num_tries == 1


def test_a_connection_that_breaks_before_any_token_is_tried_again() -> None:
    async def script(reply: Reply) -> None:
        if reply.number == 0:
            reply.drop()
        elif reply.number == 1:
            await reply.begin()
            await reply.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
            reply.drop()
        else:
            await answer_well(reply)

    result, _ = _ask_script(script, api="chat")
    assert result.answered
    assert (result.num_tries, result.retry_causes) == (3, ["dropped_stream", "dropped_stream"])
    assert result.text == "one two\n"


@pytest.mark.parametrize(("status", "cause"), [(429, "http_429"), (500, "http_5xx"), (503, "http_5xx")])
def test_429_and_5xx_are_tried_again_up_to_the_limit(status: int, cause: str) -> None:
    async def script(reply: Reply) -> None:
        await reply.status(status, {"detail": "busy"})

    result, server = _ask_script(script)
    assert (result.cause, result.http_status, result.num_tries) == (cause, status, 3)
    assert len(server.bodies) == 3
    assert result.retry_causes == [cause, cause]
    assert "busy" in result.reason


def test_retry_after_is_kept_and_a_long_one_ends_the_request() -> None:
    async def script(reply: Reply) -> None:
        if reply.number == 0:
            await reply.status(429, {}, {"Retry-After": "0.3"})
        else:
            await answer_well(reply)

    async def forever(reply: Reply) -> None:
        await reply.status(429, {}, {"Retry-After": "3600"})

    result, _ = _ask_script(script)
    assert result.answered
    (wait,) = result.waits_s
    assert wait[1] - wait[0] >= 0.3
    result, _ = _ask_script(forever)
    assert (result.cause, result.num_tries) == ("http_429", 1)
    assert "3600 s" in result.reason


def test_retry_after_is_a_number_or_a_date() -> None:
    assert read_retry_after("2.5") == 2.5
    assert read_retry_after("-1") == 0
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert read_retry_after("soon") is None
    assert read_retry_after("nan") is None
    assert read_retry_after(None) is None


def test_nobody_listening_is_refused_after_all_tries() -> None:
    with ScriptedServer() as server:
        pass
    result = _ask(server.base_url)
    assert (result.cause, result.num_tries, result.http_status) == ("refused", 3, None)


def test_a_stall_in_the_middle_ends_at_the_time_limit_with_what_had_come() -> None:
    async def script(reply: Reply) -> None:
        await reply.begin()
        await reply.word("a")
        await asyncio.sleep(60)

    began = time.monotonic()
    result, _ = _ask_script(script, timeout_s=0.5)
    assert time.monotonic() - began < 10
    assert (result.cause, result.text) == ("timeout", "a")
    assert "1 chunks had come" in result.reason


def test_a_whole_answer_stands_though_the_connection_never_ends() -> None:
    async def script(reply: Reply) -> None:
        await reply.begin()
        await reply.word("a", "stop")
        await reply.event("[DONE]")
        await asyncio.sleep(60)

    result, _ = _ask_script(script, timeout_s=0.5)
    assert (result.answered, result.text, result.end_s) == (True, "a", result.last_chunk_s)


def test_tries_and_waits_together_keep_to_the_time_limit() -> None:
    async def script(reply: Reply) -> None:
        await reply.status(503, {}, {"Retry-After": "5"})

    result, _ = _ask_script(script, timeout_s=0.5)
    assert result.cause == "timeout"
    assert "before: http_5xx" in result.reason


def test_the_key_goes_into_the_header_and_nowhere_else() -> None:
    result, server = _ask_script(answer_well, api_key="secret-key")
    assert server.headers[0]["authorization"] == "Bearer secret-key"
    assert "secret-key" not in repr(result)
    assert "secret-key" not in repr(Target("http://x", MODEL, "chat", 1.0, 0, api_key="secret-key"))


def test_text_that_is_no_unicode_is_sent_all_the_same() -> None:
    async def run(base_url: str) -> Outcome:
        result = Outcome(0)
        async with open_client() as client:
            await answer(client, Target(base_url, MODEL, "completions", 5.0, 0), Ask("a\udcffb", 3), result)
        return result

    with ScriptedServer() as server:
        assert asyncio.run(run(server.base_url)).answered
    assert server.bodies[0]["prompt"] == "a\udcffb"


def test_a_character_whose_halves_came_in_two_chunks_is_one_and_a_lone_half_is_replaced() -> None:
    async def script(reply: Reply) -> None:
        await answer_well(reply, ("a\ud83d", "\ude00b", "\udc80\n"))  # JSON writes them as escapes

    result, _ = _ask_script(script)
    assert result.answered, result.reason
    assert result.text == "a\U0001f600b\ufffd\n"
    assert len(result.output_times_s) == 3


@pytest.mark.parametrize("count", [-1, 10**400, True, "7", None])
def test_a_count_of_tokens_that_cannot_be_is_none(count: Any) -> None:
    async def script(reply: Reply) -> None:
        await reply.begin()
        await reply.word("7", "stop")
        await reply.event({"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 1}})
        await reply.event("[DONE]")
        await reply.end()

    result, _ = _ask_script(script)
    assert result.answered, result.reason
    assert result.usage is None
