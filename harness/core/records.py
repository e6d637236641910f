"""The run record: what one run was, what it measured, and how far each number can be trusted.

A record is immutable, versioned JSON. Unknown is ``None`` with a reason beside it, never 0. SI units, and a unit in
every name. Grades: A hardware energy counter, B sampled hardware power, C modelled (TDP, load), D assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError

from harness.core.config import known_settings
from harness.core.errors import RecordError
from harness.core.inference import ModelSource, Regime, ServingStats
from harness.core.parallel import ParallelInfo
from harness.core.plain_json import PlainJsonError, check_file_name
from harness.core.routing import ExpertCoverage, RoutingStats, TaskRouting
from harness.core.settings_types import check_settings
from harness.core.strict import StrictReader, first_problem

SCHEMA_VERSION = 3

Grade = Literal["A", "B", "C", "D"]
Method = Literal["counter", "sampled", "modelled"]
Domain = Literal["gpu", "cpu", "dram", "system"]
Severity = Literal["info", "warning", "error"]
Role = Literal["single", "trunk", "branch"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a reader must know about a number; `code` is stable, `text` is for people."""

    __pydantic_config__ = _STRICT
    code: str
    severity: Severity
    text: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorInfo:
    """A sensor that was open during the run. Periods are measured or documented, else ``None``.

    `update_period_s` is how often the quantity that gives the energy changes. The power beside it changes every
    `power_period_s` and is the mean over the `power_window_s` before that; a window shorter than the period leaves the
    sensor blind for the rest. `power_delay_s` is how long after that mean ended it is shown, where a calibration found
    out; `calibrated_on` is the time (UTC) of the calibration that periods are taken from. `power_limit_w` is the most
    that the device may draw for long. `gain_error` is the systematic error of every reading, relative (0.05: 5%); it is
    never part of a window's `uncertainty_j`.
    """

    __pydantic_config__ = _STRICT
    name: str
    domain: Domain
    device: str
    device_index: int
    method: Method
    grade: Grade
    update_period_s: float | None
    source: str
    simulated: bool = False
    power_period_s: float | None = None
    power_window_s: float | None = None
    power_limit_w: float | None = None
    gain_error: float | None = None
    power_delay_s: float | None = None
    calibrated_on: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyReading:
    """Gross energy of one device and domain over one window (or a sum over windows), in joules.

    `crosscheck_j` is the integral of sampled power beside a counter; `idle_w` the idle power that net energy subtracts;
    `uncertainty_j` is the half-width of a 95% interval for what the window's edges (and a sensor's blind time) leave
    open; the sensor's relative `gain_error` stands apart from it. `coverage` is the share of the window that samples
    cover; `peak_power_w` the highest power that the sensor resolved. An unknown energy is ``None`` and `reason` says
    why.
    """

    __pydantic_config__ = _STRICT
    sensor: str
    domain: Domain
    device: str
    device_index: int
    energy_j: float | None
    grade: Grade
    method: Method
    simulated: bool = False
    crosscheck_j: float | None = None
    net_energy_j: float | None = None
    idle_w: float | None = None
    uncertainty_j: float | None = None
    num_samples: int = 0
    coverage: float | None = None
    reason: str | None = None
    peak_power_w: float | None = None
    gain_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a window did. `flops` is counted by formula (executed operations), not measured.

    `num_steps` counts passes through the model: a window's `duration_s` over its steps is the time to the first token
    in ``prefill``, and between tokens in ``decode``. `num_bytes` is what the steps must read by formula: weights (of
    experts, those touched or expected to be, as `bytes_source` says) and cached keys and values. `num_input_tokens` is
    ``None`` where a server does not tell the tokens of prompts.
    """

    __pydantic_config__ = _STRICT
    unit: str
    amount: float
    flops: float | None = None
    num_input_tokens: int | None = 0
    num_output_tokens: int = 0
    num_tasks: int = 0
    num_correct: int | None = None
    num_steps: int | None = None
    num_bytes: float | None = None
    bytes_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRecord:
    """One measurement window; `begin_s` counts from the start of the run on the monotonic clock.

    `phase` is one of ``idle_before``, ``idle_after``, ``idle_resident``, ``warmup``, ``pretrain``, ``prefill``,
    ``decode``, ``generate`` (prefill and decode in one), ``serve``, ``serve_steady``. `repetition` numbers windows of
    the same phase and regime from 0. `regime` says how an inference window was done; ``None`` in other windows, and
    in line completion on its own.
    """

    __pydantic_config__ = _STRICT
    phase: str
    repetition: int
    begin_s: float
    duration_s: float
    synced: bool
    work: Work | None
    energy: tuple[EnergyReading, ...]
    peak_memory_bytes: int | None = None
    temperature_c: float | None = None
    regime: Regime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamCount:
    """Parameters of a model: `active` are those one token uses, embeddings and head included.

    `active_non_embedding` leaves out the input embedding and an untied head.
    """

    __pydantic_config__ = _STRICT
    total: int
    active: int
    embedding: int
    active_non_embedding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlopCount:
    """Floating point operations by formula, and one traced step as a check.

    `forward_per_token` and `train_per_token` (forward and backward) are nominal at the run's context length with full
    (not causally halved) attention, which is what the kernels' operand shapes say. `traced_total` and `formula_total`
    describe the same checked step; `relative_gap` is (traced - formula) / formula. `executed_train_per_token` counts
    what the experts really multiplied over the run: dropped choices cost nothing, padding does; `dropped_share` is the
    share of choices that were dropped. Both are ``None`` for a dense model.
    """

    __pydantic_config__ = _STRICT
    forward_per_token: float
    train_per_token: float
    formula_version: int
    convention: str
    formula_total: float | None = None
    traced_total: float | None = None
    relative_gap: float | None = None
    executed_train_per_token: float | None = None
    dropped_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathCost:
    """Cost of the whole path to a model: its trunk up to the fork plus its own decay, each counted once.

    `energy` holds one summed reading per device and domain, with the worst grade among its parts.
    """

    __pydantic_config__ = _STRICT
    tokens: int
    flops: float
    duration_s: float
    energy: tuple[EnergyReading, ...]
    peak_memory_bytes: int | None
    trunk_run_id: str | None = None
    fork_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReading:
    """A quality number with its standard error; `data_sha256` names the data it was taken on.

    `chance` is what blind answers would reach: the best single answer to all examples, or one of the choices.
    """

    __pydantic_config__ = _STRICT
    metric: str
    value: float | None
    stderr: float | None
    num_samples: int
    higher_is_better: bool
    task: str
    task_version: int
    data_sha256: str
    reason: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInfo:
    """How the work was cut to the device: none of it changes what a step learns from, `train.batch_size` sequences.

    `precision` is that of the products in training (``fp32``, ``tf32``, ``bf16``). `micro_batch_size` sequences went
    through the model at once and `micro_batch_source` says who chose so; the estimate and the memory that was free are
    ``None`` where the configuration gave the size. `eval_batch_size` is ``None`` where nothing was evaluated, and
    `reason` says why.
    """

    __pydantic_config__ = _STRICT
    precision: str
    micro_batch_size: int
    micro_batch_source: str
    estimated_bytes: int | None = None
    free_bytes: int | None = None
    eval_batch_size: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the run ran; no host name, user name or path. `packages` maps a distribution to its version.

    `isolation` is ``process`` (one of its own) or ``warm`` (other runs may have used it before); ``None``: not kept.
    """

    __pydantic_config__ = _STRICT
    isojoule_version: str
    python_version: str
    os: str
    cpu_model: str
    num_cpus: int
    memory_bytes: int
    device: str
    device_name: str
    num_threads: int
    determinism: str
    packages: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None
    gpu_uuid: str | None = None
    driver_version: str | None = None
    isolation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPosition:
    """Where in the shuffled plan the run stood; `order_seed` shuffled the trunks inside each block."""

    __pydantic_config__ = _STRICT
    block: int
    index: int
    order_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInfo:
    """Which bytes the run learned and was judged on. `bytes_per_token` is of the validation split."""

    __pydantic_config__ = _STRICT
    corpus: str
    sha256: str
    tokenizer: str
    tokenizer_sha256: str
    vocab_size: int
    num_files: int
    num_duplicates_removed: int
    train_bytes: int
    train_tokens: int
    validation_bytes: int
    validation_tokens: int
    test_bytes: int
    test_tokens: int
    bytes_per_token: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, finished or failed. `loss_curve` holds (tokens seen, training loss in bits per byte).

    `mfu` is `train_flops_per_s` over `peak_flops_per_s`, which `peak_source` tells: a data sheet, or a measurement.
    `routing` is the load on held-out text; `training_routing` that over the whole path's training, trunk included. It,
    and `batches`, are ``None`` in records that were written before they were kept; a finding says so where a run went
    on from a checkpoint without loads. `ended_utc` is kept of failed runs, whose windows are gone. `peak_bytes_per_s`
    is the memory bandwidth that bytes a second are held against (MBU). `model_source` belongs to models that were not
    trained here, `serving` to servers, `parallel` to runs of several processes: their energy, rates, peaks and FLOPs
    are sums over all devices, the peak memory is the largest.
    """

    __pydantic_config__ = _STRICT
    schema_version: int
    run_id: str
    study: str
    role: Role
    arm: str
    size: str
    seed: int
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
    loss_curve: tuple[tuple[int, float], ...] = ()
    epochs: float | None = None
    train_flops_per_s: float | None = None
    mfu: float | None = None
    peak_flops_per_s: float | None = None
    peak_source: str | None = None
    batches: BatchInfo | None = None
    peak_bytes_per_s: float | None = None
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


def record_to_json(record: RunRecord) -> str:
    """Serialise a record; a NaN or infinity raises `RecordError` instead of becoming null."""
    try:
        return _READER.to_json(record, indent=1)
    except ValidationError as error:
        raise RecordError(f"record '{record.run_id}' cannot be written: {first_problem(error)}") from error


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
        check_settings(record.config, known_settings(), "config")
    except PlainJsonError as error:
        raise RecordError(f"{source} is not a readable run record: {error}") from error
    return record


def worst_grade(*grades: Grade) -> Grade:
    """Return the least trustworthy of the grades: a sum or a ratio carries the worse grade of its parts."""
    return max(grades)
