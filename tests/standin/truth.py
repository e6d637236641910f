"""What the stand-in NVML really drew, asked of the same library that plays the GPU."""

from __future__ import annotations

import ctypes
from pathlib import Path

from tests.standin.build import LIBRARY_NAME


class Truth:
    """The exact energy and power of each GPU; times are seconds of the monotonic clock (`time.monotonic`).

    `path` is the library or its folder. Settings come from the environment when this is made.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path / LIBRARY_NAME if path.is_dir() else path))
        library.standin_energy_j.argtypes = [ctypes.c_int, ctypes.c_double, ctypes.c_double]
        library.standin_power_w.argtypes = [ctypes.c_int, ctypes.c_double]
        for function in (library.standin_energy_j, library.standin_power_w, library.standin_now_s):
            function.restype = ctypes.c_double
        library.standin_setup()
        self._library = library

    def energy_j(self, gpu: int, begin_s: float, end_s: float) -> float:
        """Return the energy that GPU `gpu` drew from `begin_s` to `end_s`, in joules."""
        return float(self._library.standin_energy_j(gpu, begin_s, end_s))

    def power_w(self, gpu: int, at_s: float) -> float:
        """Return the power of GPU `gpu` at `at_s`, in watts."""
        return float(self._library.standin_power_w(gpu, at_s))

    def now_s(self) -> float:
        """Return the library's clock, in seconds."""
        return float(self._library.standin_now_s())
