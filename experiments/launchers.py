"""Launchers that come with isojoule: what each needs installed, and how Hydra learns of them."""

from __future__ import annotations

import importlib
import importlib.util

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from harness.core.errors import ConfigError

PLUGIN = "hydra_plugins.isojoule"
# Hydra's scan passes modules over whose names begin with an underscore: these are made known when they are asked for.
_MODULES = {f"{PLUGIN}._slurm": ("submitit", "slurm"), f"{PLUGIN}._ray": ("ray", "ray")}
# A configuration of Hydra's submitit plugin that ours builds on: missing means that the extra is.
EXTRA_OF_CONFIG = {"submitit_slurm": "slurm", "submitit_local": "slurm"}


def register_launchers(config: DictConfig) -> None:
    """Make the launcher that `config` asks for known to Hydra, where it is one of ours.

    Raises:
        ConfigError: the package that it stands on is not installed.
    """
    module, _, name = str(config.hydra.launcher._target_).rpartition(".")
    if module not in _MODULES:
        return
    package, extra = _MODULES[module]
    if importlib.util.find_spec(package) is None:
        raise ConfigError(missing_extra(extra))
    Plugins.instance().register(getattr(importlib.import_module(module), name))


def missing_extra(extra: str) -> str:
    """Return the line for a launcher whose package is not installed."""
    return f"this launcher needs a package that is not installed; type pip install 'isojoule[{extra}]'."
