"""One monotonic clock for windows and samples; wall time is only a label."""

from __future__ import annotations

import datetime
import time


def now_s() -> float:
    """Return monotonic time in seconds; only differences mean anything."""
    return time.monotonic()


def utc_label() -> str:
    """Return the wall time in UTC, ISO 8601 with seconds, as a label for people."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
