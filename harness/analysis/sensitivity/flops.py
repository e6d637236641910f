"""Other conventions of counting training FLOPs, by formula from a record's own configuration; exact or not at all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from harness.analysis.sensitivity.recompute import Recomputed, Study, recompute
from harness.core.config import model_config_from_dict
from harness.core.model_config import HuggingFaceConfig, ModelConfig, MoEConfig
from harness.core.records import ParamCount, RunRecord
from harness.flops.formulas import TRAIN_FACTOR, count_train_flops_per_token, forward_flops

SIX = 6.0
SAME_COUNT = 1e-6

# FLOPs per training token, or why they cannot be told exactly.
Count = Callable[[RunRecord], float | str]


def list_conventions(study: Study) -> list[tuple[str, Recomputed]]:
    """Return the ratio of training FLOPs under each convention; which run is cheapest may change with it."""
    return [(words, _recount(study, count)) for words, count in CONVENTIONS]


def count_causal(record: RunRecord) -> float | str:
    """Return FLOPs per training token with attention halved for causality."""
    return _by_formula(record, lambda config, length: forward_flops(config, length, causal=True).total)


def count_without_head(record: RunRecord) -> float | str:
    """Return FLOPs per training token without the output head; an embedding lookup is 0 as it is."""
    return _by_formula(record, lambda config, length: forward_flops(config, length, with_head=False).total)


def count_without_router(record: RunRecord) -> float | str:
    """Return FLOPs per training token without the routers' products."""

    def count(config: ModelConfig, length: int) -> float:
        parts = forward_flops(config, length)
        return parts.total - parts.routers

    return _by_formula(record, count)


def count_six_n_d(record: RunRecord) -> float | str:
    """Return 6 N with all active parameters."""
    return _six(record, lambda params: params.active)


def count_six_n_d_non_embedding(record: RunRecord) -> float | str:
    """Return 6 N with active parameters less the input embedding and an untied head."""
    return _six(record, lambda params: params.active_non_embedding)


def count_executed(record: RunRecord) -> float | str:
    """Return FLOPs per training token that the experts really took; a dense model executes what is nominal."""
    if record.flops is None:
        return "a record holds no FLOPs"
    if record.flops.executed_train_per_token is not None:
        return record.flops.executed_train_per_token
    config = _read_config(record)
    if isinstance(config, str):
        return config
    if isinstance(config, MoEConfig):
        return "the records of the sparse models hold no executed FLOPs"
    return record.flops.train_per_token


CONVENTIONS: tuple[tuple[str, Count], ...] = (
    ("causal attention (half)", count_causal),
    ("without the output head", count_without_head),
    ("6 N D, N all active parameters", count_six_n_d),
    ("6 N D, N without embeddings", count_six_n_d_non_embedding),
    ("routers not counted", count_without_router),
    ("executed (padding and dropped tokens)", count_executed),
)


def _recount(study: Study, count: Count) -> Recomputed:
    points = []
    for point in study.match.points:
        record = study.records[point.run_id]
        per_token = count(record)
        wrong = _check_path(record)
        if isinstance(per_token, str) or wrong is not None:
            return Recomputed(reason=per_token if isinstance(per_token, str) else wrong)
        points.append(dataclasses.replace(point, flops=per_token * point.tokens))
    return recompute(study.pair(points), study.loss(), study.records, with_tasks=False)


def _check_path(record: RunRecord) -> str | None:
    """Return why the path's FLOPs are not tokens times the FLOPs of one, ``None`` where they are."""
    if record.flops is None or record.path is None:
        return "a record holds no FLOPs"
    nominal = record.flops.train_per_token * record.path.tokens
    if not math.isclose(nominal, record.path.flops, rel_tol=SAME_COUNT):
        return "the FLOPs of a path are not its tokens times the FLOPs of one token"
    return None


def _by_formula(record: RunRecord, forward: Callable[[ModelConfig, int], float]) -> float | str:
    """Return three times the forward FLOPs of `forward`, where the formula also gives what the record holds."""
    config = _read_config(record)
    if isinstance(config, str):
        return config
    length = (record.config.get("train") or {}).get("context_length")
    if not isinstance(length, int) or record.flops is None:
        return "a record names no context length or FLOPs"
    if config.mtp_depth:
        return "extra predictions are counted with full attention and heads of their own only"
    if not math.isclose(count_train_flops_per_token(config, length), record.flops.train_per_token, rel_tol=SAME_COUNT):
        return "the formula does not give the FLOPs that a record holds, so it is of another version"
    return TRAIN_FACTOR * forward(config, length)


def _read_config(record: RunRecord) -> ModelConfig | str:
    values = record.config.get("model")
    if not isinstance(values, dict):
        return "the records hold no configuration of the model"
    try:
        config = model_config_from_dict(values)
    except (TypeError, ValueError, AttributeError):
        return "the configuration of a model cannot be read"
    if isinstance(config, HuggingFaceConfig):
        return "a published model's FLOPs are counted from its own configuration"
    if not config.vocab_size:
        if record.data is None:
            return "the size of the vocabulary is unknown"
        config = dataclasses.replace(config, vocab_size=record.data.vocab_size)
    return config


def _six(record: RunRecord, count: Callable[[ParamCount], int]) -> float | str:
    if record.params is None:
        return "the parameters of some run are unknown"
    return SIX * count(record.params)
