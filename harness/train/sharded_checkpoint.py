"""Checkpoints of models that no rank has as a whole: torch.distributed.checkpoint, read back on any number of ranks.

The folder ``step-<n>/`` holds ``sharded/`` (each rank's parts and their index) in place of one file of tensors, and the
same ``state.json``, written last, with the SHA-256 of every file. Names and contents of tensors are those of
`harness.train.checkpoint`, so either sort can be read into either layout: one process, the whole model on every rank,
or parts of it.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from torch import Tensor

from harness.core.errors import RunFailedError
from harness.train.integrity import PARTS, hash_file
from harness.train.ranks import ALONE, Ranks
from harness.train.spread import Spread, copy_whole, walk_tensors

_INDEX = ".metadata"
_MOMENTS = ("exp_avg", "exp_avg_sq")


def is_sharded(path: Path) -> bool:
    """Return whether the checkpoint in the folder `path` holds parts in place of one file of tensors."""
    return (path / PARTS / _INDEX).is_file()


def save_parts(path: Path, model: Any, optimizer: torch.optim.Optimizer, spread: Spread) -> dict[str, str]:
    """Write each rank's parts under `path`; all ranks call it. Return the SHA-256 of each file by name, on all ranks.

    What an earlier try left there goes.
    """
    ranks = spread.ranks
    if ranks.is_main:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    ranks.barrier()
    tensors = {name: value.detach() for name, value in walk_tensors(model, optimizer, spread)}
    dcp.save(tensors, checkpoint_id=path / PARTS, process_group=ranks.control, no_dist=ranks.is_alone)
    ranks.barrier()
    own = {
        file.name: hash_file(file)
        for file in sorted((path / PARTS).iterdir())
        if file.name.startswith(f"__{ranks.rank}_") or (ranks.is_main and file.name == _INDEX)
    }
    return {name: digest for found in ranks.gather(own) for name, digest in found.items()}


def load_parts(path: Path, model: Any, optimizer: torch.optim.Optimizer, spread: Spread) -> None:
    """Fill the model and the optimiser's moments from parts that any number of ranks wrote; all ranks call it."""
    reader = dcp.FileSystemReader(path / PARTS)
    names = reader.read_metadata().state_dict_metadata
    _make_moments(model, optimizer, names)
    tensors = {name: value.detach() for name, value in walk_tensors(model, optimizer, spread)}
    missing = sorted(set(tensors) - set(names))
    if missing:
        raise RunFailedError(f"checkpoint '{path.name}' has no tensor '{missing[0]}': it is of another model.")
    ranks = spread.ranks
    _load(tensors, reader, ranks)


def load_whole(file: Path, model: Any, optimizer: torch.optim.Optimizer, spread: Spread) -> None:
    """Fill the model and the optimiser's moments from one file of whole tensors; each rank keeps its parts of it."""
    with safe_open(file, framework="pt") as tensors:
        _make_moments(model, optimizer, set(tensors.keys()))
        for name, target in walk_tensors(model, optimizer, spread):
            copy_whole(target, tensors.get_tensor(name))


class PartReader:
    """Reads whole tensors out of a sharded checkpoint by name, as `harness.models.shards.ShardReader` does of files."""

    def __init__(self, path: Path, prefix: str = "") -> None:
        self._path, self._prefix = path / PARTS, prefix
        metadata = dcp.FileSystemReader(self._path).read_metadata().state_dict_metadata
        self._known = {name.removeprefix(prefix): part for name, part in metadata.items() if name.startswith(prefix)}
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Return whether there is a tensor of that name."""
        return name in self._known

    def read(self, name: str) -> Tensor:
        """Return a tensor as a whole."""
        self._read.add(name)
        return self.peek(name)

    def peek(self, name: str) -> Tensor:
        """Return a tensor as `read` does, without counting it as read."""
        known = self._known[name]
        out = {self._prefix + name: torch.empty(known.size, dtype=known.properties.dtype)}
        _load(out, dcp.FileSystemReader(self._path), ALONE)
        return out[self._prefix + name]

    def unread(self) -> list[str]:
        """Return the names of tensors that nobody has read."""
        return sorted(set(self._known) - self._read)


def _load(tensors: dict[str, Tensor], reader: dcp.FileSystemReader, ranks: Ranks) -> None:
    with warnings.catch_warnings():  # torch says of one process that it is one
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        dcp.load(tensors, storage_reader=reader, process_group=ranks.control, no_dist=ranks.is_alone)


def _make_moments(model: Any, optimizer: torch.optim.Optimizer, names: Any) -> None:
    """Give the optimiser empty moments of this layout for each parameter of which `names` has some."""
    for name, parameter in model.named_parameters():
        if f"optimizer.{name}.exp_avg" not in names:
            continue
        state = optimizer.state[parameter]
        for key in _MOMENTS:
            state[key] = torch.zeros_like(parameter, memory_format=torch.preserve_format).detach()
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
