"""The folder of a published model: found, checked and hashed without loading it, and without torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.model_config import name_model
from harness.core.plain_json import check_file_name, parse_json, read_bytes
from harness.core.store import write_text_atomically
from harness.data.prepare import cache_root

CONFIG_NAME = "config.json"
_ADAPTER_NAME = "adapter_config.json"
# Files beside the weights that decide what a model answers.
_SMALL_FILES = (
    CONFIG_NAME, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json",
    "tekken.json", "spiece.model", "sentencepiece.bpe.model", "vocab.txt",
)  # fmt: skip
# What `transformers` loads, in its order: one file, or shards that an index lists.
_WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# The hash of a larger file is kept with its size and time, since a study asks for it again and again.
_CACHED_FROM_BYTES = 1 << 26
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class HFFolder:
    """A folder with a ``config.json`` and weights; `name` is its own name, never a path."""

    path: Path
    name: str
    config: dict[str, Any]
    weight_files: tuple[Path, ...]

    @property
    def config_sha256(self) -> str:
        """Return the hash of ``config.json``."""
        return _hash_file(self.path / CONFIG_NAME)

    @property
    def weights_sha256(self) -> str:
        """Return the hash over the hashes of the weight files, in the order of their names."""
        return _hash_text("\n".join(_hash_file(path) for path in self.weight_files))

    @property
    def contents_sha256(self) -> str:
        """Return the hash of all that decides an answer: weights, configuration, tokenizer, chat template."""
        small = [(name, _hash_file(self.path / name)) for name in _SMALL_FILES if (self.path / name).is_file()]
        return _hash_text(json.dumps([small, self.weights_sha256]))


def find_hf_folder(place: str) -> HFFolder:
    """Return the folder at `place`: a path, or the name of a repository that the local cache of the hub holds.

    Raises:
        ConfigError: there is no such folder, or ``config.json`` or weights are missing, or it holds an adapter too;
            nothing is downloaded.
    """
    folder = Path(place).expanduser()
    if not folder.is_dir():
        folder = _find_in_cache(place)
    file = folder / CONFIG_NAME
    if not file.is_file():
        raise ConfigError(f"'{place}' holds no {CONFIG_NAME}; give the folder of a Hugging Face model.")
    try:
        config = parse_json(read_bytes(file))
    except (OSError, ValueError) as error:
        raise ConfigError(f"'{file}' cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise ConfigError(f"'{file}' holds no JSON object; give the folder of a Hugging Face model.")
    if (folder / _ADAPTER_NAME).is_file():
        raise ConfigError(
            f"'{place}' holds an adapter ({_ADAPTER_NAME}), which would be laid on the weights or not, depending on "
            "what is installed; merge it into the weights, or take it out of the folder."
        )
    return HFFolder(folder, name_model(str(folder.absolute())), config, _find_weights(folder))


def _find_in_cache(place: str) -> Path:
    missing = ConfigError(
        f"there is no folder '{place}', nor a repository of that name in the local cache; download it first "
        f"(hf download {place}), or give the folder of a model."
        if place.count("/") == 1 and not place.startswith((".", "/", "~"))
        else f"there is no folder '{place}'; give the folder of a Hugging Face model (it holds {CONFIG_NAME})."
    )
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - comes with the optional transformers
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

        found = try_to_load_from_cache(place, CONFIG_NAME)
    except ImportError:
        raise missing from None
    except HFValidationError:
        raise missing from None
    if not isinstance(found, str):
        raise missing
    return Path(found).parent


def _find_weights(folder: Path) -> tuple[Path, ...]:
    name = next((name for name in _WEIGHT_FILES if (folder / name).is_file()), None)
    if name is None:
        raise ConfigError(f"'{folder}' holds no weights (model.safetensors, or its shards with their index).")
    if not name.endswith(".index.json"):
        return (folder / name,)
    try:
        shards: list[str] = sorted(set(parse_json(read_bytes(folder / name))["weight_map"].values()))
        for shard in shards:
            check_file_name(shard, "weight_map")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"'{folder / name}' is no readable index of shards: {error}.") from error
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise ConfigError(f"'{folder}' lacks {len(missing)} of {len(shards)} weight files, such as {missing[0]}.")
    return tuple(folder / shard for shard in shards)


def _hash_file(path: Path) -> str:
    stat = path.stat()
    if stat.st_size < _CACHED_FROM_BYTES:
        return _digest(path)
    kept = cache_root() / "hashes" / f"{_hash_text(str(path.resolve()))[:32]}.json"
    stamp = [stat.st_size, stat.st_mtime_ns]
    try:
        earlier = json.loads(kept.read_text())
        if earlier["stamp"] == stamp:
            return str(earlier["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = _digest(path)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        write_text_atomically(kept, json.dumps({"stamp": stamp, "sha256": digest}))
    return digest


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
