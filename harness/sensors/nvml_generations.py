"""What is published of NVML's power signals: how often each changes, and over how long it is a mean.

Sources: Yang, Adamek and Armour, "Part-time Power Measurements: nvidia-smi's Lack of Attention" (arXiv 2312.02741 and
the table beside it, drivers of 2023) for update and averaging; NVML API reference, ``nvmlDeviceGetPowerUsage`` and
``NVML_FI_DEV_POWER_AVERAGE``, for the one-second mean of Ampere (except GA100) and newer. Unpublished is ``None``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PASCAL, _VOLTA, _TURING, _AMPERE, _ADA, _HOPPER = range(4, 10)
_UNKNOWN_ARCHITECTURE = 0xFFFFFFFF
_GA100_NAME = re.compile(r"\b(A100[DX]?|A800|A30X?)\b")  # RTX A1000 is another chip
_SLOWEST_KNOWN_UPDATE_S = 0.1


@dataclass(frozen=True, slots=True)
class Signal:
    """One power signal: it changes every `period_s` and is the mean over `window_s` before that (seconds)."""

    period_s: float | None = None
    window_s: float | None = None

    @property
    def sees_all(self) -> bool:
        """Whether no moment escapes it, as far as is published."""
        period_s = _SLOWEST_KNOWN_UPDATE_S if self.period_s is None else self.period_s
        return self.window_s is not None and self.window_s >= period_s


@dataclass(frozen=True, slots=True)
class Generation:
    """The signals of one architecture: ``nvmlDeviceGetPowerUsage``, and the fields INSTANT (186) and AVERAGE (185)."""

    usage: Signal = Signal()
    instant: Signal = Signal()
    average: Signal = Signal(None, 1.0)


_SECOND_MEAN = Signal(0.1, 1.0)
_PASCAL_AND_VOLTA = Generation(usage=Signal(0.02, 0.01), instant=Signal(0.02, 0.01))
_TURING_SIGNALS = Generation(usage=Signal(0.1, 0.1), instant=Signal(0.1, 0.1))
_GA100 = Generation(usage=Signal(0.1, 0.025), instant=Signal(0.1, 0.025), average=_SECOND_MEAN)
_AMPERE_AND_ADA = Generation(usage=_SECOND_MEAN, instant=Signal(0.1, 0.1), average=_SECOND_MEAN)
_H100 = Generation(usage=_SECOND_MEAN, instant=Signal(0.1, 0.025), average=_SECOND_MEAN)
_NEWER = Generation(usage=Signal(None, 1.0))  # by NVIDIA's words; how often it changes is not published
_BY_ARCHITECTURE = {
    _PASCAL: _PASCAL_AND_VOLTA,
    _VOLTA: _PASCAL_AND_VOLTA,
    _TURING: _TURING_SIGNALS,
    _AMPERE: _AMPERE_AND_ADA,
    _ADA: _AMPERE_AND_ADA,
}


def find_generation(architecture: int | None, name: str) -> Generation:
    """Return what is published for NVML's `architecture` number and the GPU's product `name`.

    GA100 and other Ampere share a number and differ in everything, so the name decides. Of Hopper only the H100 was
    measured: an H200 or GH200 is not taken for one.
    """
    if architecture is None or architecture < _PASCAL or architecture == _UNKNOWN_ARCHITECTURE:
        return Generation()
    if architecture == _AMPERE and _GA100_NAME.search(name):
        return _GA100
    if architecture == _HOPPER and "H100" in name:
        return _H100
    return _BY_ARCHITECTURE.get(architecture, _NEWER)
