"""A model of ours in a folder: ``model.json`` with its configuration, and its tensors in safetensors files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.config import model_config_from_dict
from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig
from harness.core.plain_json import parse_json, read_bytes
from harness.models.shards import ShardReader, write_shards
from harness.models.transformer import Transformer

FORMAT_VERSION = 1
# What stands beside the weights and is handed on as it is: the tokenizer.
COMPANIONS = ("tokenizer.json", "tokenizer_config.json")
CONFIG_NAME = "model.json"
MAX_SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True, slots=True)
class StoredModel:
    """Weights on disk, read by name, of a model with this configuration; `published` is what an export will want."""

    folder: Path
    config: ModelConfig
    reader: ShardReader
    published: dict[str, Any]


def save_model(model: Transformer, folder: Path, published: dict[str, Any] | None = None) -> None:
    """Write a model into `folder`, which must be new or empty.

    Raises:
        ConfigError: something is in the folder already.
    """
    tensors = ((name, tensor.detach().cpu()) for name, tensor in model.state_dict().items())
    write_model(folder, model.config, tensors, published or {})


def open_model(folder: Path) -> StoredModel:
    """Return the model in `folder` without its weights, which are read when they are asked for.

    Raises:
        ConfigError: the folder holds no whole model of ours.
    """
    config, published = read_config(folder)
    return StoredModel(folder, config, ShardReader(folder), published)


def write_model(
    folder: Path,
    config: ModelConfig,
    tensors: Iterable[tuple[str, Tensor]],
    published: dict[str, Any],
    max_bytes: int = MAX_SHARD_BYTES,
) -> int:
    """Write tensors as they come, then the configuration; return the bytes written.

    `published` is what an export will want of the published model this one came from.
    """
    make_empty(folder)
    num_bytes = write_shards(folder, tensors, max_bytes)
    content = {"format": FORMAT_VERSION, "config": dataclasses.asdict(config), "published": published}
    (folder / CONFIG_NAME).write_text(json.dumps(content, indent=1) + "\n")
    return num_bytes


def read_config(folder: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Return a model's configuration and what is kept of the published one it came from.

    Raises:
        ConfigError: the folder holds no model of ours.
    """
    try:
        content = parse_json(read_bytes(folder / CONFIG_NAME))
        if content["format"] != FORMAT_VERSION:
            raise ConfigError(f"'{folder}' has model format {content['format']}; this isojoule reads {FORMAT_VERSION}.")
        return model_config_from_dict(content["config"]), content["published"]
    except OSError:
        raise ConfigError(
            f"'{folder}' holds no {CONFIG_NAME}; make one with: isojoule model import HF_DIR OUT_DIR"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"'{folder / CONFIG_NAME}' is not readable: {error}.") from error


def load_model(folder: Path, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Transformer:
    """Return the model in `folder`, for evaluation; its weights keep their precision where `dtype` gives none.

    Raises:
        ConfigError: the folder holds no whole model of ours.
    """
    config, _ = read_config(folder)
    with torch.device("meta"):
        model = Transformer(config)
    reader = ShardReader(folder)
    state = {}
    for name, expected in model.state_dict().items():
        tensor = reader.read(name)
        if tensor.shape != expected.shape:
            raise ConfigError(f"tensor '{name}' of '{folder}' is {tuple(tensor.shape)}, not {tuple(expected.shape)}.")
        is_bias = name.endswith("router.bias")  # a buffer that stays in fp32
        state[name] = tensor.to(device=device, dtype=torch.float32 if is_bias else dtype or tensor.dtype)
    model.load_state_dict(state, assign=True)
    return model.eval()


def make_empty(folder: Path) -> None:
    """Make `folder` if it is not there.

    Raises:
        ConfigError: it holds something, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"'{folder}' cannot be written: {error.strerror}.") from error
    if occupied:
        raise ConfigError(f"'{folder}' is not empty; give a new folder.")
