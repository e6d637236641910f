"""Puts the load of a run on a server, closed loop or open loop, and brings back every outcome within the run's time.

Closed loop: `concurrency` requests are under way; the next is sent when one has ended. Open loop: requests are sent
when they arrive, whatever the answers do; with a `concurrency` they wait for a place, which is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import httpx

from harness.core.clock import now_s
from harness.serving import outcome as causes
from harness.serving.client import Target, answer, open_client
from harness.serving.outcome import Outcome
from harness.serving.protocol import Ask

# A server that fails so many requests in a row, none answered between, is not asked any more.
GIVE_UP_AFTER = 8
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """`arrivals_s` (from the start) makes an open loop; `concurrency` 0 is no limit; `max_run_s` limits the whole."""

    concurrency: int
    max_run_s: float
    arrivals_s: tuple[float, ...] | None = None

    @property
    def give_up_after(self) -> int:
        """How many failures in a row end the run."""
        return max(GIVE_UP_AFTER, 2 * self.concurrency)


@dataclass(slots=True)
class LoadResult:
    """What happened between `begin_s` and `end_s` (monotonic): outcomes in the order of sending, failures among them.

    `stopped` says why sending ended before the last request. `lateness_s` is how much later than planned the client was
    ready to send each request of an open loop; `num_waited` requests then waited for a place.
    """

    begin_s: float
    end_s: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    num_planned: int = 0
    stopped: str | None = None
    max_in_flight: int = 0
    lateness_s: list[float] = field(default_factory=list)
    num_waited: int = 0


async def drive(
    target: Target, asks: Sequence[Ask], load: Load, on_end: Callable[[int], None] | None = None
) -> LoadResult:
    """Send `asks` under `load`; return when all have ended, the server is given up, or the time is over.

    `on_end` is told how many requests have ended, after each.
    """
    driver = _Driver(target, asks, load, on_end)
    client = open_client()
    try:
        await driver.run(client)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await client.aclose()
    return driver.result


class _Driver:
    def __init__(
        self, target: Target, asks: Sequence[Ask], load: Load, on_end: Callable[[int], None] | None = None
    ) -> None:
        self._on_end = on_end
        self._num_ended = 0
        self._target = target
        self._asks = asks
        self._load = load
        self._in_flight = 0
        self._failed_in_row = 0
        self._stop = asyncio.Event()
        self.result = LoadResult(now_s(), num_planned=len(asks))

    async def run(self, client: httpx.AsyncClient) -> None:
        sending = asyncio.create_task(self._send_all(client))
        stopping = asyncio.create_task(self._stop.wait())
        self.result.begin_s = now_s()
        try:
            await asyncio.wait((sending, stopping), timeout=self._load.max_run_s, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and self.result.stopped is None:
                self.result.stopped = "the run's time was over (server.max_run_s)"
        finally:
            for task in (sending, stopping):
                task.cancel()
            ended = await asyncio.gather(sending, stopping, return_exceptions=True)
            self.result.end_s = now_s()
        if isinstance(ended[0], Exception):
            raise ended[0]

    async def _send_all(self, client: httpx.AsyncClient) -> None:
        async with asyncio.TaskGroup() as group:
            if self._load.arrivals_s is None:
                rest = iter(enumerate(self._asks))
                for _ in range(min(self._load.concurrency, len(self._asks))):
                    group.create_task(self._work(client, rest))
                return
            places = asyncio.Semaphore(self._load.concurrency or len(self._asks) or 1)
            for index, (ask, arrival_s) in enumerate(zip(self._asks, self._load.arrivals_s, strict=True)):
                due_s = self.result.begin_s + arrival_s
                await asyncio.sleep(max(0.0, due_s - now_s()))
                self.result.lateness_s.append(now_s() - due_s)
                group.create_task(self._take_place(client, places, index, ask))

    async def _work(self, client: httpx.AsyncClient, rest: Iterator[tuple[int, Ask]]) -> None:
        for index, ask in rest:
            if self._stop.is_set():
                return
            await self._answer(client, index, ask)

    async def _take_place(self, client: httpx.AsyncClient, places: asyncio.Semaphore, index: int, ask: Ask) -> None:
        self.result.num_waited += places.locked()
        async with places:
            if self._stop.is_set():
                return
            await self._answer(client, index, ask)

    async def _answer(self, client: httpx.AsyncClient, index: int, ask: Ask) -> None:
        result = Outcome(index)
        self.result.outcomes.append(result)
        self._in_flight += 1
        self.result.max_in_flight = max(self.result.max_in_flight, self._in_flight)
        try:
            await answer(client, self._target, ask, result)
        except asyncio.CancelledError:
            cause = causes.RUN_TIMEOUT if not self._stop.is_set() else causes.GIVEN_UP
            why = self.result.stopped or "the run was interrupted"
            result.fail(cause, f"{why}; {len(result.output_times_s)} chunks had come", now_s())
            raise
        except Exception as error:  # noqa: BLE001 - one request that goes wrong here must not take the others along
            result.fail(causes.CLIENT_ERROR, f"{type(error).__name__}: {error}", now_s())
        finally:
            self._in_flight -= 1
        self._count(result)

    def _count(self, result: Outcome) -> None:
        self._num_ended += 1
        if self._on_end is not None:
            self._on_end(self._num_ended)
        self._failed_in_row = 0 if result.cause is None else self._failed_in_row + 1
        is_over = self._stop.is_set() or len(self.result.outcomes) == len(self._asks)
        if self._failed_in_row >= self._load.give_up_after and not is_over:
            self.result.stopped = (
                f"the server was given up after {self._failed_in_row} failures in a row, the last: {result.reason}"
            )
            self._stop.set()
