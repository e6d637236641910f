"""Tensors in safetensors files, one or several with an index, read and written one tensor at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.core.errors import ConfigError
from harness.core.plain_json import check_file_name, parse_json, read_bytes

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class ShardReader:
    """Reads the tensors of a folder by name; nothing is loaded before it is asked for.

    `single` is what the file is called where there is only one. With a `prefix` only names that begin with it count,
    and are known without it.
    """

    def __init__(self, folder: Path, single: str = SINGLE, prefix: str = "") -> None:
        """Find every tensor, raising `ConfigError` that says what is missing."""
        self._folder, self._single, self._prefix = folder, single, prefix
        self._open: dict[str, Any] = {}
        self._files = self._find()
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Return whether there is a tensor of that name."""
        return name in self._files

    def read(self, name: str) -> Tensor:
        """Return a tensor.

        Raises:
            ConfigError: it is not there, or its file cannot be read.
        """
        tensor = self.peek(name)
        self._read.add(name)
        return tensor

    def peek(self, name: str) -> Tensor:
        """Return a tensor as `read` does, without counting it as read."""
        if name not in self._files:
            raise ConfigError(
                f"'{self._folder}' has no tensor '{name}': the checkpoint is of another model, or not whole."
            )
        file = self._files[name]
        try:
            if file not in self._open:
                self._open[file] = safe_open(self._folder / file, framework="pt")
            tensor: Tensor = self._open[file].get_tensor(self._prefix + name)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"'{self._folder / file}' cannot be read: {error}.") from error
        return tensor

    def unread(self) -> list[str]:
        """Return the names of tensors that nobody has read."""
        return sorted(set(self._files) - self._read)

    def _find(self) -> dict[str, str]:
        index = self._folder / INDEX
        if index.is_file():
            try:
                files: dict[str, str] = dict(parse_json(read_bytes(index))["weight_map"])
                for file in files.values():
                    check_file_name(file, "weight_map")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConfigError(f"'{index}' is no readable index of shards: {error}.") from error
            missing = sorted(file for file in set(files.values()) if not (self._folder / file).is_file())
            if missing:
                raise ConfigError(f"'{self._folder}' lacks {missing[0]} ({len(missing)} of its shards are missing).")
            return files
        single = self._folder / self._single
        if not single.is_file():
            raise ConfigError(f"'{self._folder}' holds neither {self._single} nor {INDEX}.")
        try:
            with safe_open(single, framework="pt") as file:
                names = [name for name in file.keys() if name.startswith(self._prefix)]  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"'{single}' cannot be read: {error}.") from error
        return {name.removeprefix(self._prefix): self._single for name in names}


def write_shards(folder: Path, tensors: Iterable[tuple[str, Tensor]], max_bytes: int) -> int:
    """Write tensors as they come into files of at most `max_bytes` (one tensor at least); return their size in bytes.

    The index, or the only file's final name, is written last: a folder without it is not a checkpoint.
    """
    shards: list[tuple[Path, list[str]]] = []
    total = 0
    for part in _fill(tensors, max_bytes):
        path = folder / f".part-{len(shards) + 1:05d}.safetensors"
        save_file(part, path, metadata={"format": "pt"})
        shards.append((path, list(part)))
        total += sum(tensor.numel() * tensor.element_size() for tensor in part.values())
    if len(shards) == 1:
        shards[0][0].replace(folder / SINGLE)
        return total
    weight_map: dict[str, str] = {}
    for number, (path, names) in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        path.replace(folder / file)
        weight_map |= dict.fromkeys(names, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=1))
    return total


def _fill(tensors: Iterable[tuple[str, Tensor]], max_bytes: int) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        num_bytes = tensor.numel() * tensor.element_size()
        if part and size + num_bytes > max_bytes:
            yield part
            part, size = {}, 0
        part[name] = tensor.contiguous()
        size += num_bytes
    if part:
        yield part
