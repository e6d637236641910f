"""The load of a calibration: matrix products on one GPU, on and off at times that are known."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import torch

from harness.core.clock import now_s
from harness.core.errors import SensorError
from harness.measure.loadplan import Step
from harness.measure.trace import Switch

# One product takes at most this long (s), so that the load ends on time.
_BURST_S = 0.001
_SIZES = (8192, 6144, 4096, 3072, 2048, 1024)
# Products handed over before the oldest must have ended: the GPU never waits, and the queue is short.
_QUEUED = 3


class LoadSource(Protocol):
    """A load on one GPU that can be switched on and off."""

    def prepare(self) -> None:
        """Do what takes time once (contexts, memory, first kernels), so that steps begin on time."""
        ...

    def play(self, steps: Sequence[Step], begin_s: float) -> list[Switch]:
        """Play `steps` one after the other from `begin_s` (s, monotonic); return when the load really switched.

        Returns when the last step is over; planned times do not drift when one step ends late.
        """
        ...

    def close(self) -> None:
        """Give back memory."""
        ...


def require_cuda() -> None:
    """Raise `SensorError`, one line that says what is wrong, unless torch can run on a CUDA device."""
    if not torch.cuda.is_available():
        raise SensorError(
            f"calibration needs a load on the GPU, and torch {torch.__version__} sees no CUDA device; install a torch "
            "with CUDA (pytorch.org/get-started). Windows work without a calibration, by documented timing."
        )


class TorchLoad:
    """Matrix products on the CUDA device of an index, in bf16 where the GPU has it."""

    def __init__(self, index: int) -> None:
        self._device = torch.device("cuda", index)
        self._a = self._b = self._out = torch.empty(0)
        self._events: deque[torch.cuda.Event] = deque()
        self._product_s = 0.0

    def prepare(self) -> None:
        """Find the largest product of at most a millisecond and run it a few times."""
        require_cuda()
        major = torch.cuda.get_device_capability(self._device)[0]
        dtype = torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else torch.float32
        for size in _SIZES:
            self._a, self._b = (torch.randn(size, size, device=self._device, dtype=dtype) for _ in range(2))
            self._out = torch.empty_like(self._a)
            self._product_s = self._time_product()
            if self._product_s <= _BURST_S:
                break

    def play(self, steps: Sequence[Step], begin_s: float) -> list[Switch]:
        """Play the steps; a busy step ends when its last product has."""
        switches = []
        for step in steps:
            _wait_until(begin_s)
            torch.cuda.synchronize(self._device)
            switches.append(Switch(now_s(), step.busy))
            begin_s += step.duration_s
            if step.busy:
                self._work_until(begin_s)
            else:
                _wait_until(begin_s)
        torch.cuda.synchronize(self._device)
        return switches

    def close(self) -> None:
        """Give back the matrices."""
        self._a = self._b = self._out = torch.empty(0)
        torch.cuda.empty_cache()

    def _work_until(self, end_s: float) -> None:
        """Keep the GPU busy; the products in the queue when it stops end at `end_s` or at most one later."""
        while now_s() + len(self._events) * self._product_s < end_s:
            torch.matmul(self._a, self._b, out=self._out)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._device))
            self._events.append(event)
            if len(self._events) >= _QUEUED:
                self._events.popleft().synchronize()
        self._events.clear()
        torch.cuda.synchronize(self._device)

    def _time_product(self, repeats: int = 20) -> float:
        for count in (3, repeats):
            torch.cuda.synchronize(self._device)
            begin_s = now_s()
            for _ in range(count):
                torch.matmul(self._a, self._b, out=self._out)
            torch.cuda.synchronize(self._device)
        return (now_s() - begin_s) / repeats


def _wait_until(time_s: float) -> None:
    """Sleep, and spin the last moment: a sleep alone ends late."""
    while (left_s := time_s - now_s()) > 0:
        if left_s > 0.002:
            time.sleep(left_s - 0.001)
