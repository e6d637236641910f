"""Choices that a config checks without torch are the ones that the models register."""

from __future__ import annotations

from harness.core.config import _MOE_CHOICES
from harness.models.experts import DISPATCHES
from harness.models.router import ROUTERS


def test_choices_are_the_registered_ones() -> None:
    assert tuple(ROUTERS) == _MOE_CHOICES["router"]
    assert tuple(DISPATCHES) == _MOE_CHOICES["dispatch"]
