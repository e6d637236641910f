"""What came of one request: every time that matters on the monotonic clock, the text, or the cause of its failure."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.serving.protocol import Usage

# Causes of failure, as they are counted in a record.
TIMEOUT = "timeout"  # the request's own time ran out
RUN_TIMEOUT = "run_timeout"  # the run's time ran out while it was under way
GIVEN_UP = "given_up"  # under way when the run gave the server up
REFUSED = "refused"  # no connection came about
DROPPED = "dropped_stream"  # the connection broke before the answer was complete
MALFORMED = "malformed_chunk"  # the answer is no event stream, or a chunk of it is no chunk
NOT_A_STREAM = "not_a_stream"  # an answer in another format than the one that was asked for
MISSING_DONE = "missing_done"  # the stream ended without [DONE] and without a finish_reason
EMPTY = "empty_stream"  # the stream ended well and held nothing
SERVER_ERROR = "server_error"  # an error message inside the stream
CLIENT_ERROR = "client_error"  # this client itself went wrong
HTTP_429 = "http_429"
HTTP_3XX, HTTP_4XX, HTTP_5XX = "http_3xx", "http_4xx", "http_5xx"
# Causes after which a server may be gone.
CONNECTION_CAUSES = (REFUSED, DROPPED, TIMEOUT)


def join_surrogates(text: str) -> str:
    """Return text in which halves of a character that came in two chunks are one, and U+FFFD stands for a lone half."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(slots=True)
class Outcome:
    """One request from `sent_s` (its first try) to `end_s`; filled while the answer streams in, so never lost.

    `end_s` stands once it is answered (the arrival of the last chunk of the answer itself, `last_chunk_s`) or failed.
    `output_times_s` are the arrivals of chunks with output; `text` is the answer, without reasoning. `done_marked` says
    whether the stream ended with ``[DONE]``. `waits_s` are the times (begin, end) between tries, when nothing was
    under way. `retry_causes` are the causes of the tries before the last.
    """

    index: int
    sent_s: float = 0.0
    end_s: float | None = None
    last_chunk_s: float | None = None
    text: str = ""
    output_times_s: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    done_marked: bool = False
    num_tries: int = 0
    waits_s: list[tuple[float, float]] = field(default_factory=list)
    retry_causes: list[str] = field(default_factory=list)
    http_status: int | None = None
    cause: str | None = None
    reason: str | None = None

    @property
    def answered(self) -> bool:
        """Whether a whole answer came."""
        return self.end_s is not None and self.cause is None

    @property
    def ttft_s(self) -> float | None:
        """Seconds from sending to the first output; ``None`` where nothing was put out."""
        return self.output_times_s[0] - self.sent_s if self.output_times_s else None

    @property
    def e2e_s(self) -> float | None:
        """Seconds from sending to the end of the answer, or to the failure."""
        return None if self.end_s is None else self.end_s - self.sent_s

    @property
    def itl_s(self) -> list[float]:
        """Gaps between outputs in seconds."""
        return [after - before for before, after in zip(self.output_times_s, self.output_times_s[1:], strict=False)]

    @property
    def num_output_tokens(self) -> int:
        """Tokens that were put out: by the server's usage, else chunks with output."""
        return self.usage.output_tokens if self.usage is not None else len(self.output_times_s)

    @property
    def tpot_s(self) -> float | None:
        """(E2E - TTFT) / (output tokens - 1) in seconds; ``None`` for fewer than two tokens."""
        if self.ttft_s is None or self.e2e_s is None or self.num_output_tokens < 2:
            return None
        return (self.e2e_s - self.ttft_s) / (self.num_output_tokens - 1)

    def begin_try(self) -> None:
        """Count a try and forget what the one before said; there was no output in it."""
        self.num_tries += 1
        self.http_status = self.last_chunk_s = self.finish_reason = self.usage = None
        self.done_marked = False

    def complete(self) -> None:
        """End the request with the answer that has come."""
        self.text = join_surrogates(self.text)
        self.end_s = self.last_chunk_s

    def fail(self, cause: str, reason: str, at_s: float) -> None:
        """End the request without an answer."""
        self.cause, self.reason, self.end_s = cause, reason, at_s
