"""What is sent to an OpenAI-compatible server and what one chunk of its answer says, for completions and chat alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from harness.serving.sse import MalformedStreamError, shorten

DONE = "[DONE]"
# No context is as long; a count above it is none.
_MAX_TOKENS = 10**9
PATHS = {"completions": "/completions", "chat": "/chat/completions"}


class ServerSaidError(Exception):
    """The server told of an error of its own in the middle of a stream."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which optional fields of a request the server takes; some refuse every field that they do not know."""

    stream_options: bool = True
    seed: bool = True


# From the most that a server may know to the least, tried in this order.
DIALECTS = (Dialect(), Dialect(stream_options=False), Dialect(stream_options=False, seed=False))


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: greedy, with at most `max_tokens` new tokens, ended by `stop` where it is not empty."""

    prompt: str
    max_tokens: int
    stop: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: `text` belongs to the answer, `reasoning` was made on the way to it and is not judged."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def has_output(self) -> bool:
        """Whether the chunk carries something that the model wrote."""
        return bool(self.text or self.reasoning)


def build_endpoint(base_url: str) -> str:
    """Return the address that ends in ``/v1``, whether or not `base_url` names it."""
    root = base_url.rstrip("/")
    return root if root.endswith("/v1") else f"{root}/v1"


def build_body(ask: Ask, model: str, api: str, dialect: Dialect) -> dict[str, Any]:
    """Return the JSON of one streaming request, temperature 0."""
    body: dict[str, Any] = {"model": model, "temperature": 0, "max_tokens": ask.max_tokens, "stream": True}
    if api == "chat":
        body["messages"] = [{"role": "user", "content": ask.prompt}]
    else:
        body["prompt"] = ask.prompt
    if ask.stop:
        body["stop"] = [ask.stop]
    if dialect.seed:
        body["seed"] = ask.seed
    if dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    return body


def parse_chunk(data: str, api: str) -> Chunk:
    """Return what the data of one event says.

    Raises:
        MalformedStreamError: it is no chunk of this API.
        ServerSaidError: it is an error message of the server.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedStreamError(f"a chunk that is no JSON: {shorten(data)}") from None
    if not isinstance(value, dict):
        raise MalformedStreamError(f"a chunk that is no object: {shorten(data)}")
    if value.get("error") is not None:
        raise ServerSaidError(read_error(value))
    choices = value.get("choices")
    usage = _read_usage(value.get("usage"))
    if choices is None and usage is not None:
        choices = []
    if not isinstance(choices, list):
        raise MalformedStreamError(f"a chunk without choices: {shorten(data)}")
    if not choices:
        return Chunk(usage=usage)
    choice = choices[0]
    if len(choices) > 1 or not isinstance(choice, dict):
        raise MalformedStreamError(f"a chunk with choices that were not asked for: {shorten(data)}")
    text, reasoning = _read_text(choice, api, data)
    finish = choice.get("finish_reason")
    if not isinstance(finish, str | None):
        raise MalformedStreamError(f"a finish_reason that is no text: {shorten(data)}")
    return Chunk(text, reasoning, finish, usage)


def read_error(value: Any) -> str:
    """Return the message of an error in JSON, however the server wraps it, shortened."""
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(key) is not None:
            value = value[key]
    return shorten(value if isinstance(value, str) else json.dumps(value))


def _read_text(choice: dict[str, Any], api: str, data: str) -> tuple[str, str]:
    if api == "chat":
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            raise MalformedStreamError(f"a chunk of a chat without delta: {shorten(data)}")
        found = (delta.get("content"), delta.get("reasoning_content") or delta.get("reasoning"))
    else:
        if "text" not in choice and "finish_reason" not in choice:
            raise MalformedStreamError(f"a chunk of a completion without text: {shorten(data)}")
        found = (choice.get("text"), None)
    for part in found:
        if not isinstance(part, str | None):
            raise MalformedStreamError(f"output that is no text: {shorten(data)}")
    return found[0] or "", found[1] or ""


def _read_usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    counts = value.get("prompt_tokens"), value.get("completion_tokens")
    numbers = [count for count in counts if isinstance(count, int) and not isinstance(count, bool)]
    believable = len(numbers) == len(counts) and all(0 <= number <= _MAX_TOKENS for number in numbers)
    return Usage(*numbers) if believable else None
