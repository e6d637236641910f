"""Executes one run: from a configuration to one immutable record.

Order: environment, idle window before the model exists, data, model (parameter and FLOP formulas checked), warm-up,
idle window with everything resident (the baseline of net energy), training windows, quality outside any window,
answering windows, idle again.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.core.clock import utc_label
from harness.core.config import RunConfig, validate_run
from harness.core.records import (
    Finding,
    FlopCount,
    QualityReading,
    RoutingStats,
    RunRecord,
    WindowRecord,
)
from harness.core.store import Store
from harness.data import Dataset, prepare_data
from harness.data.batches import num_epochs
from harness.measure import Meter, check_idle_drift, measure_idle
from harness.models import count_params
from harness.models.transformer import Transformer
from harness.run.device import autocast_dtype, peak_memory_bytes, prepare_device, synchroniser
from harness.run.environment import describe_environment
from harness.run.identity import identify_run
from harness.run.outline import begin_record
from harness.run.peak import peak_of
from harness.run.preparation import add_executed, build, build_forward, check_flops, warm_up
from harness.run.pretrain import Emit, Pretrainer, Pretraining
from harness.tasks.answer import WorkSlot, answer_examples
from harness.tasks.line_completion import (
    TASK_NAME,
    TASK_VERSION,
    binomial_stderr,
    build_examples,
    require_task_version,
)
from harness.train.evaluate import Evaluation, evaluate

FLOP_GAP_LIMIT = 0.01
EPOCH_LIMIT = 4.0
MAX_CURVE_POINTS = 200


@dataclass(slots=True)
class _Outcome:
    """What a run has gathered so far."""

    windows: list[WindowRecord] = field(default_factory=list)
    quality: list[QualityReading] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    routing: RoutingStats | None = None


def execute(config: RunConfig, store: Store, emit: Emit) -> RunRecord:
    """Run `config` to the end, write its record and power trace to `store`, and return the record.

    Raises:
        HarnessError: a configuration, corpus or sensor that cannot be used; nothing is written.
    """
    validate_run(config)
    require_task_version(config.task)
    started = utc_label()
    device = prepare_device(config)
    environment = describe_environment(device)
    emit({"event": "phase", "phase": "data"})
    data = prepare_data(config.data)
    run_id, config_hash = identify_run(config, data.info.sha256)
    outcome = _Outcome()
    samples = store.samples_dir(run_id)
    with Meter(config.measure, folder=samples) as meter:
        outcome.windows.append(measure_idle(meter, config.measure.idle_s, "idle_before").to_record())
        emit({"event": "phase", "phase": "model"})
        # The configuration as written stays the identity; the model itself learns the vocabulary from the tokenizer.
        model = build(config, data, device)
        params = count_params(model.config)
        flops = check_flops(config, model, data, device)
        forward = build_forward(config, model)
        peak = peak_of(device, autocast_dtype(config.train.precision, device))
        outcome.windows.append(warm_up(config, model, data, device, meter, forward))
        resident = measure_idle(meter, config.measure.idle_s, "idle_resident")
        meter.set_idle(resident)  # the baseline of net energy: everything is loaded, nothing runs
        outcome.windows.append(resident.to_record())

        emit({"event": "phase", "phase": "pretrain"})
        pretrainer = Pretrainer(config, model, data.train, _train_bytes_per_token(data), meter, forward)
        trunk = store.checkpoint_dir(config.trunk_id) if config.role == "branch" and config.trunk_id else None
        training = pretrainer.run(store.checkpoint_dir(run_id), trunk, emit)
        outcome.windows.extend(training.windows)
        outcome.findings.extend(training.findings)
        flops = add_executed(flops, config, model, training)

        if config.role != "trunk":
            emit({"event": "phase", "phase": "evaluate"})
            _judge_quality(config, model, data, outcome)
            if config.task.answer:
                emit({"event": "phase", "phase": "answer"})
                _answer(config, model, data, meter, outcome)
        after = measure_idle(meter, config.measure.idle_s, "idle_after")
        outcome.windows.append(after.to_record())
        outcome.findings.extend(check_idle_drift(resident, after))
        sensors = tuple(meter.sensors)
        outcome.findings.extend(meter.findings)
        trace = meter.trace() if config.measure.trace else None
    speed = _train_speed(training)
    epochs = num_epochs(training.path.tokens, data.train)
    _add_findings(outcome, flops, epochs)
    record = dataclasses.replace(
        begin_record(config, run_id, config_hash, started),
        environment=environment,
        sensors=sensors,
        data=data.info,
        params=params,
        flops=flops,
        path=training.path,
        windows=tuple(outcome.windows),
        quality=tuple(outcome.quality),
        routing=outcome.routing,
        loss_curve=_loss_curve(training, _train_bytes_per_token(data)),
        epochs=epochs,
        train_flops_per_s=speed,
        mfu=None if speed is None else speed / peak.flops_per_s,
        peak_flops_per_s=peak.flops_per_s,
        peak_source=peak.source,
        findings=tuple(outcome.findings),
    )
    if trace is not None:
        store.write_trace(run_id, trace)
    store.write_record(record)
    shutil.rmtree(samples, ignore_errors=True)  # the record and its trace hold what they say; a crash leaves them
    return record


def _judge_quality(config: RunConfig, model: Transformer, data: Dataset, outcome: _Outcome) -> None:
    evaluation: Evaluation = evaluate(
        model,
        data.validation,
        data.tokenizer.token_num_bytes,
        context_length=config.train.context_length,
        batch_size=config.train.eval_batch_size,
        max_bytes=config.train.eval_bytes,
    )
    outcome.routing = evaluation.routing
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


def _answer(config: RunConfig, model: Transformer, data: Dataset, meter: Meter, outcome: _Outcome) -> None:
    device = model.embedding.weight.device

    @contextmanager
    def open_window(phase: str) -> Iterator[WorkSlot]:
        slot = WorkSlot()
        with meter.window(phase, repetition=0, sync=synchroniser(device)) as window:
            yield slot
        outcome.windows.append(window.to_record(work=slot.work, peak_memory_bytes=peak_memory_bytes(device)))
        outcome.findings.extend(window.findings)

    examples = build_examples(
        data.test_documents,
        data.tokenizer,
        num_examples=config.task.num_examples,
        context_length=config.task.context_length,
    )
    answers = answer_examples(model, examples, data.tokenizer, config.task, open_window)
    outcome.quality.append(
        QualityReading(
            metric="exact_match",
            value=answers.num_correct / answers.num_examples,
            stderr=binomial_stderr(answers.num_correct, answers.num_examples),
            num_samples=answers.num_examples,
            higher_is_better=True,
            task=TASK_NAME,
            task_version=TASK_VERSION,
            data_sha256=data.info.sha256,
        )
    )


def _add_findings(outcome: _Outcome, flops: FlopCount, epochs: float) -> None:
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
    if outcome.routing is not None and outcome.routing.num_dead_experts:
        outcome.findings.append(
            Finding(
                code="dead_experts",
                severity="warning",
                text="experts that got less than 1% of the mean load on held-out text",
                value=outcome.routing.num_dead_experts,
                limit=0,
            )
        )


def _train_bytes_per_token(data: Dataset) -> float:
    return data.info.train_bytes / data.info.train_tokens


def _loss_curve(training: Pretraining, bytes_per_token: float) -> tuple[tuple[int, float], ...]:
    losses = training.state.losses
    stride = max(1, math.ceil(len(losses) / MAX_CURVE_POINTS))
    scale = 1 / (math.log(2) * bytes_per_token)
    return tuple((tokens, nats * scale) for tokens, nats in losses[stride - 1 :: stride])


def _train_speed(training: Pretraining) -> float | None:
    own = [window for window in training.windows if window.phase == "pretrain" and window.work is not None]
    seconds = sum(window.duration_s for window in own)
    flops = sum(window.work.flops or 0.0 for window in own if window.work is not None)
    return flops / seconds if seconds > 0 else None
