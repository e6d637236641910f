"""What a run is judged by after training: held-out text, answers in windows of their own, and findings."""

from __future__ import annotations

import math

from harness.core.config import RunConfig
from harness.core.model_config import MoEConfig
from harness.core.readings import Finding
from harness.core.records import FlopCount, QualityReading
from harness.data import Dataset
from harness.measure import Meter
from harness.models.transformer import Transformer
from harness.run.answering import Asked, answer_own
from harness.run.outcome import Outcome
from harness.run.pretrain import Emit, Pretraining
from harness.train.evaluate import Evaluation, evaluate
from harness.train.schedule import tokens_per_step

FLOP_GAP_LIMIT = 0.01
EPOCH_LIMIT = 4.0


def judge(  # noqa: PLR0917 - the runner calls it, once
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    meter: Meter,
    outcome: Outcome,
    emit: Emit,
    eval_batch_size: int,
    asked: Asked,
) -> None:
    """Add quality on held-out text and, where the task is asked, answers with their windows to `outcome`."""
    emit({"event": "phase", "phase": "evaluate"})
    _judge_quality(config, model, data, outcome, eval_batch_size)
    if config.task.answer:
        answer_own(config, model, data, asked, meter, outcome, emit)


def add_findings(outcome: Outcome, flops: FlopCount, epochs: float) -> None:
    """Add what the counts and the routing say that a reader must know."""
    gap = flops.relative_gap
    if gap is not None and abs(gap) > FLOP_GAP_LIMIT:
        outcome.findings.append(
            Finding(
                code="flop_formula_gap",
                severity="error",
                text="the traced FLOPs of a training step differ from the formula's",
                value=gap,
                limit=FLOP_GAP_LIMIT,
            )
        )
    if epochs > EPOCH_LIMIT:
        outcome.findings.append(
            Finding(
                code="many_epochs",
                severity="warning",
                text="the training text was seen more often than the limit; repetition confounds the comparison",
                value=epochs,
                limit=EPOCH_LIMIT,
            )
        )
    for code, routing, where in (
        ("dead_experts", outcome.routing, "on held-out text"),
        ("dead_experts_in_training", outcome.training_routing, "over all of training"),
    ):
        if routing is not None and routing.num_dead_experts:
            text = f"experts that got less than 1% of the mean load {where}"
            value = routing.num_dead_experts
            outcome.findings.append(Finding(code=code, severity="warning", text=text, value=value, limit=0))


def judge_training(config: RunConfig, training: Pretraining, outcome: Outcome) -> None:
    """Add findings and windows of training to `outcome`, and the load of the experts where every step was counted."""
    outcome.windows.extend(training.windows)
    outcome.findings.extend(training.findings)
    state = training.state
    if not isinstance(state.model.config, MoEConfig):
        return
    if state.load is not None and state.load.num_steps == state.step:
        outcome.training_routing = state.load.summarise(state.step * tokens_per_step(config.train))
    else:
        text = "the load of the experts in training is unknown: the run went on from a checkpoint that did not count it"
        outcome.findings.append(Finding(code="training_load_unknown", severity="info", text=text))


def _judge_quality(
    config: RunConfig, model: Transformer, data: Dataset, outcome: Outcome, eval_batch_size: int
) -> None:
    evaluation: Evaluation = evaluate(
        model,
        data.validation,
        data.tokenizer.token_num_bytes,
        num_bytes_of_tokens=data.validation_bytes,
        context_length=config.train.context_length,
        batch_size=eval_batch_size,
        max_bytes=config.train.eval_bytes,
    )
    outcome.routing = evaluation.routing
    outcome.eval_batch_size = evaluation.batch_size
    outcome.quality.append(
        QualityReading(
            metric="validation_bits_per_byte",
            value=evaluation.bits_per_byte if math.isfinite(evaluation.bits_per_byte) else None,
            stderr=evaluation.stderr if math.isfinite(evaluation.stderr) else None,
            num_samples=evaluation.num_windows,
            higher_is_better=False,
            task="language_modelling",
            task_version=1,
            data_sha256=data.info.sha256,
            reason=None if math.isfinite(evaluation.bits_per_byte) else "the validation loss is not finite",
        )
    )
