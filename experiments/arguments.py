"""What was typed behind ``isojoule run`` and ``isojoule plan``: options of the command, and overrides for Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import ConfigError, did_you_mean

_FLAGS = ("-m", "--multirun", "--retry-failed", "--stop-at-first", "--config-dir", "--json")


@dataclass(slots=True, kw_only=True)
class RunArguments:
    """Options and overrides; `json` is asked of ``plan`` alone."""

    multirun: bool = False
    retry_failed: bool = False
    stop_at_first: bool = False
    config_dir: str | None = None
    json: str | None = None
    overrides: list[str] = field(default_factory=list)

    def first_choices(self) -> list[str]:
        """Return the overrides with the first value of each comma list: whether the rest composes is seen by it."""
        return [_first_choice(override) for override in self.overrides]


def read_arguments(arguments: Sequence[str], verb: str = "run") -> RunArguments:
    """Return what `arguments` say.

    Raises:
        ConfigError: an option that is not known, or one without its value.
    """
    read = RunArguments()
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in ("-m", "--multirun"):
            read.multirun = True
        elif argument == "--retry-failed":
            read.retry_failed = True
        elif argument == "--stop-at-first":
            read.stop_at_first = True
        elif name in ("--config-dir", "-cd"):
            read.config_dir = _folder(value if equals else next(rest, ""))
        elif name == "--json" and verb == "plan":
            read.json = value if equals else next(rest, "")
            if not read.json:
                raise ConfigError("--json needs a file, or - for the screen: isojoule plan --json -")
        elif argument.startswith("-"):
            guess = did_you_mean(argument, _FLAGS)
            raise ConfigError(f"unknown option '{argument}'; isojoule {verb} --help shows the options.{guess}")
        else:
            read.overrides.append(argument)
    return read


def _folder(given: str) -> str:
    folder = str(Path(given).resolve())
    if not given or not Path(folder).is_dir():
        raise ConfigError(f"--config-dir '{given}' is not a folder.")
    return folder


def _first_choice(override: str) -> str:
    key, equals, value = override.partition("=")
    if equals and "," in value and not value.startswith(("[", "{", "'", '"')):
        return f"{key}={value.partition(',')[0]}"
    return override
