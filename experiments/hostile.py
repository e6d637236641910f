"""What a configuration from elsewhere must not do: name code to run, read the environment, grow without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from harness.core.errors import ConfigError
from harness.core.plain_json import read_text
from harness.core.plain_yaml import MAX_YAML_CHARACTERS, PlainYamlError, refuse_growing_aliases

_TARGET = "_target_"
# Hydra instantiates its own parts by import path; these are its plugins.
_OWN_TARGETS = ("hydra._internal.", "hydra.core.", "hydra_plugins.")


def check_folder(folder: Path) -> None:
    """Check that no file that Hydra may load from `folder` stands for more than it holds.

    Raises:
        ConfigError: a file is too long, or its aliases grow.
    """
    for pattern in ("*.yaml", "*/*.yaml", "*/*/*.yaml"):
        for path in folder.glob(pattern):
            try:
                refuse_growing_aliases(read_text(path, MAX_YAML_CHARACTERS))
            except PlainYamlError as error:
                raise ConfigError(f"'{path}' cannot be used: {error}.") from error
            except (OSError, UnicodeDecodeError):
                continue  # where it is asked for, Hydra says so


def refuse_targets(composed: DictConfig) -> None:
    """Check that no key ``_target_`` names code; of Hydra's own part its plugins alone may stand there.

    Raises:
        ConfigError: one does; names in a configuration are registry names, never import paths.
    """
    plain = OmegaConf.to_container(composed, resolve=False)
    for where, target in _find_targets(plain, ""):
        if not (where.startswith("hydra.") and str(target).startswith(_OWN_TARGETS)):
            raise ConfigError(
                f"the configuration has a key {where}: parts are chosen by their names (isojoule ls), never by import "
                "paths; leave it out."
            )


@contextmanager
def without_environment() -> Iterator[None]:
    """Refuse ``${oc.env:NAME}`` inside the block: what a record holds of its configuration is published with it."""
    OmegaConf.register_new_resolver("oc.env", _refuse_environment, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line of at most 300 characters."""
    if isinstance(error, RecursionError):
        return "it is nested too deep."
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _refuse_environment(*names: Any) -> Any:
    name = names[0] if names else ""
    raise ConfigError(
        f'${{oc.env:{name}}} would put the environment into records; let the shell write it: key="${name}"'
    )


def _find_targets(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            if key == _TARGET:
                yield f"{where}{key}", part
            yield from _find_targets(part, f"{where}{key}.")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _find_targets(part, f"{where}{index}.")
