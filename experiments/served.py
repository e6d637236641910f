"""Servers before a run: reachable, with the model that is asked for, and its name in the run's identity."""

from __future__ import annotations

import dataclasses
from functools import cache

from harness.experiments.inference import name_size

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.core.task_config import ServerConfig
from harness.data import prepare_data
from harness.run.identity import needs_corpus
from harness.tasks.suite import build_suite


def check_served(config: RunConfig) -> None:
    """Check that the server of a run answers and has its model, and that all can be asked; prepares the corpus.

    Raises:
        ConfigError: nobody answers at its address, there is no such model, nothing to ask, or httpx is not installed.
        DataError: a corpus that cannot be used, or a prompt that cannot be cut as it is asked.
    """
    if config.task.mode != "server":
        return
    _ask_name(config.server)
    from harness.run.serving.plan import plan_requests  # noqa: PLC0415 - httpx is an extra

    documents = prepare_data(config.data).test_documents if needs_corpus(config) and config.task.kinds else ()
    plan_requests(config, build_suite(config.task.kinds, documents))


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
