"""Short names for exchangeable parts: a record holds a name, never an import path, so it outlives module moves."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from harness.core.errors import ConfigError, did_you_mean


class Registry:
    """A table of names to ``"module:attribute"`` targets, imported when first asked for."""

    def __init__(self, kind: str, targets: dict[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __contains__(self, name: str) -> bool:
        return name in self._targets

    def get(self, name: str) -> Any:
        """Return what `name` stands for.

        Raises:
            ConfigError: the name is not registered; the message lists the names and the nearest one.
        """
        if name not in self._targets:
            names = ", ".join(sorted(self._targets))
            raise ConfigError(f"unknown {self.kind} '{name}'; known: {names}.{did_you_mean(name, self._targets)}")
        module, _, attribute = self._targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
