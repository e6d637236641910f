"""A Hugging Face checkpoint to a model folder of ours, and a model of ours back, one tensor at a time."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig
from harness.core.plain_json import parse_json, read_bytes
from harness.models.build import count_params
from harness.models.folder import COMPANIONS, MAX_SHARD_BYTES, StoredModel, make_empty, open_model, write_model
from harness.models.huggingface.configs import FAMILIES, guess_family, to_model_config, to_published
from harness.models.huggingface.names import list_parts
from harness.models.huggingface.predictors import COPIES, find_predictors, list_copies
from harness.models.shards import ShardReader, write_shards
from harness.models.transformer import Transformer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
# Fields of a published configuration that are written back as they were.
_KEPT = ("max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id", "initializer_range")


@dataclass(frozen=True, slots=True)
class Converted:
    """What was converted: family, parameters, bytes written, and tensors of the source that were left out."""

    family: str
    num_params: int
    num_bytes: int
    left_out: tuple[str, ...]


def import_checkpoint(source: Path, target: Path, dtype: str | None = None) -> Converted:
    """Convert the Hugging Face checkpoint in `source` to a model folder `target`.

    Raises:
        ConfigError: what is missing, of another shape, or cannot be expressed.
    """
    published = _read_json(source / "config.json")
    family = str(published.get("model_type"))
    plain = to_model_config(published)
    reader = ShardReader(source)
    config, copies = find_predictors(plain, published, reader)
    parts = list_parts(config, family, interleaved=bool(published.get("rope_interleave", True)))
    wanted = None if dtype is None else DTYPES[dtype]

    def convert() -> Iterator[tuple[str, Tensor]]:
        shapes = _shapes(config)
        for part in parts:
            tensor = part.join([reader.read(name) for name in part.sources])
            if tuple(tensor.shape) != shapes[part.target]:
                found, right = tuple(tensor.shape), shapes[part.target]
                raise ConfigError(
                    f"'{part.sources[0]}' gives {part.target} of shape {found}; config.json says {right}."
                )
            is_bias = part.target.endswith("router.bias")
            yield part.target, tensor.float() if is_bias else tensor if wanted is None else tensor.to(wanted)

    kept = {name: published[name] for name in _KEPT if name in published}
    content: dict[str, Any] = {"model_type": family, "config": kept}
    if config.mtp_depth:
        content["copies"] = list(copies)
    num_bytes = write_model(target, config, convert(), content)
    repeated = {name for name, _ in list_copies(config, copies)}
    left_out = tuple(
        name for name in reader.unread() if name not in repeated and not name.endswith("rotary_emb.inv_freq")
    )
    return Converted(family, count_params(config).total, num_bytes, left_out)


def export_checkpoint(
    source: Path, target: Path, family: str | None = None, dtype: str | None = None, max_bytes: int = MAX_SHARD_BYTES
) -> Converted:
    """Convert the model folder `source` to a Hugging Face checkpoint in `target`.

    Raises:
        ConfigError: no model there, or one that the family cannot express.
    """
    return export_model(open_model(source), target, family, dtype, max_bytes)


def export_model(
    source: StoredModel,
    target: Path,
    family: str | None = None,
    dtype: str | None = None,
    max_bytes: int = MAX_SHARD_BYTES,
) -> Converted:
    """Convert a model of ours to a Hugging Face checkpoint in `target`; a tokenizer beside it goes along.

    Raises:
        ConfigError: a model that the family cannot express.
    """
    config, published, reader = source.config, source.published, source.reader
    family = family or published.get("model_type") or guess_family(config)
    if family not in FAMILIES:
        raise ConfigError(f"unknown --family '{family}'; known: {', '.join(FAMILIES)}.")
    stored = reader.read("embedding.weight").dtype
    wanted = stored if dtype is None else DTYPES[dtype]
    if family != "deepseek_v3" or not config.mtp_normed:
        # predictions from the bare stream are what no published model says: their tensors are left out
        config = dataclasses.replace(config, mtp_depth=0)
    content = to_published(config, family, published.get("config", {}), _NAMES[wanted])
    make_empty(target)

    def convert() -> Iterator[tuple[str, Tensor]]:
        for part in list_parts(config, family, interleaved=True):
            whole = reader.read(part.target)
            whole = whole if part.target.endswith("router.bias") else whole.to(wanted)
            yield from zip(part.sources, part.split(whole), strict=True)
        for name, repeated in list_copies(config, published.get("copies", COPIES)):
            yield name, reader.read(repeated).to(wanted, copy=True)  # a file takes no two names for the same memory

    num_bytes = write_shards(target, convert(), max_bytes)
    for name in COMPANIONS:
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, target / name)
    (target / "config.json").write_text(json.dumps(content, indent=1) + "\n")
    return Converted(family, count_params(config).total, num_bytes, tuple(reader.unread()))


def parse_size(text: str) -> int:
    """Return a size such as ``5GB`` or ``200MB`` in bytes.

    Raises:
        ConfigError: it is no such size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(GB|MB|KB)", text.strip(), flags=re.IGNORECASE)
    if not found:
        raise ConfigError(f"--max-shard-size is '{text}'; write it like 5GB or 200MB.")
    return int(float(found[1]) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[found[2].upper()])


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in Transformer(config).state_dict().items()}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_bytes(path))
    except OSError:
        raise ConfigError(f"there is no '{path}'; give the folder of a Hugging Face checkpoint.") from None
    except ValueError as error:
        raise ConfigError(f"'{path}' is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"'{path}' is no configuration of a model.")
    return content
