"""From command-line overrides to a typed configuration, with one clear line for every mistake."""

from __future__ import annotations

import copy
import dataclasses
import re
import warnings
from pathlib import Path
from typing import Any

from harness.experiments.hostile import (
    check_folder,
    first_line,
    refuse_targets,
    without_environment,
)
from harness.experiments.inference import name_size
from harness.experiments.launchers import EXTRA_OF_CONFIG, missing_extra
from harness.experiments.schema import AppConfig, register_schemas
from hydra import compose, initialize_config_module
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped, unused-ignore]

from harness.core.config import RunConfig, config_to_dict, validate_run
from harness.core.errors import ConfigError, did_you_mean
from harness.core.plain_json import PlainJsonError
from harness.core.settings_types import check_settings
from harness.tracking.tracker import check_sinks

CONFIG_MODULE = "harness.conf"
CONFIG_NAME = "run"
# Hydra's own Ray plugin, where it is installed, has a configuration of this name too.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/ray' is validated against ConfigStore schema")


def compose_app(overrides: list[str], config_dir: str | None = None) -> AppConfig:
    """Compose the application's configuration from `overrides`.

    Raises:
        ConfigError: an unknown key, group member or value; the message is one line with the nearest known word.
    """
    register_schemas()
    extra = [f"hydra.searchpath=[file://{config_dir}]"] if config_dir else []
    if config_dir:
        check_folder(Path(config_dir))
    try:
        with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            composed = compose(CONFIG_NAME, overrides=[*extra, *overrides], return_hydra_config=True)
            refuse_targets(composed)
            app = to_app_config(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"a configuration cannot be read: {first_line(error)}") from error
    check_sinks(app.track)
    return app


def to_app_config(config: DictConfig) -> AppConfig:
    """Return the typed configuration; interpolations are resolved.

    Raises:
        ConfigError: a value that OmegaConf or the validation refuses.
    """
    run_only = copy.deepcopy(config)
    with open_dict(run_only):
        run_only.pop("hydra", None)
    _refuse_unknown(run_only)
    try:
        with without_environment():
            typed = OmegaConf.to_object(run_only)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from error
    if not isinstance(typed, AppConfig):
        raise ConfigError(f"the primary configuration is not a run (got {type(typed).__name__}).")
    return typed


def to_run_config(app: AppConfig) -> RunConfig:
    """Return the run inside `app`, validated and, where it trains nothing, named after its model."""
    config = name_size(RunConfig(**{f.name: getattr(app, f.name) for f in dataclasses.fields(RunConfig)}))
    validate_run(config)
    try:
        check_settings(config_to_dict(config), None, "configuration")
    except PlainJsonError as error:
        raise ConfigError(f"{error}.") from error
    return config


def explain(error: Exception) -> str:
    """Return one line for an error of Hydra or OmegaConf: what is wrong, and the nearest word that is known."""
    text = str(error)
    launcher = re.search(r"Could not (?:find|load) 'hydra/launcher/(\w+)'", text)
    if launcher and launcher.group(1) in EXTRA_OF_CONFIG:
        return missing_extra(EXTRA_OF_CONFIG[launcher.group(1)])
    missing = re.search(r"Could not find '([^']+)'", text) if isinstance(error, MissingConfigException) else None
    if missing:
        options = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
        group, _, name = missing.group(1).rpartition("/")
        return f"no '{name}' in group '{group}'; known: {', '.join(options)}.{did_you_mean(name, options)}"
    full_key = re.search(r"full_key: (\S+)", text)
    override = re.search(r"Could not override '([^']+)'", text)
    if (override or full_key) and re.search(r"Key '[^']+' (?:is )?not in", f"{text} {error.__cause__}"):
        wanted = (override or full_key).group(1)
        at, beside = _keys_beside(error)
        guess = did_you_mean(at or wanted, [*_known_keys(), *beside])
        return f"unknown key '{wanted}'.{guess} (isojoule ls shows the configs)"
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    cause = f" {error.__cause__}".splitlines()[0] if error.__cause__ and first.startswith("Error merging") else ""
    where = f" (at {full_key.group(1)})" if full_key else ""
    return f"{first}{cause}{where}"


def _refuse_unknown(config: DictConfig, where: str = "") -> None:
    """Check that no key was added (``+key=``) to a part whose keys are known: nothing would ever read it.

    Raises:
        ConfigError: one was; the message has the nearest known key.
    """
    kind = OmegaConf.get_type(config)
    known = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else None
    for key in config:
        if known is not None and key not in known:
            raise ConfigError(
                f"unknown key '{where}{key}'.{did_you_mean(str(key), known)} (isojoule ls shows the configs)"
            )
        child = config._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            _refuse_unknown(child, f"{where}{key}.")


def _keys_beside(error: Exception) -> tuple[str, list[str]]:
    """Return the missing key and those in its place, which only the composed tree knows (options of a kind)."""
    cause = next((e for e in (error, error.__cause__) if isinstance(e, OmegaConfBaseException)), None)
    if cause is None or not isinstance(cause.parent_node, DictConfig):
        return "", []
    missing = cause.full_key or ""
    prefix = missing.rpartition(".")[0]
    return missing, [f"{prefix}.{key}" if prefix else str(key) for key in cause.parent_node]


def _known_keys() -> list[str]:
    return list(_flatten(OmegaConf.structured(AppConfig), ""))


def _flatten(node: Any, prefix: str) -> list[str]:
    keys = []
    for key in node:
        path = f"{prefix}{key}"
        keys.append(path)
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            keys.extend(_flatten(child, f"{path}."))
    return keys
