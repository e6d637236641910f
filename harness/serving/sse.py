"""Server-sent events out of a byte stream, strictly: what is not an event stream is an error, never skipped.

Follows the parsing rules of the HTML standard (section 9.2.6), with three differences: bytes that are not UTF-8 and
lines that are no field are refused instead of replaced or passed over, and an event that the end of the stream cuts off
from its empty line is handed out by `EventParser.finish`, since servers end a stream right after ``data: [DONE]``.
"""

from __future__ import annotations

import codecs
import re

MAX_EVENT_CHARACTERS = 16 * 1024 * 1024
_FIELDS = ("data", "event", "id", "retry")
_SHOWN_CHARACTERS = 60
_LINE_END = re.compile(r"\r\n|\n|\r")


class MalformedStreamError(ValueError):
    """Bytes that are no event stream, or an event that is no chunk of an answer."""


class EventParser:
    """Takes bytes as they arrive, split anywhere, and returns the data of every event that is complete."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._line: list[str] = []
        self._line_length = 0
        self._data: list[str] = []
        self._data_length = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[str]:
        """Return the data of the events that end in `data`, oldest first; comments and keep-alives give nothing.

        Raises:
            MalformedStreamError: bytes that are not UTF-8, a line that is no field, or an event without end.
        """
        return self._take(self._decode(data, final=False))

    def finish(self) -> list[str]:
        """Return the data of an event that the end of the stream left without its empty line.

        Raises:
            MalformedStreamError: the stream ended inside a character or a field's name.
        """
        events = self._take(self._decode(b"", final=True))
        if self._line:
            self._end_line()
        self._end_event(events)
        return events

    def _decode(self, data: bytes, *, final: bool) -> str:
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise MalformedStreamError(f"bytes that are not UTF-8 ({error.reason})") from error
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        return text

    def _take(self, text: str) -> list[str]:
        events: list[str] = []
        if not text:
            return events
        if self._after_cr:  # the second half of a line end that the network split
            text = text.removeprefix("\n")
            self._after_cr = False
        begin = 0
        for end in _LINE_END.finditer(text):
            self._add(text[begin : end.start()])
            begin = end.end()
            if self._line_length:
                self._end_line()
            else:
                self._end_event(events)
        self._add(text[begin:])
        self._after_cr = text.endswith("\r")
        return events

    def _add(self, text: str) -> None:
        if not text:
            return
        self._line.append(text)
        self._line_length += len(text)
        if self._line_length + self._data_length > MAX_EVENT_CHARACTERS:
            raise MalformedStreamError(f"an event of more than {MAX_EVENT_CHARACTERS} characters")

    def _end_line(self) -> None:
        line = "".join(self._line)
        self._line, self._line_length = [], 0
        if line.startswith(":"):
            return
        name, _, value = line.partition(":")
        if name not in _FIELDS:
            raise MalformedStreamError(f"a line that is no field of an event: {shorten(line)}")
        if name == "data":
            value = value.removeprefix(" ")
            self._data.append(value)
            self._data_length += len(value)

    def _end_event(self, events: list[str]) -> None:
        if self._data:
            events.append("\n".join(self._data))
        self._data, self._data_length = [], 0


def shorten(text: str) -> str:
    """Return the beginning of foreign text, quoted, control characters escaped."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}...")
