"""The run record: what one run was, what it measured, and how far each number can be trusted.

A record is immutable, versioned JSON. Unknown is ``None`` with a reason beside it, never 0. SI units, and a unit in
every name.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

from harness.core.config import known_settings
from harness.core.errors import RecordError
from harness.core.inference import ModelSource, Regime, ServingStats
from harness.core.parallel import ParallelInfo
from harness.core.plain_json import PlainJsonError, check_file_name
from harness.core.provenance import BatchInfo, DataInfo, Environment, PlanPosition
from harness.core.readings import EnergyReading, Finding, SensorInfo
from harness.core.routing import ExpertCoverage, RoutingStats, TaskRouting
from harness.core.settings_types import SettingsCheck
from harness.core.strict import Amount, Count, Integer, Real, StrictReader, StrictValue

SCHEMA_VERSION = 3

Role = Literal["single", "trunk", "branch"]


class Work(StrictValue, frozen=True, kw_only=True):
    """What a window did. `flops` is counted by formula (executed operations), not measured.

    `num_steps` counts passes through the model: a window's `duration_s` over its steps is the time to the first token
    in ``prefill``, and between tokens in ``decode``. `num_bytes` is what the steps must read by formula: weights (of
    experts, those touched or expected to be, as `bytes_source` says) and cached keys and values. `num_input_tokens` is
    ``None`` where a server does not tell the tokens of prompts.
    """

    unit: str
    amount: Amount
    flops: Amount | None = None
    num_input_tokens: Count | None = 0
    num_output_tokens: Count = 0
    num_tasks: Count = 0
    num_correct: Count | None = None
    num_steps: Count | None = None
    num_bytes: Amount | None = None
    bytes_source: str | None = None


class WindowRecord(StrictValue, frozen=True, kw_only=True):
    """One measurement window; `begin_s` counts from the start of the run on the monotonic clock.

    `phase` is one of ``idle_before``, ``idle_after``, ``idle_resident``, ``warmup``, ``pretrain``, ``prefill``,
    ``decode``, ``generate`` (prefill and decode in one), ``serve``, ``serve_steady``. `repetition` numbers windows of
    the same phase and regime from 0. `regime` says how an inference window was done; ``None`` in other windows, and
    in line completion on its own.
    """

    phase: str
    repetition: Integer
    begin_s: Real
    duration_s: Amount
    synced: bool
    work: Work | None
    energy: tuple[EnergyReading, ...]
    peak_memory_bytes: Count | None = None
    temperature_c: Real | None = None
    regime: Regime | None = None


class ParamCount(StrictValue, frozen=True, kw_only=True):
    """Parameters of a model: `active` are those one token uses, embeddings and head included.

    `active_non_embedding` leaves out the input embedding and an untied head.
    """

    total: Count
    active: Count
    embedding: Count
    active_non_embedding: Count


class FlopCount(StrictValue, frozen=True, kw_only=True):
    """Floating point operations by formula, and one traced step as a check.

    `forward_per_token` and `train_per_token` (forward and backward) are nominal at the run's context length with full
    (not causally halved) attention, which is what the kernels' operand shapes say. `traced_total` and `formula_total`
    describe the same checked step; `relative_gap` is (traced - formula) / formula. `executed_train_per_token` counts
    what the experts really multiplied over the run: dropped choices cost nothing, padding does; `dropped_share` is the
    share of choices that were dropped. Both are ``None`` for a dense model.
    """

    forward_per_token: Amount
    train_per_token: Amount
    formula_version: Integer
    convention: str
    formula_total: Amount | None = None
    traced_total: Amount | None = None
    relative_gap: Real | None = None
    executed_train_per_token: Amount | None = None
    dropped_share: Real | None = None


class PathCost(StrictValue, frozen=True, kw_only=True):
    """Cost of the whole path to a model: its trunk up to the fork plus its own decay, each counted once.

    `energy` holds one summed reading per device and domain, with the worst grade among its parts.
    """

    tokens: Count
    flops: Amount
    duration_s: Amount
    energy: tuple[EnergyReading, ...]
    peak_memory_bytes: Count | None
    trunk_run_id: str | None = None
    fork_tokens: Count | None = None


class QualityReading(StrictValue, frozen=True, kw_only=True):
    """A quality number with its standard error; `data_sha256` names the data it was taken on.

    `chance` is what blind answers would reach: the best single answer to all examples, or one of the choices.
    """

    metric: str
    value: Real | None
    stderr: Amount | None
    num_samples: Count
    higher_is_better: bool
    task: str
    task_version: Integer
    data_sha256: str
    reason: str | None = None
    chance: Real | None = None


class RunRecord(StrictValue, frozen=True, kw_only=True):
    """One run, finished or failed. `loss_curve` holds (tokens seen, training loss in bits per byte).

    `mfu` is `train_flops_per_s` over `peak_flops_per_s`, which `peak_source` tells: a data sheet, or a measurement.
    `routing` is the load on held-out text; `training_routing` that over the whole path's training, trunk included. It,
    and `batches`, are ``None`` in records that were written before they were kept; a finding says so where a run went
    on from a checkpoint without loads. `ended_utc` is kept of failed runs, whose windows are gone. `peak_bytes_per_s`
    is the memory bandwidth that bytes a second are held against (MBU). `model_source` belongs to models that were not
    trained here, `serving` to servers, `parallel` to runs of several processes: their energy, rates, peaks and FLOPs
    are sums over all devices, the peak memory is the largest.
    """

    schema_version: Integer
    run_id: str
    study: str
    role: Role
    arm: str
    size: str
    seed: Integer
    status: Literal["finished", "failed"]
    started_utc: str
    config: dict[str, Any]
    config_hash: str
    environment: Environment | None = None
    plan_position: PlanPosition | None = None
    sensors: tuple[SensorInfo, ...] = ()
    data: DataInfo | None = None
    params: ParamCount | None = None
    flops: FlopCount | None = None
    path: PathCost | None = None
    windows: tuple[WindowRecord, ...] = ()
    quality: tuple[QualityReading, ...] = ()
    routing: RoutingStats | None = None
    training_routing: RoutingStats | None = None
    loss_curve: tuple[tuple[Integer, Real], ...] = ()
    epochs: Real | None = None
    train_flops_per_s: Amount | None = None
    mfu: Real | None = None
    peak_flops_per_s: Amount | None = None
    peak_source: str | None = None
    batches: BatchInfo | None = None
    peak_bytes_per_s: Amount | None = None
    peak_bytes_source: str | None = None
    task_routing: tuple[TaskRouting, ...] = ()
    expert_coverage: tuple[ExpertCoverage, ...] = ()
    model_source: ModelSource | None = None
    serving: ServingStats | None = None
    parallel: ParallelInfo | None = None
    findings: tuple[Finding, ...] = ()
    error: str | None = None
    ended_utc: str | None = None

    def quality_value(self, metric: str) -> float | None:
        """Return the value of `metric`, or ``None`` when the run has no such reading."""
        return next((q.value for q in self.quality if q.metric == metric), None)

    def windows_of(self, *phases: str) -> tuple[WindowRecord, ...]:
        """Return the windows of the given phases in order."""
        return tuple(w for w in self.windows if w.phase in phases)


_READER = StrictReader(RunRecord, unique_keys=False)


@functools.cache
def _check_config() -> SettingsCheck:
    return SettingsCheck(known_settings())


def record_to_json(record: RunRecord) -> str:
    """Serialise a record; a NaN or infinity raises `RecordError` instead of becoming null."""
    try:
        return _READER.to_json(record, indent=1)
    except ValueError as error:
        raise RecordError(f"record '{record.run_id}' cannot be written: {error}") from error


def record_from_json(text: str | bytes, source: str) -> RunRecord:
    """Read a record of this or an older schema version.

    Its run id is the name of a file in one folder, so that no record leads out of its store.

    Raises:
        RecordError: not a record, or written by a newer isojoule; `source` names it in the message.
    """
    record = _READER.read(text, f"{source} is not a readable run record")
    if record.schema_version > SCHEMA_VERSION:
        raise RecordError(
            f"{source} has record schema {record.schema_version}, newer than this isojoule reads ({SCHEMA_VERSION}); "
            "install a newer isojoule."
        )
    try:
        check_file_name(record.run_id, "run_id")
        _check_config().check(record.config, "config")
    except PlainJsonError as error:
        raise RecordError(f"{source} is not a readable run record: {error}") from error
    return record
