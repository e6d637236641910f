"""How workers run: none of it changes what a run computes, so none of it is part of a run id."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.core.errors import ConfigError, did_you_mean

ISOLATIONS = ("process", "spawn", "warm")
LOCK_MODES = ("wait", "fail", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How workers run.

    `isolation`: a process for each run, forked (``process``) from one that has done nothing but import where the system
    allows it, or started anew (``spawn``); or a ``warm`` one for several. `lock`: what to do while a device is in use.
    `watchdog_s`: a worker from which nothing was heard for so long is stopped; 0 waits for ever.
    """

    isolation: str = "process"
    lock: str = "wait"
    watchdog_s: float = 1800.0


def validate_options(options: WorkerOptions) -> None:
    """Check the options.

    Raises:
        ConfigError: the first that is wrong.
    """
    for name, known in (("isolation", ISOLATIONS), ("lock", LOCK_MODES)):
        value = getattr(options, name)
        if value not in known:
            raise ConfigError(f"{name} is '{value}'; it is {' or '.join(known)}.{did_you_mean(value, known)}")
    if not (math.isfinite(options.watchdog_s) and options.watchdog_s >= 0):
        raise ConfigError(f"watchdog_s is {options.watchdog_s}; give seconds above 0, or 0 to wait for ever.")
