"""Choices that a config checks without torch are the ones that the models register."""

from __future__ import annotations

from harness.core.model_config import CHOICES
from harness.models.attention import ATTENTIONS
from harness.models.dispatch import DISPATCHES
from harness.models.router import ROUTERS


def test_choices_are_the_registered_ones() -> None:
    assert tuple(ATTENTIONS) == CHOICES["attention"]
    assert tuple(ROUTERS) == CHOICES["router"]
    assert tuple(DISPATCHES) == CHOICES["dispatch"]
