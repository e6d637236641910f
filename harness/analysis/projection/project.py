"""From two models, a card and some batches to a projection: the entry points for the command and for other reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.batches import sweep_batches
from harness.analysis.projection.checks import check_against_public
from harness.analysis.projection.comparison import (
    Comparison,
    build_comparison,
    differs_in_precision,
    estimate_ratio,
    estimate_steps,
    with_weights,
)
from harness.analysis.projection.constants import choose_constants
from harness.analysis.projection.hardware import Card, load_card
from harness.analysis.projection.load import Load
from harness.analysis.projection.notes import list_notes
from harness.analysis.projection.pairs import Pair
from harness.analysis.projection.requests import Request, project_request
from harness.analysis.projection.results import (
    BatchRow,
    EqualPrecision,
    Projection,
    Side,
    WeightCriterion,
)
from harness.analysis.projection.sensitivity import estimate_interval, estimate_sensitivity
from harness.analysis.projection.training import DEFAULT_TRAIN_CONTEXT, TrainingPlan, compare_training
from harness.core.errors import ConfigError
from harness.flops.published.count import count_model
from harness.flops.published.shipped import read_model

DEFAULT_BATCHES = (1, 8, 64)
DEFAULT_CONTEXT = 1024
_EQUAL_DTYPE = "bf16"


def project_models(
    dense: str | Path,
    moe: str | Path,
    hardware: str | Card,
    batches: Sequence[int] = DEFAULT_BATCHES,
    context: int = DEFAULT_CONTEXT,
    *,
    constants: Path | None = None,
    assumptions: Assumptions | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    request: Request | None = None,
    training: TrainingPlan | None = None,
    pair: Pair | None = None,
) -> Projection:
    """Project a dense and a sparse-expert model (paths or shipped names) on a card (a name, a file or a `Card`).

    `constants` is a calibration of this machine. Always grade D: a model, not a measurement.

    Raises:
        ConfigError: a model, card or calibration that cannot be read, a batch or context below 1, or unknown storage.
    """
    for name, value in (*(("a batch", batch) for batch in batches), ("the context", context)):
        if value < 1:
            raise ConfigError(f"{name} is {value}; give 1 or more.")
    if not batches:
        raise ConfigError("no batch to project; give at least one.")
    card = hardware if isinstance(hardware, Card) else load_card(hardware)
    setup = build_comparison(
        read_model(dense),
        read_model(moe),
        card=card,
        constants=choose_constants(card, constants),
        assumptions=assumptions or Assumptions(),
        context=context,
        dtype=dtype,
        kv_dtype=kv_dtype,
    )
    rows = tuple(_row(setup, batch) for batch in batches)
    task = None if request is None else project_request(setup, batches, request)
    trained = None if training is None else compare_training(setup.dense, setup.moe, card, setup.assumptions, training)
    return Projection(
        dense=_side(str(dense), setup.dense, context),
        moe=_side(str(moe), setup.moe, context),
        card=card,
        constants=setup.constants,
        assumptions=setup.assumptions,
        context=context,
        rows=rows,
        sensitivity=estimate_sensitivity(setup, batches),
        sweep=sweep_batches(setup),
        equal_precision=_equal_precision(setup, batches),
        criterion=_criterion(setup),
        checks=check_against_public(setup, pair),
        task=task,
        training=trained,
        training_reason=None if trained else _why_no_training(pair),
        pair=pair,
        notes=list_notes(setup, rows, task, trained),
    )


def project_pair(
    pair: Pair,
    hardware: str | Card,
    batches: Sequence[int] = DEFAULT_BATCHES,
    context: int = DEFAULT_CONTEXT,
    *,
    constants: Path | None = None,
    assumptions: Assumptions | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    request: Request | None = None,
    training: TrainingPlan | None = None,
) -> Projection:
    """Project a named pair; its published tokens, where both are known, give the training projection."""
    return project_models(
        pair.dense,
        pair.moe,
        hardware,
        batches,
        context,
        constants=constants,
        assumptions=assumptions,
        dtype=dtype,
        kv_dtype=kv_dtype,
        request=request,
        training=training or _published_plan(pair),
        pair=pair,
    )


def _published_plan(pair: Pair) -> TrainingPlan | None:
    dense, moe = pair.dense_training, pair.moe_training
    if dense.tokens is None or moe.tokens is None:
        return None
    return TrainingPlan(
        dense_tokens=dense.tokens,
        moe_tokens=moe.tokens,
        dense_context=dense.context or DEFAULT_TRAIN_CONTEXT,
        moe_context=moe.context or DEFAULT_TRAIN_CONTEXT,
    )


def _why_no_training(pair: Pair | None) -> str:
    if pair is None:
        return "no tokens given: --dense-tokens and --moe-tokens"
    unknown = [
        name
        for name, facts in ((pair.dense, pair.dense_training), (pair.moe, pair.moe_training))
        if facts.tokens is None
    ]
    return (
        f"the training tokens of {' and '.join(unknown)} are not published; --dense-tokens and --moe-tokens give them"
    )


def _side(name: str, load: Load, context: int) -> Side:
    count = count_model(load.shape)
    return Side(
        name=name,
        model_type=count.model_type,
        total_params=count.total_params,
        active_params=count.active_params,
        weights=load.weights,
        weight_bytes=load.stored_bytes,
        cache_dtype=load.cache_dtype,
        cache_bytes=load.count_cache_bytes(context),
        max_context=count.max_context,
    )


def _row(setup: Comparison, batch: int) -> BatchRow:
    dense, moe = estimate_steps(setup, batch)
    ratio = moe.joules / dense.joules
    return BatchRow(
        batch=batch,
        ratio=ratio,
        ratio_uncapped=moe.uncapped_joules / dense.uncapped_joules,
        interval=estimate_interval(ratio, setup.constants.rms),
        dense=dense,
        moe=moe,
    )


def _equal_precision(setup: Comparison, batches: Sequence[int]) -> EqualPrecision | None:
    if not differs_in_precision(setup):
        return None
    same = with_weights(setup, _EQUAL_DTYPE)
    return EqualPrecision(
        dtype=_EQUAL_DTYPE,
        ratios=tuple(estimate_ratio(same, batch) for batch in batches),
        sweep=sweep_batches(same),
    )


def _criterion(setup: Comparison) -> WeightCriterion:
    dense, moe = count_model(setup.dense.shape), count_model(setup.moe.shape)
    q, s = dense.active_params / moe.active_params, moe.active_params / moe.total_params
    return WeightCriterion(q=q, s=s, qs=q * s, weight_bytes_ratio=setup.dense.stored_bytes / setup.moe.stored_bytes)
