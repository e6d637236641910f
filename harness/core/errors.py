"""Errors that a user meets: one clear line that says what is wrong and what to type instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_RUN_FAILED = 1
EXIT_USER_MISTAKE = 2
EXIT_SWEEP_INCOMPLETE = 3
# Of a worker alone: its device is in use and it was not to wait (sysexits.h, EX_TEMPFAIL); nothing was written.
EXIT_DEVICE_BUSY = 75
MAX_MESSAGE_LENGTH = 2000


class HarnessError(Exception):
    """Base of all errors whose message is meant for the user; `exit_code` is what the command returns."""

    exit_code = EXIT_USER_MISTAKE

    def __str__(self) -> str:
        text = super().__str__()  # a file from elsewhere may hold names of any length, and messages repeat them
        return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[: MAX_MESSAGE_LENGTH - 3]}..."


class ConfigError(HarnessError):
    """A configuration value that cannot be run."""


class DataError(HarnessError):
    """A corpus that is missing, empty or too small."""


class RecordError(HarnessError):
    """A record or a store that cannot be read, or records that must not be pooled."""


class SensorError(HarnessError):
    """A sensor that was asked for and cannot be read."""


class RunFailedError(HarnessError):
    """A run that was configured well and failed all the same."""

    exit_code = EXIT_RUN_FAILED


class RunTakenError(HarnessError):
    """A run that another process, here or on another host, is working on: it is passed over."""

    exit_code = EXIT_RUN_FAILED


class DeviceBusyError(HarnessError):
    """A device on which another measured run is under way, and ``lock=fail``."""

    exit_code = EXIT_RUN_FAILED


class RunInterruptedError(HarnessError):
    """A run that was stopped by a signal before its end and can go on; the exit code is the shell's for that signal."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number
        self.exit_code = 128 + number


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known word nearest to `word`, or an empty string."""
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
