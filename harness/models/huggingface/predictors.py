"""Multi-token prediction in DeepSeek-V3's checkpoints: whether it is there, and its copies of embedding and head.

A published module stands as one more layer after the last: ``enorm``, ``hnorm``, ``eh_proj``, a decoder layer and
``shared_head``, with copies of the model's embedding and output head beside them. Ours has no copies, so a module whose
copies are not equal to the model's own is another one, and is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from harness.core.model_config import ModelConfig
from harness.models.shards import ShardReader

MAX_DEPTH = 3
COPIES = ("embed_tokens.weight", "shared_head.head.weight")


def find_predictors(
    config: ModelConfig, published: Mapping[str, Any], reader: ShardReader
) -> tuple[ModelConfig, tuple[str, ...]]:
    """Return the configuration with the modules that can be taken over, and which of `COPIES` each of them has."""
    depth = published.get("num_nextn_predict_layers") or 0
    if published.get("model_type") != "deepseek_v3" or not 0 < depth <= MAX_DEPTH:
        return config, ()
    if f"model.layers.{config.num_layers}.eh_proj.weight" not in reader:
        return config, ()
    with_modules = dataclasses.replace(config, mtp_depth=depth, mtp_normed=True)
    found = [(name, main) for name, main in list_copies(with_modules, COPIES) if name in reader]
    if not all(torch.equal(reader.peek(name), reader.peek(_published_name(main))) for name, main in found):
        return config, ()
    names = {name for name, _ in found}
    whole = (kind for kind in COPIES if {name for name, _ in list_copies(with_modules, [kind])} <= names)
    return with_modules, tuple(whole)


def list_copies(config: ModelConfig, kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the published name of each copy, and which tensor of ours it repeats."""
    mains = {COPIES[0]: "embedding.weight", COPIES[1]: "embedding.weight" if config.tie_embeddings else "head.weight"}
    for depth in range(config.mtp_depth):
        for kind in kinds:
            yield f"model.layers.{config.num_layers + depth}.{kind}", mains[kind]


def _published_name(ours: str) -> str:
    return {"embedding.weight": "model.embed_tokens.weight", "head.weight": "lm_head.weight"}[ours]
