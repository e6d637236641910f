"""An OpenAI-compatible server in this process whose misbehaviour is scripted, down to the bytes and when they come."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self

MODEL = "scripted"


class Reply:
    """Writes one HTTP response; `number` counts the requests for answers from 0."""

    def __init__(self, writer: asyncio.StreamWriter, number: int, body: dict[str, Any]) -> None:
        self._writer = writer
        self.number = number
        self.body = body

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def status(self, code: int, content: Any = None, headers: dict[str, str] | None = None) -> None:
        """Answer with a status and JSON."""
        data = json.dumps(content).encode()
        lines = [f"HTTP/1.1 {code} Scripted", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    async def begin(self, kind: str = "text/event-stream") -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await self.send(head.encode())

    async def part(self, data: bytes | str) -> None:
        raw = data.encode() if isinstance(data, str) else data
        await self.send(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    async def event(self, content: Any) -> None:
        await self.part(f"data: {content if isinstance(content, str) else json.dumps(content)}\n\n")

    async def word(self, text: str, finish: str | None = None) -> None:
        """Send one chunk of a completion, or of a chat where that was asked."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        choice |= {"delta": {"content": text}} if "messages" in self.body else {"text": text}
        await self.event({"choices": [choice]})

    async def usage(self, input_tokens: int, output_tokens: int) -> None:
        await self.event({"choices": [], "usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}})

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    def drop(self) -> None:
        """Break the connection at once."""
        self._writer.transport.abort()


Script = Callable[[Reply], Awaitable[None]]


async def answer_well(reply: Reply, words: tuple[str, ...] = ("one", " two", "\n"), gap_s: float = 0.0) -> None:
    """Answer as a good server does: a role, words, a finish_reason, usage, [DONE]."""
    await reply.begin()
    if "messages" in reply.body:
        await reply.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for word in words:
        await asyncio.sleep(gap_s)
        await reply.word(word)
    await reply.word("", "stop")
    await reply.usage(7, len(words))
    await reply.event("[DONE]")
    await reply.end()


class ScriptedServer:
    """Serves `script` from a thread; `bodies` are the requests for answers. Use it as a context manager."""

    def __init__(self, script: Script = answer_well, models: tuple[str, ...] | None = (MODEL,)) -> None:
        self._script = script
        self._models = models
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.base_url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def kill(self) -> None:
        """Stop listening and break every connection, as a killed process does."""
        self._loop.call_soon_threadsafe(self.kill_here)

    def kill_here(self) -> None:
        """Do the same from inside a script."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._handle, "127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while not writer.transport.is_closing():
                await self._handle_one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _handle_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if first.startswith("GET"):
            reply = Reply(writer, -1, {})
            if self._models is None:
                await reply.status(404, {"detail": "Not Found"})
            else:
                await reply.status(200, {"data": [{"id": name} for name in self._models]})
            return
        body = json.loads(raw)
        self.headers.append(headers)
        self.bodies.append(body)
        await self._script(Reply(writer, len(self.bodies) - 1, body))
