"""Strict access to the keys of a config: a key that is missing, of the wrong type or negative is one clear line."""

from __future__ import annotations

from typing import Any

from harness.core.errors import ConfigError, did_you_mean

# A file may say anything: each layer is an object here, and sizes are multiplied.
MAX_LAYERS = 10_000
MAX_COUNT = 10**12


class Keys:
    """The keys of one config; `source` names the file in messages. A ``null`` reads like a missing key."""

    def __init__(self, content: dict[str, Any], source: str) -> None:
        self._content = content
        self.source = source

    def mistake(self, text: str) -> ConfigError:
        """Return the error that says what is wrong with this file."""
        return ConfigError(f"{self.source}: {text}")

    def raw(self, *names: str) -> Any:
        """Return the value under the first of the `names` that is there, or ``None``.

        Raises:
            ConfigError: two of the names are there and disagree.
        """
        given = {name: self._content[name] for name in names if self._content.get(name) is not None}
        if any(value != next(iter(given.values())) for value in given.values()):
            listed = ", ".join(f"'{name}' = {value!r}" for name, value in given.items())
            raise self.mistake(f"{listed} name the same thing and disagree.")
        return next(iter(given.values()), None)

    def count(self, *names: str, least: int = 1) -> int:
        """Return a whole number that must be there; several names are spellings of the same key."""
        value = self.optional_count(*names, least=least)
        if value is None:
            nearest = did_you_mean(names[0], self._content)
            raise self.mistake(f"the key '{names[0]}' is missing.{nearest}")
        return value

    def optional_count(self, *names: str, least: int = 1) -> int | None:
        """Return a whole number of at least `least`, or ``None`` when the key is missing."""
        value = self.raw(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.mistake(f"'{names[0]}' is {value!r}; a whole number is needed.")
        if value < least:
            raise self.mistake(f"'{names[0]}' is {value}; it must be at least {least}.")
        most = MAX_LAYERS if "layer" in names[0] else MAX_COUNT
        if value > most:
            raise self.mistake(f"'{names[0]}' is {value}; it must be at most {most}.")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.mistake(f"'{name}' is {value!r}; true or false is needed.")
        return value

    def text(self, *names: str) -> str | None:
        """Return a text, or ``None`` when the key is missing."""
        value = self.raw(*names)
        if value is not None and not isinstance(value, str):
            raise self.mistake(f"'{names[0]}' is {value!r}; a text is needed.")
        return value

    def counts(self, name: str) -> tuple[int, ...] | None:
        """Return a list of whole numbers (0 or more), or ``None`` when the key is missing."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, list) or any(isinstance(x, bool) or not isinstance(x, int) or x < 0 for x in value):
            raise self.mistake(f"'{name}' is {value!r}; a list of whole numbers is needed.")
        return tuple(value)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return a list of texts, or ``None`` when the key is missing."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, list) or any(not isinstance(x, str) for x in value):
            raise self.mistake(f"'{name}' is {value!r}; a list of texts is needed.")
        return tuple(value)

    def section(self, name: str) -> Keys | None:
        """Return the keys nested under `name`, or ``None`` when it is missing."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.mistake(f"'{name}' is {value!r}; an object is needed.")
        return Keys(value, f"{self.source}, {name}")
