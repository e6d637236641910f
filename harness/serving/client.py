"""One request to a server: sent, streamed, tried again where that is allowed, and never longer than its time."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import math
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from harness.core.clock import now_s
from harness.serving import outcome as causes
from harness.serving.outcome import Outcome
from harness.serving.protocol import (
    DONE,
    PATHS,
    Ask,
    Dialect,
    ServerSaidError,
    build_body,
    build_endpoint,
    parse_chunk,
    read_error,
)
from harness.serving.sse import EventParser, MalformedStreamError, shorten

# A wait that a server asks for is kept up to this long; a longer one ends the request.
MAX_RETRY_AFTER_S = 30.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 8.0
_ERROR_BYTES = 4096
_DRAIN_S = 1.0
# What a server sends that took no notice of `stream`, or is none; other types are read, since some name theirs wrongly.
_NO_STREAM = ("application/json", "text/html")
# Shorter than servers keep idle connections, so that none is closed just when a request goes out on it.
_KEEP_ALIVE_S = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server, the model asked of it, how it is spoken to, and the limits of one request."""

    base_url: str
    model: str
    api: str
    timeout_s: float
    max_retries: int
    api_key: str | None = field(default=None, repr=False)
    dialect: Dialect = field(default_factory=Dialect)

    @property
    def url(self) -> str:
        """The address that requests go to."""
        return build_endpoint(self.base_url) + PATHS[self.api]

    @property
    def headers(self) -> dict[str, str]:
        """What goes before every request; holds the key, so it is never shown."""
        headers = {"Accept": "text/event-stream", "Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers


class _TryError(Exception):
    def __init__(self, cause: str, reason: str, *, retry: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.cause, self.reason, self.retry, self.wait_s = cause, reason, retry, wait_s


def open_client() -> httpx.AsyncClient:
    """Return a client without limits of its own on connections or time, and without settings from the environment.

    Time is limited by `answer`; proxies and password files of the environment would put somebody else's delay, or
    secrets, into the requests.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEP_ALIVE_S)
    return httpx.AsyncClient(timeout=None, limits=limits, trust_env=False, follow_redirects=False)  # noqa: S113


async def answer(client: httpx.AsyncClient, target: Target, ask: Ask, result: Outcome) -> None:
    """Send `ask` and fill `result`; it ends answered or with a cause, at most `timeout_s` after it was sent.

    Tried again at most `max_retries` times, after 429, 5xx and connections that failed, and only before any output.
    Cancelling leaves in `result` what had come until then.
    """
    result.sent_s = now_s()
    jitter = random.Random(result.index)
    try:
        async with asyncio.timeout(target.timeout_s):
            while True:
                try:
                    await _try_once(client, target, ask, result)
                except _TryError as failed:
                    if not failed.retry or result.num_tries > target.max_retries or result.output_times_s:
                        result.fail(failed.cause, failed.reason, now_s())
                        return
                    result.retry_causes.append(failed.cause)
                    await _wait(result, failed, jitter)
                else:
                    result.complete()
                    return
    except TimeoutError:
        if result.done_marked:  # only the end of the connection was missing
            result.complete()
            return
        had = len(result.output_times_s)
        before = f" (before: {', '.join(result.retry_causes)})" if result.retry_causes else ""
        text = f"no whole answer within {target.timeout_s:g} s, {had} chunks had come{before}"
        result.fail(causes.TIMEOUT, text, now_s())


async def _wait(result: Outcome, failed: _TryError, jitter: random.Random) -> None:
    """Wait before the next try: as long as the server asks, else twice as long as before, spread by half."""
    backoff_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** (result.num_tries - 1)) * jitter.uniform(0.5, 1.0)
    began = now_s()
    try:
        await asyncio.sleep(backoff_s if failed.wait_s is None else failed.wait_s)
    finally:
        result.waits_s.append((began, now_s()))


async def _try_once(client: httpx.AsyncClient, target: Target, ask: Ask, result: Outcome) -> None:
    result.begin_try()
    # ASCII, so that text which is no valid Unicode still goes out as JSON.
    body = json.dumps(build_body(ask, target.model, target.api, target.dialect)).encode()
    try:
        async with client.stream("POST", target.url, content=body, headers=target.headers) as response:
            result.http_status = response.status_code
            if response.status_code != httpx.codes.OK:
                raise await _refusal(response, target)
            kind = response.headers.get("content-type", "")
            if kind.startswith(_NO_STREAM):
                raise _TryError(causes.NOT_A_STREAM, f"the answer is {shorten(kind)}, not text/event-stream")
            await _read_stream(response, target.api, result)
    except httpx.ConnectError as error:
        raise _TryError(causes.REFUSED, f"no connection: {_explain(error)}", retry=True) from error
    except (httpx.TransportError, httpx.StreamError) as error:
        text = f"the connection broke after {len(result.output_times_s)} chunks: {_explain(error)}"
        raise _TryError(causes.DROPPED, text, retry=True) from error
    except httpx.HTTPError as error:  # an answer that HTTP itself cannot read, such as a broken compression
        raise _TryError(causes.MALFORMED, _explain(error)) from error


async def _read_stream(response: httpx.Response, api: str, result: Outcome) -> None:
    parser = EventParser()
    parts = response.aiter_bytes()
    try:
        async for data in parts:
            arrived_s = now_s()
            for event in parser.feed(data):
                if _take_event(event, api, result, arrived_s):
                    await _drain(parts)
                    return
    except MalformedStreamError as error:
        raise _TryError(causes.MALFORMED, str(error)) from error
    except ServerSaidError as error:
        raise _TryError(causes.SERVER_ERROR, f"the server stopped with {error}") from error
    _end_stream(parser, api, result)


async def _drain(parts: AsyncIterator[bytes]) -> None:
    """Read to the end of the body, so that the connection can be used again; the answer is complete already."""
    with contextlib.suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in parts:
                pass


def _end_stream(parser: EventParser, api: str, result: Outcome) -> None:
    """Judge a stream that ended by itself; some servers send a finish_reason and never ``[DONE]``."""
    try:
        for event in parser.finish():
            if _take_event(event, api, result, now_s()):
                return
    except MalformedStreamError as error:
        text = f"the stream ended inside an event, after {len(result.output_times_s)} chunks ({error})"
        raise _TryError(causes.MISSING_DONE, text) from error
    except ServerSaidError as error:
        raise _TryError(causes.SERVER_ERROR, f"the server stopped with {error}") from error
    if result.last_chunk_s is None:
        raise _TryError(causes.EMPTY, "the stream ended and held no answer")
    if result.finish_reason is None:
        text = f"the stream ended after {len(result.output_times_s)} chunks without [DONE] or a finish_reason"
        raise _TryError(causes.MISSING_DONE, text)


def _take_event(event: str, api: str, result: Outcome, arrived_s: float) -> bool:
    """Add one event to `result`; return whether it was the last."""
    if event.strip() == DONE:
        if result.last_chunk_s is None:
            raise _TryError(causes.EMPTY, "the stream held [DONE] and no answer")
        result.done_marked = True
        return True
    chunk = parse_chunk(event, api)
    if chunk.has_output:
        result.output_times_s.append(arrived_s)
        result.text += chunk.text
    result.finish_reason = chunk.finish_reason or result.finish_reason
    result.usage = chunk.usage or result.usage
    if chunk.has_output or chunk.finish_reason is not None:
        result.last_chunk_s = arrived_s  # the counts and [DONE] that follow are no part of the answer's time
    return False


async def _refusal(response: httpx.Response, target: Target) -> _TryError:
    status = response.status_code
    reason = f"HTTP {status}: {await _read_reason(response, target.api_key)}"
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        cause = causes.HTTP_429 if status == httpx.codes.TOO_MANY_REQUESTS else causes.HTTP_5XX
        wait_s = read_retry_after(response.headers.get("retry-after"))
        if wait_s is not None and wait_s > MAX_RETRY_AFTER_S:
            return _TryError(cause, f"{reason}; it asks to wait {wait_s:.0f} s, longer than {MAX_RETRY_AFTER_S:.0f} s")
        return _TryError(cause, reason, retry=True, wait_s=wait_s)
    is_redirect = httpx.codes.MULTIPLE_CHOICES <= status < httpx.codes.BAD_REQUEST
    return _TryError(causes.HTTP_3XX if is_redirect else causes.HTTP_4XX, reason)


async def _read_reason(response: httpx.Response, api_key: str | None) -> str:
    data = b""
    async for part in response.aiter_bytes():
        data += part
        if len(data) >= _ERROR_BYTES:
            break
    text = hide_key(data[:_ERROR_BYTES].decode(errors="replace"), api_key)
    try:
        return read_error(json.loads(text))
    except (ValueError, RecursionError):
        return shorten(text) if text.strip() else response.reason_phrase


def hide_key(text: str, api_key: str | None) -> str:
    """Return what a server said without the key, which some repeat when they refuse it."""
    return text.replace(api_key, "(the key)") if api_key else text


def read_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (a number or a date), ``None`` where it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)


def _explain(error: Exception) -> str:
    return str(error) or type(error).__name__
