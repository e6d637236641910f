"""Published configs that ship with the package, found by name: ``qwen3-30b-a3b`` instead of a path."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from harness.core.errors import ConfigError, did_you_mean
from harness.flops.published.readers import read_shape, shape_from_config
from harness.flops.published.shape import Shape

_PACKAGE = "harness.conf"
_FOLDER = "published"
_SUFFIX = ".json"


def list_shipped() -> list[str]:
    """Return the names of the shipped configs, sorted."""
    folder = resources.files(_PACKAGE) / _FOLDER
    return sorted(file.name.removesuffix(_SUFFIX) for file in folder.iterdir() if file.name.endswith(_SUFFIX))


def read_model(source: str | Path) -> Shape:
    """Read a model's shape from a `config.json`, a folder that holds one, or the name of a shipped config.

    What exists as a path is read as a path.

    Raises:
        ConfigError: neither a path nor a shipped name, or a config that `read_shape` refuses.
    """
    name, path = str(source), Path(source)
    names = list_shipped()
    if path.exists() or (name not in names and _looks_like_a_path(name)):
        return read_shape(path)
    if name not in names:
        raise ConfigError(
            f"no such file and no shipped config '{name}'; give a config.json or one of: {', '.join(names)}."
            f"{did_you_mean(name, names)}"
        )
    text = (resources.files(_PACKAGE) / _FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return shape_from_config(json.loads(text), name)


def _looks_like_a_path(name: str) -> bool:
    return name.endswith(_SUFFIX) or any(mark in name for mark in "/\\")
