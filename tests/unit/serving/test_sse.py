"""Event streams: every legal way of writing them is read, everything else is refused."""

from __future__ import annotations

import json

import pytest

from harness.serving.protocol import ServerSaidError, Usage, parse_chunk
from harness.serving.sse import EventParser, MalformedStreamError


def _parse(*parts: bytes) -> list[str]:
    parser = EventParser()
    return [event for part in parts for event in parser.feed(part)] + parser.finish()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_works(end: bytes) -> None:
    assert _parse(b"data: a", end, end, b"data:b", end, end) == ["a", "b"]


def test_a_line_end_split_by_the_network_is_one_line_end() -> None:
    assert _parse(b"data: a\r", b"\n\r", b"\ndata: b\r", b"\n", b"\r\n") == ["a", "b"]


def test_a_character_split_by_the_network_is_whole_again() -> None:
    raw = "data: naïve 火\n\n".encode()
    assert _parse(*(raw[i : i + 1] for i in range(len(raw)))) == ["naïve 火"]


def test_comments_keep_alives_and_other_fields_give_nothing() -> None:
    assert _parse(b": ping\n\nevent: x\nid: 3\nretry: 10\n\n\n:\n\ndata: a\n\n") == ["a"]


def test_several_data_lines_are_one_event_and_one_space_goes() -> None:
    assert _parse(b"data: a\ndata:  b\ndata\n\n") == ["a\n b\n"]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert _parse(b"\xef\xbb\xbfdata: a\n\n") == ["a"]


def test_an_event_without_its_empty_line_comes_at_the_end() -> None:
    assert _parse(b"data: [DONE]") == ["[DONE]"]


@pytest.mark.parametrize("raw", [b"<html>\n", b"data: \xff\xfe\n\n", b"\x00\x01\x02\n", b"dataa: x\n\n"])
def test_what_is_no_event_stream_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedStreamError):
        EventParser().feed(raw)


def test_a_stream_that_ends_inside_a_character_is_refused() -> None:
    parser = EventParser()
    parser.feed("data: é".encode()[:-1])
    with pytest.raises(MalformedStreamError):
        parser.finish()


def test_an_event_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.serving.sse.MAX_EVENT_CHARACTERS", 100)
    parser = EventParser()
    with pytest.raises(MalformedStreamError, match="more than 100"):
        parser.feed(b"data: 0123456789\n" * 20)


def test_chunks_of_both_apis_are_read() -> None:
    text = parse_chunk('{"choices": [{"text": "a", "finish_reason": null}], "usage": null}', "completions")
    assert (text.text, text.finish_reason, text.usage) == ("a", None, None)
    chat = parse_chunk('{"choices": [{"delta": {"role": "assistant"}}]}', "chat")
    assert not chat.has_output
    thought = parse_chunk('{"choices": [{"delta": {"content": null, "reasoning_content": "hm"}}]}', "chat")
    assert (thought.text, thought.reasoning, thought.has_output) == ("", "hm", True)
    usage = parse_chunk('{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}', "chat")
    assert usage.usage == Usage(3, 2)


@pytest.mark.parametrize(
    "data",
    ["", "nonsense", "[]", "{}", '{"choices": 3}', '{"choices": [3]}', '{"choices": [{"text": 5}]}',
     '{"choices": [{"text": "a"}, {"text": "b"}]}', '{"choices": [{"delta": {"content": "a"}}]}',
     '{"choices": [{"text": "a", "finish_reason": 1}]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_chunk_is_refused(data: str) -> None:
    with pytest.raises(MalformedStreamError):
        parse_chunk(data, "completions")


@pytest.mark.parametrize("error", ["boom", {"message": "boom"}, {"error": {"message": "boom"}}])
def test_an_error_of_the_server_is_told_in_its_words(error: object) -> None:
    with pytest.raises(ServerSaidError, match="boom"):
        parse_chunk(json.dumps({"error": error}), "completions")
