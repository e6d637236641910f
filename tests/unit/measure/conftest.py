"""A meter whose clock only the test, and the meter's own waiting, moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.measure import meter, window
from tests.unit.measure.scene import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of meters and windows; it starts at 0 s."""
    clock = Clock()
    monkeypatch.setattr(window, "now_s", clock.now_s)
    monkeypatch.setattr(meter, "now_s", clock.now_s)
    monkeypatch.setattr(meter, "time", SimpleNamespace(sleep=clock.sleep))
    return clock
