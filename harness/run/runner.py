"""Executes one run: from a configuration to one immutable record.

Order: environment, data and all that will be asked, idle window before the model exists, model (parameter and FLOP
formulas checked), warm-up, idle window with everything resident (the baseline of net energy), training windows, quality
and routing outside any window, answering windows, idle again, memory bandwidth.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from typing import Any

from harness.core.clock import utc_label
from harness.core.config import RunConfig, validate_run
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.data import Dataset, prepare_data
from harness.data.batches import num_epochs
from harness.measure import check_idle_drift, measure_idle
from harness.models import count_params
from harness.models.transformer import Transformer
from harness.run.answering import Asked, build_asked
from harness.run.batches import describe_batches, find_parts, fit_batch, fit_windows
from harness.run.conditions import add_conditions
from harness.run.contention import WatchedMeter
from harness.run.device import autocast_dtype, prepare_device
from harness.run.environment import describe_environment
from harness.run.identity import identify_run
from harness.run.judging import add_findings, judge, judge_training
from harness.run.outcome import Outcome
from harness.run.outline import begin_record
from harness.run.peak import bandwidth_of, peak_of_ranks
from harness.run.preparation import add_executed, build, build_forward, check_flops, warm_up
from harness.run.pretrain import Emit, Pretrainer, Pretraining
from harness.run.rank_energy import RankMeter
from harness.run.several import describe_ranks, find_contention, name_devices, open_meter, whole_model
from harness.run.weights import keep_model
from harness.tasks.suite import check_suite
from harness.train.ranks import ALONE, Ranks
from harness.train.spread import spread_model

MAX_CURVE_POINTS = 200


def execute(  # noqa: PLR0915 - the order of a run, in one place
    config: RunConfig, store: Store, emit: Emit, ranks: Ranks = ALONE
) -> RunRecord:
    """Run `config` to the end, write its record and power trace to `store`, and return the record.

    Several ranks (`harness.run.rank`) all call it and go the same way; the main one writes, and alone it judges the
    trained model, gathered whole, while the others wait. What they return lacks the judgement.

    Raises:
        HarnessError: a configuration, corpus or sensor that cannot be used; nothing is written.
    """
    validate_run(config)
    check_suite(config.task)
    started = utc_label()
    device = prepare_device(config, ranks)
    environment = describe_environment(device)
    emit({"event": "phase", "phase": "data"})
    data = _prepare_corpus(config, ranks)
    run_id, config_hash = identify_run(config, data.identity_sha256)
    asked = Asked() if config.role == "trunk" else build_asked(config.task, data.test_documents, data.tokenizer.encode)
    outcome = Outcome()
    samples = store.samples_dir(run_id)
    with open_meter(config, ranks, device, samples) as meter:
        outcome.windows.append(measure_idle(meter, config.measure.idle_s, "idle_before").to_record())
        emit({"event": "phase", "phase": "model"})
        # The configuration as written stays the identity; the model itself learns the vocabulary from the tokenizer.
        model = build(config, data, device)
        params = count_params(model.config)
        spread = spread_model(model, ranks)
        fit = fit_batch(config, model, device, ranks)
        flops = check_flops(config, model, data, device, fit.micro, spread)
        forward = build_forward(config, model, spread)
        peak = peak_of_ranks(ranks, device, autocast_dtype(config.train.precision, device))
        outcome.windows.append(warm_up(config, model, data, device, meter, forward, fit.micro, spread))
        resident = measure_idle(meter, config.measure.idle_s, "idle_resident")
        meter.set_idle(resident)  # the baseline of net energy: everything is loaded, nothing runs
        outcome.windows.append(resident.to_record())

        emit({"event": "phase", "phase": "pretrain"})
        bytes_per_token = _train_bytes_per_token(data)
        pretrainer = Pretrainer(config, model, data.train, bytes_per_token, meter, forward, fit.micro, spread)
        trunk = store.checkpoint_dir(config.trunk_id) if config.role == "branch" and config.trunk_id else None
        training = pretrainer.run(store.checkpoint_dir(run_id), trunk, emit)
        judge_training(config, training, outcome)
        outcome.findings.extend(find_parts(fit.micro, model.config, config.train.batch_size))
        flops = add_executed(flops, config, model, training)
        parallel = describe_ranks(config, ranks, meter, device, fit.micro.size)
        training.give_back()

        if config.role != "trunk":
            model = whole_model(config, model, data, device, spread)
            _judge_on_main(config, model, data, meter, outcome, emit, fit_windows(fit, config.train, device), asked)
        after = measure_idle(meter, config.measure.idle_s, "idle_after")
        outcome.windows.append(after.to_record())
        outcome.findings.extend(check_idle_drift(resident, after))
        sensors = tuple(meter.sensors)
        outcome.findings.extend([*meter.findings, *find_contention(meter, is_cpu=device.type == "cpu")])
        trace = meter.trace() if config.measure.trace and ranks.is_main else None
    speed = _train_speed(training)
    bandwidth = bandwidth_of(device) if asked != Asked() and ranks.is_main else None
    epochs = num_epochs(training.path.tokens, data.train)
    add_findings(outcome, flops, epochs)
    record = add_conditions(
        dataclasses.replace(
            begin_record(config, run_id, config_hash, started),
            environment=environment if parallel is None else name_devices(environment, parallel),
            sensors=sensors,
            data=data.info,
            params=params,
            flops=flops,
            path=training.path,
            windows=tuple(outcome.windows),
            quality=tuple(outcome.quality),
            routing=outcome.routing,
            training_routing=outcome.training_routing,
            loss_curve=_loss_curve(training, _train_bytes_per_token(data)),
            epochs=epochs,
            train_flops_per_s=speed,
            mfu=None if speed is None else speed / peak.flops_per_s,
            peak_flops_per_s=peak.flops_per_s,
            peak_source=peak.source,
            peak_bytes_per_s=None if bandwidth is None else bandwidth.bytes_per_s,
            peak_bytes_source=None if bandwidth is None else bandwidth.source,
            batches=describe_batches(fit, config.train.precision, device, outcome.eval_batch_size),
            task_routing=tuple(outcome.task_routing),
            expert_coverage=tuple(outcome.expert_coverage),
            parallel=parallel,
            findings=tuple(outcome.findings),
        )
    )
    if ranks.is_main:
        if config.save_model and config.role != "trunk":
            keep_model(model, config, data, store.model_dir(run_id))
        _write(store, record, outcome, trace)
    shutil.rmtree(samples, ignore_errors=True)  # the record and its trace hold what they say; a crash leaves them
    return record


def _judge_on_main(  # noqa: PLR0917 - what `judge` takes
    config: RunConfig,
    model: Transformer,
    data: Dataset,
    meter: WatchedMeter | RankMeter,
    outcome: Outcome,
    emit: Emit,
    eval_batch_size: int,
    asked: Asked,
) -> None:
    """Judge the trained model; of several ranks the main one does, and its own device and machine are measured."""
    if isinstance(meter, WatchedMeter):
        judge(config, model, data, meter, outcome, emit, eval_batch_size, asked)
        return
    if meter.ranks.is_main:
        judge(config, model, data, meter.for_main(), outcome, emit, eval_batch_size, asked)
    meter.ranks.wait_for_main()


def _prepare_corpus(config: RunConfig, ranks: Ranks) -> Dataset:
    """Return the corpus; one rank of each launcher prepares it, the others find it in the cache."""
    turns = [min(1, local_rank) for local_rank in ranks.gather(ranks.local_rank)]
    prepared: Dataset = ranks.run_by_turns(turns, lambda: prepare_data(config.data))
    return prepared


def _write(store: Store, record: RunRecord, outcome: Outcome, trace: dict[str, Any] | None) -> None:
    """Write what a run leaves, the record last: with it the run counts as finished."""
    if trace is not None:
        store.write_trace(record.run_id, trace)
    if outcome.answers:
        store.write_answers(record.run_id, outcome.answers)
    store.write_record(record)


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
