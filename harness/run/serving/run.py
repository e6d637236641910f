"""Executes one run against a server: warm-up, idle windows with the server loaded, the load in a window, the record.

The server is asked as it stands; nothing is trained or loaded here. Order: the model's name, one request that finds out
which fields the server takes, warm-up, idle, the window ``serve`` over all requests, idle again, then the window
``serve_steady`` read afterwards over the stretch in which the load was full.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.core.clock import now_s, utc_label
from harness.core.config import RunConfig, validate_run
from harness.core.errors import ConfigError
from harness.core.inference import Regime
from harness.core.provenance import Environment
from harness.core.readings import Finding, SensorInfo
from harness.core.records import RunRecord, WindowRecord, Work
from harness.core.store import Store
from harness.core.task_config import ServerConfig, count_places, hide_host, name_served
from harness.data import prepare_data
from harness.measure import Meter, Window, check_idle_drift, measure_idle
from harness.run.conditions import add_conditions
from harness.run.environment import describe_environment
from harness.run.identity import identify_run, needs_corpus
from harness.run.outline import begin_record
from harness.run.pretrain import Emit
from harness.run.serving.energy import find_sensor_period_s, open_meter, read_steady_window, share_energy
from harness.run.serving.plan import PlannedRequest, plan_load, plan_requests, plan_warmup
from harness.run.serving.rows import build_rows, count_correct, judge_answers
from harness.run.serving.verdict import find_client_problems, find_load_problems, judge_load
from harness.serving.client import Target
from harness.serving.load import Load, LoadResult, drive
from harness.serving.probe import check_server, is_local, learn_dialect, read_api_key
from harness.serving.steady import SteadyStretch, find_steady
from harness.serving.summary import summarise
from harness.tasks.suite import build_suite

DETERMINISM = "a server's own: temperature 0 and a seed are asked for, what it does with them is not known"
_PROGRESS_S = 0.5


@dataclass(slots=True)
class _Measured:
    """What the meter and the client brought back; the rest of a run is arithmetic."""

    result: LoadResult
    serve: Window
    steady: SteadyStretch
    origin_s: float
    windows: list[WindowRecord] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    sensors: tuple[SensorInfo, ...] = ()
    trace: dict[str, Any] | None = None


def execute_serving(config: RunConfig, store: Store, emit: Emit) -> RunRecord:
    """Put the load of `config` on its server, write answers, record and trace to `store`, and return the record.

    The record says ``failed``, with what there is, where the run did not come to its end (`verdict`).

    Raises:
        HarnessError: a configuration or sensor that cannot be used, no server, a model that it has not; nothing is
            written.
    """
    validate_run(config)
    started = utc_label()
    model = _find_model(config.server)
    emit({"event": "phase", "phase": "data"})
    data = prepare_data(config.data) if needs_corpus(config) else None
    data_sha256 = data.identity_sha256 if data is not None else ""
    run_id, config_hash = identify_run(config, data_sha256)
    suite = build_suite(config.task.kinds, data.test_documents if data is not None else ())
    planned = plan_requests(config, suite)
    samples = store.samples_dir(run_id)
    measured = _measure(config, _build_target(config, model), planned, open_meter(config, samples), emit)

    result = measured.result
    shares = share_energy(result.outcomes, measured.serve.readings)
    rows = build_rows(planned, result.outcomes, shares, measured.origin_s)
    stats = summarise(result, config.server, name_served(model), measured.steady, measured.origin_s)
    quality, unanswered = judge_answers(suite, config.task.kinds, rows)
    work = Work(
        unit="task",
        amount=stats.num_answered,
        num_input_tokens=stats.num_input_tokens,
        num_output_tokens=stats.num_output_tokens or 0,
        num_tasks=stats.num_answered,
        num_correct=count_correct(rows),
    )
    measured.findings += [*shares.findings, *unanswered, *find_load_problems(config, result, stats, planned)]
    error = judge_load(config, result)
    record = dataclasses.replace(
        begin_record(config, run_id, config_hash, started),
        status="finished" if error is None else "failed",
        error=error,
        environment=_describe_environment(config, measured.sensors),
        sensors=measured.sensors,
        data=data.info if data is not None else None,
        windows=tuple(
            dataclasses.replace(window, work=work, regime=_regime(config, suite)) if window.phase == "serve" else window
            for window in measured.windows
        ),
        quality=tuple(quality),
        serving=stats,
        findings=tuple(measured.findings),
    )
    record = add_conditions(record)
    store.write_answers(run_id, rows)
    if measured.trace is not None:
        store.write_trace(run_id, measured.trace)
    store.write_record(record)
    shutil.rmtree(samples, ignore_errors=True)
    return record


def _find_model(server: ServerConfig) -> str:
    """Return the name to ask for; a record of what is wrong names no other machine."""
    try:
        return check_server(server)
    except ConfigError as error:
        raise ConfigError(str(error).replace(server.base_url, hide_host(server.base_url))) from error


def _measure(
    config: RunConfig,
    target: Target,
    planned: Sequence[PlannedRequest],
    opened: tuple[Meter, tuple[Finding, ...]],
    emit: Emit,
) -> _Measured:
    server = config.server
    warmup = plan_warmup(planned, server.num_warmup)
    emit({"event": "phase", "phase": "warm-up"})
    began_s = now_s()
    target = asyncio.run(learn_dialect(target, warmup[0]))
    load = plan_load(config, len(planned))
    meter, findings = opened
    with meter:
        with meter.window("warmup") as window:
            warming = Load(count_places(server) or len(warmup), _left_s(config, began_s))
            warmed = asyncio.run(drive(target, warmup[: server.num_warmup], warming))
        windows = [window.to_record(work=_count_warmup(warmed))]
        resident = measure_idle(meter, config.measure.idle_s, "idle_resident")
        meter.set_idle(resident)  # the baseline of net energy: the server is loaded, nothing is asked
        windows.append(resident.to_record())
        emit({"event": "phase", "phase": "serve"})
        cpu_s = time.process_time()
        with meter.window("serve") as serve:
            asks = [request.ask for request in planned]
            load = dataclasses.replace(load, max_run_s=_left_s(config, began_s))
            result = asyncio.run(drive(target, asks, load, _Progress(emit, len(asks))))
        cpu_share = (time.process_time() - cpu_s) / serve.duration_s
        windows.append(serve.to_record())
        after = measure_idle(meter, config.measure.idle_s, "idle_after")
        windows.append(after.to_record())
        period_s = find_sensor_period_s(meter.sensors, serve.readings, config.measure.poll_interval_s)
        steady = _find_steady(config, result, period_s)
        steady_window, steady_findings = read_steady_window(meter, result, steady)
        if steady_window is not None:
            windows.append(steady_window)
        num_failed = sum(outcome.cause is not None for outcome in warmed.outcomes)
        measured = _Measured(result, serve, steady, meter.start_s, windows)
        measured.findings = [
            *findings,
            *serve.findings,
            *steady_findings,
            *check_idle_drift(resident, after),
            *find_client_problems(target.dialect, cpu_share, num_failed),
            *meter.findings,
        ]
        measured.sensors = tuple(meter.sensors)
        measured.trace = _build_trace(meter, steady_window) if config.measure.trace else None
    return measured


def _build_target(config: RunConfig, model: str) -> Target:
    server = config.server
    return Target(
        base_url=server.base_url,
        model=model,
        api=server.api,
        timeout_s=server.timeout_s,
        max_retries=server.max_retries,
        api_key=read_api_key(server),
    )


def _left_s(config: RunConfig, began_s: float) -> float:
    """Return what is left of the run's time, warm-up and idle windows counted."""
    return max(0.0, config.server.max_run_s - (now_s() - began_s))


def _build_trace(meter: Meter, steady: WindowRecord | None) -> dict[str, Any]:
    """Return the power trace with the steady window among its windows, which the meter did not open itself."""
    trace = meter.trace()
    if steady is not None:
        end_s = steady.begin_s + steady.duration_s
        window = {"phase": steady.phase, "repetition": 0, "begin_s": steady.begin_s, "end_s": end_s}
        trace["windows"].append(window)
    return trace


def _count_warmup(warmed: LoadResult) -> Work:
    answered = [outcome for outcome in warmed.outcomes if outcome.answered]
    usages = [outcome.usage for outcome in answered if outcome.usage is not None]
    return Work(
        unit="task",
        amount=len(answered),
        num_input_tokens=sum(usage.input_tokens for usage in usages) if len(usages) == len(answered) else None,
        num_output_tokens=sum(outcome.num_output_tokens for outcome in answered),
        num_tasks=len(answered),
    )


def _find_steady(config: RunConfig, result: LoadResult, sensor_period_s: float | None) -> SteadyStretch:
    if config.server.request_rate is not None:
        text = "an open loop has no full load: its rate is fixed, not the number of requests under way"
        return SteadyStretch(None, None, text)
    return find_steady(result, count_places(config.server), sensor_period_s)


class _Progress:
    """Tells the parent how many requests have ended, twice a second at most."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit = emit
        self._total = total
        self._told_s = 0.0

    def __call__(self, num_ended: int) -> None:
        if now_s() - self._told_s >= _PROGRESS_S or num_ended == self._total:
            self._told_s = now_s()
            self._emit({"event": "progress", "done": num_ended, "total": self._total})


def _regime(config: RunConfig, suite: dict[str, Any]) -> Regime | None:
    """Return how the work was done; an open loop without a limit has no number of requests under way."""
    places = count_places(config.server)
    if places == 0:
        return None
    kind = next(iter(suite)) if len(suite) == 1 else "mixed"
    return Regime(
        kind=kind,
        batch_size=places,
        num_input_tokens=None,
        num_output_tokens=None,
        answer_length="free",
    )


def _describe_environment(config: RunConfig, sensors: Sequence[SensorInfo]) -> Environment:
    """Return the environment of this client, and as its device what is known of the server's.

    No GPU is touched here: a context of ours on it would draw power. Sensors name the GPU of a server on this machine.
    """
    environment = dataclasses.replace(describe_environment(torch.device("cpu")), determinism=DETERMINISM)
    if not is_local(config.server.base_url):
        return dataclasses.replace(environment, device="server", device_name="another machine, not known")
    gpu = next((info for info in sensors if info.domain == "gpu"), None)
    return environment if gpu is None else dataclasses.replace(environment, device="cuda", device_name=gpu.device)
