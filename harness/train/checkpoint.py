"""Checkpoints: safetensors for tensors, JSON for the rest, no pickle; whole or not there.

A checkpoint is a folder ``step-<n>/`` with ``tensors.safetensors`` (weights, router biases, Adam moments) and
``state.json`` (the model's configuration and hashes among it), which is written last: a folder without it is not a
checkpoint, and one whose hashes do not hold is damaged (`find_damage`) and not used.
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
from harness.core.store import write_text_atomically
from harness.models.folder import StoredModel
from harness.models.shards import ShardReader
from harness.train.integrity import STATE as _STATE
from harness.train.integrity import TENSORS as _TENSORS
from harness.train.integrity import find_damage, seal_state
from harness.train.load import LoadCount
from harness.train.loop import TrainState


def checkpoint_path(root: Path, step: int) -> Path:
    """Return the folder of the checkpoint at `step`."""
    return root / f"step-{step:08d}"


def save_checkpoint(root: Path, state: TrainState, extra: dict[str, Any]) -> Path:
    """Write the state at its step; `extra` (JSON) comes back from `load_checkpoint`."""
    path = checkpoint_path(root, state.step)
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
    rows = None if state.expert_rows is None else state.expert_rows.tolist()
    saved = {
        "step": state.step,
        "losses": state.losses,
        "expert_rows": rows,
        "load": None if state.load is None else _load_to_json(state.load),
        "micro_batch_size": state.micro.size if state.micro is not None else None,
        "model": dataclasses.asdict(state.model.config),
        "pending": [float(loss) for loss in state.pending],
        "extra": extra,
    }
    write_text_atomically(path / _STATE, json.dumps(seal_state(saved, path / _TENSORS)))
    return path


def load_checkpoint(path: Path, state: TrainState) -> dict[str, Any]:
    """Fill `state` from the checkpoint at `path`; return what was saved as `extra`.

    Raises:
        RunFailedError: there is no whole checkpoint there, it is damaged, or it is of another model.
    """
    try:
        damage = find_damage(path)
        if damage is not None:
            raise RunFailedError(f"checkpoint '{path.name}' of '{path.parent.name}' cannot be used: {damage}.")
        saved = json.loads((path / _STATE).read_text())
        tensors = load_file(path / _TENSORS)
        weights = {name[len("model.") :]: value for name, value in tensors.items() if name.startswith("model.")}
        state.model.load_state_dict(weights)
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        raise RunFailedError(f"checkpoint '{path.name}' of '{path.parent.name}' cannot be used: {error}") from error
    for name, parameter in state.model.named_parameters():
        prefix = f"optimizer.{name}."
        moments = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        if moments:
            state.optimizer.state[parameter] = {
                key: value if key == "step" and parameter.device.type == "cpu" else value.to(parameter.device)
                for key, value in moments.items()
            }
    state.step = saved["step"]
    state.losses = [(int(tokens), float(loss)) for tokens, loss in saved["losses"]]
    rows = saved.get("expert_rows")
    device = state.model.embedding.weight.device
    state.expert_rows = None if rows is None else torch.tensor(rows, device=device)
    state.load = _load_from_json(saved["load"], device) if saved.get("load") is not None else None
    state.pending = [torch.tensor(loss, device=device) for loss in saved.get("pending", ())]
    if state.micro is not None and saved.get("micro_batch_size") is not None:
        state.micro.keep_to(saved["micro_batch_size"])
    extra: dict[str, Any] = saved["extra"]
    return extra


def open_checkpoint(path: Path, config: ModelConfig | None = None) -> StoredModel:
    """Return the weights of the checkpoint at `path`, read when they are asked for.

    `config` is the model's where the checkpoint does not say (those written before it was kept there); the size of its
    vocabulary comes from the weights.

    Raises:
        ConfigError: there is no whole checkpoint there, or nobody says of which model.
    """
    try:
        saved = json.loads((path / _STATE).read_text())
        config = model_config_from_dict(saved["model"]) if "model" in saved else config
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"checkpoint '{path}' cannot be read: {error}.") from error
    if config is None:
        raise ConfigError(f"checkpoint '{path}' does not say of which model; give its store and --run RUN_ID instead.")
    reader = ShardReader(path, _TENSORS, prefix="model.")
    vocab_size = reader.read("embedding.weight").shape[0]
    return StoredModel(path, dataclasses.replace(config, vocab_size=vocab_size), reader, {})


def is_checkpoint(path: Path) -> bool:
    """Return whether `path` is the folder of a whole checkpoint."""
    return (path / _STATE).is_file() and (path / _TENSORS).is_file()


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
