"""Shipped or own YAML files, read into validated types: a mistake is one clear line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.core import plain_json
from harness.core.errors import ConfigError, did_you_mean
from harness.core.plain_yaml import PlainYamlError, parse_yaml

_PACKAGE = "harness.conf"
_SUFFIX = ".yaml"
Model = TypeVar("Model", bound=BaseModel)


def list_names(kind: str) -> list[str]:
    """Return the names of the shipped files of a kind (its folder under ``conf/``), sorted."""
    folder = resources.files(_PACKAGE) / kind
    return sorted(file.name.removesuffix(_SUFFIX) for file in folder.iterdir() if file.name.endswith(_SUFFIX))


def load_named(kind: str, name: str, model: type[Model]) -> Model:
    """Load the shipped file called `name`, or the YAML file at that path.

    Raises:
        ConfigError: no such name or file, no YAML, or content that `model` refuses.
    """
    names = list_names(kind)
    if name in names:
        return parse((resources.files(_PACKAGE) / kind / f"{name}{_SUFFIX}").read_text("utf-8"), name, model)
    path = Path(name)
    if path.suffix not in (_SUFFIX, ".yml") and not path.exists():
        raise ConfigError(
            f"unknown {kind} '{name}'; give one of: {', '.join(names)}, or a {_SUFFIX} file.{did_you_mean(name, names)}"
        )
    return parse(read_text(path), name, model)


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return plain_json.read_text(path)
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: '{path}'.") from error
    except OSError as error:
        raise ConfigError(f"cannot read '{path}': {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{path}' is no text file.") from error


def parse(text: str, source: str, model: type[Model]) -> Model:
    """Return the validated content of a YAML text; `source` names it in messages."""
    try:
        content = parse_yaml(text)
    except PlainYamlError as error:
        raise ConfigError(f"{source} is no YAML: {error}.") from error
    return validate(content, source, model)


def parse_json(text: str, source: str, model: type[Model]) -> Model:
    """Return the validated content of a JSON text; `source` names it in messages."""
    try:
        content = plain_json.parse_json(text)
    except plain_json.PlainJsonError as error:
        raise ConfigError(f"{source} is no JSON: {error}.") from error
    return validate(content, source, model)


def validate(content: Any, source: str, model: type[Model]) -> Model:
    """Return `content` as a `model`.

    Raises:
        ConfigError: it does not fit; the message names the first key that is wrong.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{source} holds no keys; needed: {', '.join(model.model_fields)}.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        nearest = did_you_mean(where, model.model_fields) if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"{source}: {where}: {first['msg']}.{nearest}") from error
