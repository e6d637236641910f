"""Weights of runs: keeping a trained model in the store, and finding those that a run left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.core.config import RunConfig, model_config_from_dict
from harness.core.errors import ConfigError, did_you_mean
from harness.core.model_config import ModelConfig
from harness.core.plain_json import parse_json, read_bytes
from harness.core.store import Store
from harness.data import Dataset
from harness.models.folder import CONFIG_NAME, StoredModel, open_model, save_model
from harness.models.transformer import Transformer
from harness.train.checkpoint import is_checkpoint, latest_checkpoint, open_checkpoint


def keep_model(model: Transformer, config: RunConfig, data: Dataset, folder: Path) -> None:
    """Write a trained model to `folder` with its tokenizer beside it, whole or not at all.

    What an earlier attempt of the same run left there goes.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    separator = data.tokenizer.separator
    published = {
        "max_position_embeddings": config.train.context_length,
        "bos_token_id": separator,
        "eos_token_id": separator,
        "pad_token_id": None,
    }
    save_model(model, temporary, {"config": published})
    (temporary / "tokenizer.json").write_text(data.tokenizer.to_published())
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (temporary / "tokenizer_config.json").write_text(json.dumps(described, indent=1) + "\n")
    temporary.rename(folder)


def find_model(source: Path, run_id: str | None = None) -> StoredModel:
    """Return the model in a model folder, a checkpoint, a run's folder of checkpoints, or a store with `run_id`.

    A store's kept model is taken before a checkpoint, and a run's newest checkpoint before older ones.

    Raises:
        ConfigError: there is none, or it is not clear which; the message says what to give instead.
    """
    store = _as_store(source)
    if store is not None:
        return _find_in_store(store, run_id)
    if run_id is not None:
        raise ConfigError(f"'{source}' is no store (a folder with records/), so it has no --run; leave --run out.")
    if (source / CONFIG_NAME).is_file():
        return open_model(source)
    checkpoint = source if is_checkpoint(source) else latest_checkpoint(source)
    if checkpoint is not None:
        run = checkpoint.resolve().parent
        return open_checkpoint(checkpoint, _config_of(Store(run.parent.parent), run.name))
    raise ConfigError(
        f"'{source}' holds no model; give a model folder ({CONFIG_NAME}), a checkpoint (step-<n>), a run's "
        "checkpoints, or a store and --run RUN_ID."
    )


def _as_store(folder: Path) -> Store | None:
    parts = ("records", "started", "checkpoints", "models")
    return Store(folder) if any((folder / part).is_dir() for part in parts) else None


def _find_in_store(store: Store, run_id: str | None) -> StoredModel:
    kept = {path.parent.name for path in store.root.glob(f"models/*/{CONFIG_NAME}")}
    checkpoints = {path.name for path in store.root.glob("checkpoints/*") if latest_checkpoint(path) is not None}
    known = sorted(kept | checkpoints)
    if run_id is None and len(known) == 1:
        run_id = known[0]
    if run_id is None and known:
        raise ConfigError(f"'{store.root}' has weights of {len(known)} runs; give --run, one of {', '.join(known)}.")
    if run_id in kept:
        return open_model(store.model_dir(run_id))
    newest = latest_checkpoint(store.checkpoint_dir(run_id)) if run_id in checkpoints else None
    if run_id is not None and newest is not None:
        return open_checkpoint(newest, _config_of(store, run_id))
    if run_id is None or store.record_path(run_id).exists():
        what = f"'{store.root}' holds no weights" if run_id is None else f"run '{run_id}' left no weights"
        raise ConfigError(
            f"{what}: checkpoints of finished runs are removed; run with save_model=true to keep a model."
        )
    raise ConfigError(f"'{store.root}' has no run '{run_id}'.{did_you_mean(run_id, known)}")


def _config_of(store: Store, run_id: str) -> ModelConfig | None:
    """Return the model of a run from its record, or from its marker while it is under way; ``None`` without either."""
    for path in (store.record_path(run_id), store.marker_path(run_id)):
        try:
            return model_config_from_dict(parse_json(read_bytes(path))["config"]["model"])
        except (OSError, ValueError, KeyError, TypeError, ConfigError):
            continue
    return None
