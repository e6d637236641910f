"""Checkpoints: safetensors for tensors, JSON for the rest, no pickle; whole or not there.

A checkpoint is a folder ``step-<n>/`` with ``tensors.safetensors`` (weights, router biases, Adam moments) and
``state.json`` (the model's configuration and hashes among it), which is written last: a folder without it is not a
checkpoint, and one whose hashes do not hold is damaged (`find_damage`) and not used. Of a model that no rank has as a
whole the tensors lie in parts (`harness.train.sharded_checkpoint`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from harness.core.config import model_config_from_dict
from harness.core.errors import ConfigError, RunFailedError
from harness.core.model_config import ModelConfig
from harness.core.plain_json import parse_json, read_bytes
from harness.core.store import write_text_atomically
from harness.models.folder import StoredModel
from harness.models.shards import ShardReader
from harness.train.integrity import PARTS, find_damage, seal_parts, seal_state
from harness.train.integrity import STATE as _STATE
from harness.train.integrity import TENSORS as _TENSORS
from harness.train.load import LoadCount
from harness.train.loop import TrainState
from harness.train.sharded_checkpoint import PartReader, is_sharded, load_parts, load_whole, save_parts


def checkpoint_path(root: Path, step: int) -> Path:
    """Return the folder of the checkpoint at `step`."""
    return root / f"step-{step:08d}"


def save_checkpoint(root: Path, state: TrainState, extra: dict[str, Any]) -> Path:
    """Write the state at its step; `extra` (JSON) comes back from `load_checkpoint`.

    Several ranks all call it. Where no rank has the whole model each writes its parts, else the main rank writes all.
    """
    path = checkpoint_path(root, state.step)
    ranks = state.spread.ranks
    pending = ranks.gather([float(loss) for loss in state.pending])
    if state.spread.is_sharded:
        hashes = save_parts(path, state.model, state.optimizer, state.spread)
        if ranks.is_main:
            sealed = seal_parts({**_describe(state, pending), "extra": extra}, hashes)
            write_text_atomically(path / _STATE, json.dumps(sealed))
    elif ranks.is_main:
        _save_whole(path, state)
        sealed = seal_state({**_describe(state, pending), "extra": extra}, path / _TENSORS)
        write_text_atomically(path / _STATE, json.dumps(sealed))
    ranks.barrier()
    return path


def _save_whole(path: Path, state: TrainState) -> None:
    path.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in state.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{names[id(parameter)]}.{key}"] = value
    temporary = path / f".{_TENSORS}.{os.getpid()}.tmp"
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path / _TENSORS)
    shutil.rmtree(path / PARTS, ignore_errors=True)


def _describe(state: TrainState, pending: list[list[float]]) -> dict[str, Any]:
    rows = None if state.expert_rows is None else state.expert_rows.tolist()
    described = {
        "step": state.step,
        "losses": state.losses,
        "expert_rows": rows,
        "load": None if state.load is None else _load_to_json(state.load),
        "micro_batch_size": state.micro.size if state.micro is not None else None,
        "model": dataclasses.asdict(state.model.config),
        "pending": [sum(losses) / len(pending) for losses in zip(*pending, strict=True)],
    }
    return described if len(pending) == 1 else {**described, "pending_by_rank": pending}


def load_checkpoint(path: Path, state: TrainState) -> dict[str, Any]:
    """Fill `state` from the checkpoint at `path`; return what was saved as `extra`.

    Several ranks all call it; the checkpoint may be of one process, or of another number of ranks and strategy.

    Raises:
        RunFailedError: there is no whole checkpoint there, it is damaged, or it is of another model.
    """
    ranks = state.spread.ranks
    where = f"checkpoint '{path.name}' of '{path.parent.name}' cannot be used"
    try:
        damage = ranks.from_main(find_damage(path) if ranks.is_main else None)
        if damage is not None:
            raise RunFailedError(f"{where}: {damage}.")
        saved = json.loads((path / _STATE).read_text())
        if is_sharded(path):
            load_parts(path, state.model, state.optimizer, state.spread)
        elif state.spread.is_sharded:
            load_whole(path / _TENSORS, state.model, state.optimizer, state.spread)
        else:
            _load_whole(path, state)
        return _fill(state, saved)
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        raise RunFailedError(f"{where}: {error}") from error
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        what = f"{type(error).__name__}: {error}"
        raise RunFailedError(f"{where}: {_STATE} holds something else than a state ({what}).") from error


def _fill(state: TrainState, saved: dict[str, Any]) -> dict[str, Any]:
    ranks, device = state.spread.ranks, state.model.embedding.weight.device
    state.step = saved["step"]
    state.losses = [(int(tokens), float(loss)) for tokens, loss in saved["losses"]]
    rows = saved.get("expert_rows")
    state.expert_rows = None if rows is None else torch.tensor(rows, device=device)
    state.load = _load_from_json(saved["load"], device) if saved.get("load") is not None else None
    by_rank = saved.get("pending_by_rank", ())
    pending = by_rank[ranks.rank] if len(by_rank) == ranks.size else saved.get("pending", ())
    state.pending = [torch.tensor(loss, device=device) for loss in pending]
    size = saved.get("micro_batch_size")
    if state.micro is not None and size is not None and state.micro.batch_size % size == 0:
        state.micro.keep_to(size)
    extra: dict[str, Any] = saved["extra"]
    return extra


def _load_whole(path: Path, state: TrainState) -> None:
    tensors = load_file(path / _TENSORS)
    weights = {name[len("model.") :]: value for name, value in tensors.items() if name.startswith("model.")}
    state.model.load_state_dict(weights)
    for name, parameter in state.model.named_parameters():
        prefix = f"optimizer.{name}."
        moments = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        if moments:
            state.optimizer.state[parameter] = {
                key: value if key == "step" and parameter.device.type == "cpu" else value.to(parameter.device)
                for key, value in moments.items()
            }


def open_checkpoint(path: Path, config: ModelConfig | None = None) -> StoredModel:
    """Return the weights of the checkpoint at `path`, read when they are asked for.

    `config` is the model's where the checkpoint does not say (those written before it was kept there); the size of its
    vocabulary comes from the weights.

    Raises:
        ConfigError: there is no whole checkpoint there, or nobody says of which model.
    """
    try:
        saved = parse_json(read_bytes(path / _STATE))
        config = model_config_from_dict(saved["model"]) if "model" in saved else config
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"checkpoint '{path}' cannot be read: {error}.") from error
    if config is None:
        raise ConfigError(f"checkpoint '{path}' does not say of which model; give its store and --run RUN_ID instead.")
    reader = PartReader(path, "model.") if is_sharded(path) else ShardReader(path, _TENSORS, prefix="model.")
    vocab_size = reader.read("embedding.weight").shape[0]
    return StoredModel(path, dataclasses.replace(config, vocab_size=vocab_size), reader, {})


def is_checkpoint(path: Path) -> bool:
    """Return whether `path` is the folder of a whole checkpoint."""
    return (path / _STATE).is_file() and ((path / _TENSORS).is_file() or is_sharded(path))


def latest_checkpoint(root: Path) -> Path | None:
    """Return the newest whole checkpoint under `root`, or ``None``."""
    whole = list_checkpoints(root)
    return whole[-1] if whole else None


def list_checkpoints(root: Path) -> list[Path]:
    """Return the whole checkpoints under `root`, oldest first; their hashes are not looked at."""
    return [path for path in sorted(root.glob("step-*")) if is_checkpoint(path)]


def step_of(path: Path) -> int:
    """Return the step of a checkpoint's folder."""
    return int(path.name.removeprefix("step-"))


def find_last_good(root: Path, needed_steps: Sequence[int] = ()) -> tuple[Path | None, list[str]]:
    """Return the newest good checkpoint under `root`, and a line for each damaged one, which is removed.

    It lies before the first of `needed_steps` that has none, so that going on from it makes that one.

    Raises:
        OSError: a file that is there cannot be read.
    """
    good, damaged = [], []
    for path in list_checkpoints(root):
        damage = find_damage(path)
        if damage is None:
            good.append(path)
        else:
            damaged.append(f"checkpoint '{path.name}' is damaged: {damage}")
            shutil.rmtree(path, ignore_errors=True)
    steps = {step_of(path) for path in good}
    first_missing = min((step for step in needed_steps if step not in steps), default=None)
    usable = [path for path in good if first_missing is None or step_of(path) < first_missing]
    return (usable[-1] if usable else None), damaged


def drop_checkpoints(root: Path, keep_steps: set[int], newest: int = 0) -> None:
    """Remove the checkpoints under `root` whose step is not in `keep_steps` and that are not among the `newest`."""
    steps = [step_of(path) for path in list_checkpoints(root)]
    keep_steps = {*keep_steps, *steps[max(0, len(steps) - newest) :]}
    for path in sorted(root.glob("step-*")):
        if step_of(path) not in keep_steps:
            shutil.rmtree(path, ignore_errors=True)


def _load_to_json(load: LoadCount) -> dict[str, Any]:
    return {"load": load.load_LE.tolist(), "violation": load.violation_L.tolist(), "num_steps": load.num_steps}


def _load_from_json(saved: dict[str, Any], device: torch.device) -> LoadCount:
    violation_L = torch.tensor(saved["violation"], dtype=torch.float64, device=device)
    return LoadCount(torch.tensor(saved["load"], device=device), violation_L, saved["num_steps"])
