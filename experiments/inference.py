"""Studies and runs in which nothing is trained: what their models are called, and which places they still lack."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from harness.experiments.schema import AppConfig

from harness.core.config import RunConfig, is_inference
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig, name_model
from harness.core.task_config import hide_host

_PLACE = re.compile(r"\$\{(model|server)\.(dense|moe)\}")
_GIVEN_PLACE = re.compile(
    r"((?:model\.(?:path|dense|moe)|server\.(?:base_url|dense|moe)|task\.lm_eval_dir|options\.path)=)"
    r"('[^']*'|\"[^\"]*\"|[^,\]}'\"]*)"
)
_EXAMPLES = {
    "model": "isojoule run -m experiment=pair_hf model.dense=FOLDER model.moe=FOLDER",
    "server": "isojoule run -m experiment=pair_serve server.dense=URL server.moe=URL",
}


def name_size(config: RunConfig) -> RunConfig:
    """Return the run with its model's own name as its size, where it trains nothing and has no name of its own.

    A published model is called what its folder is called, and a server's what the server calls it.
    """
    if not is_inference(config):
        return config
    if config.task.mode == "server":
        size = name_model(config.server.model) if config.server.model else "server"
    elif isinstance(config.model, HuggingFaceConfig) and config.model.path and config.model.size == config.model.family:
        size = name_model(str(Path(config.model.path).expanduser().absolute()))
    else:
        return config
    return dataclasses.replace(config, model=dataclasses.replace(config.model, size=size))


def check_places(app: AppConfig) -> None:
    """Check that the command gave every folder or address that the cells of the study ask for.

    Raises:
        ConfigError: one is missing; the message shows the whole command.
    """
    for cell in app.sweep.cells:
        for group, name in _PLACE.findall(" ".join(cell.overrides)):
            if not getattr(getattr(app, group), name, ""):
                raise ConfigError(f"{group}.{name} is missing; type: {_EXAMPLES[group]}")


def hide_places(argument: str) -> str:
    """Return an argument of a command as a study keeps it: of a path its last part, of an address what a record keeps.

    What is kept stands in the study's file and its report, which name no folder and no other machine.
    """

    def hide(found: re.Match[str]) -> str:
        key, place = found.group(1), found.group(2).strip("'\"")
        if not place or place.startswith("$"):
            return found.group(0)
        if key.startswith("server."):
            return f"{key}{hide_host(place)}"
        return key + place.replace("\\", "/").rstrip("/").rpartition("/")[2]

    return _GIVEN_PLACE.sub(hide, argument)
