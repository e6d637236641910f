"""From a file or folder to a shape: finds the `config.json` and hands it to its family's reader."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.plain_json import PlainJsonError, parse_json, read_bytes
from harness.core.registry import Registry
from harness.flops.published.keys import Keys
from harness.flops.published.parts import read_quantization
from harness.flops.published.shape import Shape

_PACKAGE = "harness.flops.published"
FAMILIES = Registry(
    "model_type",
    {
        "deepseek": f"{_PACKAGE}.deepseek:read_deepseek",
        "deepseek_v2": f"{_PACKAGE}.deepseek:read_deepseek_v2",
        "deepseek_v3": f"{_PACKAGE}.deepseek:read_deepseek_v3",
        "gpt_oss": f"{_PACKAGE}.mixtures:read_gpt_oss",
        "llama": f"{_PACKAGE}.dense:read_llama",
        "llama4": f"{_PACKAGE}.mixtures:read_llama4",
        "llama4_text": f"{_PACKAGE}.mixtures:read_llama4",
        "mixtral": f"{_PACKAGE}.mixtures:read_mixtral",
        "olmoe": f"{_PACKAGE}.mixtures:read_olmoe",
        "qwen2": f"{_PACKAGE}.dense:read_qwen2",
        "qwen2_moe": f"{_PACKAGE}.mixtures:read_qwen2_moe",
        "qwen3": f"{_PACKAGE}.dense:read_qwen3",
        "qwen3_moe": f"{_PACKAGE}.mixtures:read_qwen3_moe",
    },
)
_CONFIG_NAME = "config.json"


def read_shape(path: Path) -> Shape:
    """Read the shape of the model whose `config.json` is `path` or lies in that folder.

    Raises:
        ConfigError: no such file, no JSON object, an unknown `model_type`, or keys that are missing or make no sense.
    """
    file = path / _CONFIG_NAME if path.is_dir() else path
    return shape_from_config(_load(file), str(file))


def shape_from_config(config: dict[str, Any], source: str = _CONFIG_NAME) -> Shape:
    """Return the shape that a parsed config describes; `source` names it in messages."""
    keys = Keys(config, source)
    model_type = keys.text("model_type")
    if model_type is None:
        raise keys.mistake(f"the key 'model_type' is missing; known: {', '.join(sorted(FAMILIES))}.")
    try:
        read = FAMILIES.get(model_type)
    except ConfigError as error:
        raise keys.mistake(str(error)) from error
    if model_type != "llama4":
        shape: Shape = read(keys)
        return _checked(shape, keys)
    text = keys.section("text_config")
    if text is None:
        raise keys.mistake("the key 'text_config' is missing: a 'llama4' config keeps its language model there.")
    shape = read(text)
    return _checked(
        dataclasses.replace(
            shape,
            dtype=shape.dtype or keys.text("dtype", "torch_dtype"),
            quantization=shape.quantization or read_quantization(keys),
        ),
        keys,
    )


def _checked(shape: Shape, keys: Keys) -> Shape:
    """Say so when the checkpoint is of a model with another head."""
    names = keys.texts("architectures") or ()
    other = [name for name in names if not name.endswith(("ForCausalLM", "ForConditionalGeneration"))]
    if not other:
        return shape
    note = f"counted with a language-model head, though the checkpoint is a {other[0]}"
    return dataclasses.replace(shape, notes=(*shape.notes, note))


def _load(file: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_bytes(file))
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: '{file}'; give a {_CONFIG_NAME} or a folder that holds one.") from error
    except OSError as error:
        raise ConfigError(f"cannot read '{file}': {error.strerror}.") from error
    except PlainJsonError as error:
        raise ConfigError(f"{file} is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no JSON object; a {_CONFIG_NAME} is needed.")
    return content
