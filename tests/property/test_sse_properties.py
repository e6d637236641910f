"""Event streams: how the network cuts the bytes changes nothing, and garbage never gets through as an event."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.serving.sse import EventParser, MalformedStreamError

_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=30)
_EVENTS = st.lists(st.lists(_TEXT, min_size=1, max_size=3), max_size=6)
_COMMENTS = st.lists(_TEXT, max_size=2)


def _cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[begin:end] for begin, end in itertools.pairwise(edges)]


def _read(parts: list[bytes]) -> list[str]:
    parser = EventParser()
    return [event for part in parts for event in parser.feed(part)] + parser.finish()


@given(_EVENTS, _COMMENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 10_000), max_size=12))
def test_events_come_out_as_they_went_in_however_the_bytes_are_cut(
    events: list[list[str]], comments: list[str], end: str, places: list[int]
) -> None:
    lines = [f": {comment}{end}" for comment in comments]
    for event in events:
        lines += [f"data: {line}{end}" for line in event] + [end]
    raw = "".join(lines).encode()
    assert _read(_cut(raw, places)) == ["\n".join(event) for event in events]


@given(st.binary(max_size=200), st.lists(st.integers(0, 1000), max_size=6))
def test_any_bytes_give_the_same_events_or_the_same_refusal_however_they_are_cut(raw: bytes, places: list[int]) -> None:
    results: list[object] = []
    for parts in ([raw], _cut(raw, places)):
        try:
            results.append(_read(parts))
        except MalformedStreamError:
            results.append("refused")
    assert results[0] == results[1]
