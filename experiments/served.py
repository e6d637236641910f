"""Servers before a run: reachable, with the model that is asked for, and that model's name in the run's identity."""

from __future__ import annotations

import dataclasses
from functools import cache

from harness.experiments.inference import name_size

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.core.task_config import ServerConfig


def check_served(config: RunConfig) -> None:
    """Check that the server of a run answers and has its model.

    Raises:
        ConfigError: nobody answers at its address, there is no such model, or httpx is not installed.
    """
    if config.task.mode == "server":
        _ask_name(config.server)


def resolve_served(config: RunConfig) -> RunConfig:
    """Return the run with the name of the server's only model where none was given, since its id holds that name.

    Raises:
        ConfigError: as `check_served`.
    """
    if config.task.mode != "server" or config.server.model:
        return config
    name = _only_model(config.server.base_url, config.server.api_key_env)
    return name_size(dataclasses.replace(config, server=dataclasses.replace(config.server, model=name)))


@cache
def _only_model(base_url: str, api_key_env: str) -> str:
    """Ask once in a study: a server that dies later fails its runs, not the study."""
    return _ask_name(ServerConfig(base_url=base_url, api_key_env=api_key_env))


def _ask_name(server: ServerConfig) -> str:
    try:
        from harness.serving.probe import check_server  # noqa: PLC0415 - httpx is an extra
    except ImportError as error:
        raise ConfigError(f"task.mode=server needs {error.name}; type: pip install 'isojoule[serve]'") from error
    return check_server(server)
