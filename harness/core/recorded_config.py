"""The configuration inside a record: plain data of other versions too, whose known settings have their known types."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

from harness.core.config import RunConfig, config_to_dict
from harness.core.model_config import HuggingFaceConfig, MoEConfig
from harness.core.plain_json import MAX_INT, PlainJsonError

_NUMBER = (int, float)


def check_recorded_config(config: dict[str, Any]) -> None:
    """Check that numbers are finite and of 64 bits at most, and that settings that are known here have their type.

    A setting may be missing, unknown or null: a record may come from an older or a newer isojoule.

    Raises:
        PlainJsonError: the first that does not fit.
    """
    _check(config, _known_settings(), "config")


def _check(value: Any, known: Any, where: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PlainJsonError(f"{where}: Input should be a finite number")
    elif isinstance(value, int) and not -MAX_INT - 1 <= value <= MAX_INT:
        raise PlainJsonError(f"{where}: the number has more than 64 bits")
    if known is not None and value is not None and not isinstance(value, _type_of(known)):
        raise PlainJsonError(f"{where}: it should be {_name_of(known)}")
    if isinstance(value, dict):
        names = known if isinstance(known, dict) else {}
        for name, part in value.items():
            _check(part, names.get(name), f"{where}.{name}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _check(part, None, f"{where}.{index}")


@functools.cache
def _known_settings() -> dict[str, Any]:
    """Return each setting with its default, whose type is the one to have; ``None`` where the default says nothing."""
    known = config_to_dict(RunConfig())
    for kind in (MoEConfig, HuggingFaceConfig):
        known["model"] = {**dataclasses.asdict(kind()), **known["model"]}
    return known


def _type_of(known: Any) -> type | tuple[type, ...]:
    return _NUMBER if isinstance(known, _NUMBER) else type(known)


def _name_of(known: Any) -> str:
    if isinstance(known, bool):
        return "true or false"
    if isinstance(known, _NUMBER):
        return "a number"
    return {dict: "an object", list: "a list"}.get(type(known), "a text")
