"""Typed configuration of one run. Inert: building one does no I/O, asks no device and imports no torch.

Hydra composes these dataclasses (hence not frozen); `validate_run` checks what spans several fields.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any

from harness.core.errors import ConfigError
from harness.core.model_config import (
    HuggingFaceConfig,
    ModelConfig,
    MoEConfig,
    RopeScaling,
    validate_model,
)
from harness.core.parallel import ParallelConfig, validate_parallel
from harness.core.plain_json import PlainJsonError
from harness.core.settings_types import check_settings, describe_settings
from harness.core.task_config import (
    KindConfig,
    ServerConfig,
    TaskConfig,
    kinds_from_dict,
    task_config_from_dict,
    validate_task,
)


@dataclass(kw_only=True)
class DataConfig:
    """A corpus of documents. `roots`, `globs` and `name` are read by the corpora that need them; 0 means no limit.

    With `kinds` the training text is mixed with generated exercises of these task kinds: `kinds_share` of its bytes
    together, the same bytes of each kind. Examples that are asked are never among them.

    Of a Hugging Face data set `name` says which (``namespace/name``, or a file or folder here), `config` which part of
    it, `split` which rows are parted by hash; `validation_split` and `test_split` name rows that are held out already.
    `tokenizer_path` is the ``tokenizer.json`` of the tokenizer ``file``. How many processes tokenise (0: one a core),
    whether a data set is streamed, and how far the cache is checked (``stamp``: sizes and times, ``full``: every byte)
    change no token.
    """

    corpus: str = "python_source"
    roots: list[str] = field(default_factory=list)
    globs: list[str] = field(default_factory=list)
    tokenizer: str = "byte"
    vocab_size: int = 256
    validation_fraction: float = 0.05
    test_fraction: float = 0.05
    near_duplicate_similarity: float = 0.8
    max_bytes: int = 0
    kinds: dict[str, KindConfig] = field(default_factory=dict)
    kinds_share: float = 0.0
    max_documents: int = 0
    name: str = ""
    config: str = ""
    split: str = "train"
    validation_split: str = ""
    test_split: str = ""
    text_field: str = "text"
    revision: str = ""
    tokenizer_path: str = ""
    streaming: bool = True
    num_workers: int = 0
    verify: str = "stamp"


@dataclass(kw_only=True)
class Budget:
    """When training stops: at the first limit reached. `tokens` is always set, since the schedule needs a length."""

    tokens: int = 1_000_000
    flops: float | None = None
    joules: float | None = None
    seconds: float | None = None
    target_loss: float | None = None


@dataclass(kw_only=True)
class TrainConfig:
    """AdamW with warm-up, stable and decay phases. Lengths are in tokens, so that they do not depend on the batch.

    `compile` trains through ``torch.compile``, for all families alike. A step always learns from `batch_size`
    sequences; `micro_batch_size` of them go through the model at once on a device, 0: as many as fit. Evaluation takes
    `eval_batch_size` windows at once, or as many as fit.
    """

    budget: Budget = field(default_factory=Budget)
    batch_size: int = 8
    micro_batch_size: int = 0
    context_length: int = 128
    learning_rate: float = 6e-3
    warmup_tokens: int = 50_000
    decay_fraction: float = 0.2
    final_lr_fraction: float = 0.0
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    adam_eps: float = 1e-8
    gradient_clip: float = 1.0
    precision: str = "auto"
    compile: bool = False
    checkpoint_interval_s: float = 30.0
    eval_bytes: int = 262_144
    eval_batch_size: int = 32


@dataclass(kw_only=True)
class ExternalMeterConfig:
    """A meter outside the machine, asked by HTTP (`url`) or by a `command` that prints JSON or a bare number.

    `power_path` and `energy_path` lead through the JSON to the number (``Meter.0.Power``); empty: not offered.
    `power_scale` and `energy_scale` turn the meter's unit into watts and joules (a Wh counter: 3600).
    """

    url: str = ""
    command: str = ""
    power_path: str = ""
    energy_path: str = ""
    power_scale: float = 1.0
    energy_scale: float = 1.0
    domain: str = "system"
    device: str = "external meter"
    timeout_s: float = 2.0


@dataclass(kw_only=True)
class SensorConfig:
    """Which sensors to open, in order of preference; ``auto`` takes counters first and a model as a last resort.

    `external` describes the meter of the name ``external``; `replay_file` is the CSV trace of the name ``replay``.
    """

    names: list[str] = field(default_factory=lambda: ["auto"])
    external: ExternalMeterConfig = field(default_factory=ExternalMeterConfig)
    replay_file: str = ""


@dataclass(kw_only=True)
class MeasureConfig:
    """How windows are taken; `poll_interval_s` is the period of the sampler."""

    sensor: SensorConfig = field(default_factory=SensorConfig)
    poll_interval_s: float = 0.05
    idle_s: float = 2.0
    warmup_steps: int = 3
    trace: bool = True


@dataclass(kw_only=True)
class RunConfig:
    """Everything that decides one run.

    A ``trunk`` trains at a constant rate and leaves a checkpoint where the decay to each of the `branch_tokens` budgets
    begins; a ``branch`` starts from that checkpoint of `trunk_id` and decays to its budget; a ``single`` does both by
    itself. `save_model` keeps the trained weights of a branch or single run as a model folder in the store.
    """

    study: str = "adhoc"
    arm: str = "dense"
    role: str = "single"
    seed: int = 0
    trunk_id: str | None = None
    branch_tokens: list[int] = field(default_factory=list)
    device: str = "auto"
    num_threads: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    plan_position: list[int] = field(default_factory=list)
    save_model: bool = False
    parallel: ParallelConfig = field(default_factory=ParallelConfig)


def config_to_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as plain dicts, lists and scalars."""
    return dataclasses.asdict(config)


@functools.cache
def known_settings() -> dict[str, Any]:
    """Return every setting with its default, the models' of all families together."""
    known = describe_settings(RunConfig())
    for kind in (MoEConfig, HuggingFaceConfig):
        known["model"] = {**describe_settings(kind()), **known["model"]}
    return known


def config_from_dict(values: dict[str, Any]) -> RunConfig:
    """Rebuild a configuration from `config_to_dict`; the model's type follows its ``family``.

    Raises:
        ConfigError: it lacks a part, holds an unknown setting, or one of another type.
    """
    try:
        check_settings(values, known_settings(), "configuration", allow_null=False)
        return _build_config(values)
    except PlainJsonError as error:
        raise ConfigError(f"{error}.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"this is no configuration of a run: {type(error).__name__}: {error}.") from error


def _build_config(values: dict[str, Any]) -> RunConfig:
    fields = dict(values)
    data = dict(fields.pop("data"))
    kinds = kinds_from_dict(data.pop("kinds", {}))
    model = dict(fields.pop("model"))
    train = dict(fields.pop("train"))
    measure = dict(fields.pop("measure"))
    return RunConfig(
        model=model_config_from_dict(model),
        train=TrainConfig(budget=Budget(**train.pop("budget")), **train),
        measure=MeasureConfig(sensor=sensor_config_from_dict(measure.pop("sensor")), **measure),
        data=DataConfig(kinds=kinds, **data),
        task=task_config_from_dict(fields.pop("task")),
        server=ServerConfig(**fields.pop("server", {})),
        parallel=ParallelConfig(**fields.pop("parallel", {})),
        **fields,
    )


def model_config_from_dict(values: dict[str, Any]) -> ModelConfig:
    """Rebuild the model's part of a configuration from plain data; its type follows its experts.

    Raises:
        TypeError: it holds an unknown setting.
        ValueError: a setting is of another type.
    """
    check_settings(values, known_settings()["model"], "model", allow_null=False)
    fields = dict(values)
    scaling = RopeScaling(**fields.pop("rope_scaling", {}))
    if fields.get("family") == HuggingFaceConfig.family:
        return HuggingFaceConfig(rope_scaling=scaling, **fields)
    return (MoEConfig if "num_experts" in fields else ModelConfig)(rope_scaling=scaling, **fields)


def sensor_config_from_dict(values: dict[str, Any]) -> SensorConfig:
    """Rebuild the sensors' part of a configuration from plain data."""
    fields = dict(values)
    return SensorConfig(external=ExternalMeterConfig(**fields.pop("external", {})), **fields)


def is_inference(config: RunConfig) -> bool:
    """Return whether the run trains nothing: a published model or a server answers as it is."""
    return isinstance(config.model, HuggingFaceConfig) or config.task.mode == "server"


def validate_run(config: RunConfig) -> None:
    """Check what spans fields.

    Raises:
        ConfigError: the first thing that is wrong, and what would be right.
    """
    model, train = config.model, config.train
    if config.task.mode != "server":  # a server has a model of its own; what stands here is not used
        validate_model(model)
    validate_task(config.task, config.server)
    for name, value in (
        ("train.budget.tokens", train.budget.tokens),
        ("train.batch_size", train.batch_size),
        ("train.context_length", train.context_length),
        ("train.learning_rate", train.learning_rate),
        ("train.eval_bytes", train.eval_bytes),
        ("train.eval_batch_size", train.eval_batch_size),
        ("measure.poll_interval_s", config.measure.poll_interval_s),
    ):
        _require(value > 0, f"{name} is {value}; it must be above 0.")
    for name in ("flops", "joules", "seconds", "target_loss"):
        limit = getattr(train.budget, name)
        _require(limit is None or limit > 0, f"train.budget.{name} is {limit}; give a number above 0, or null.")
    _require(0 <= train.decay_fraction < 1, f"train.decay_fraction is {train.decay_fraction}; give 0 up to below 1.")
    _require(
        train.precision in ("auto", "fp32", "bf16"),
        f"train.precision is '{train.precision}'; it is auto, fp32 or bf16.",
    )
    validate_parallel(config.parallel, model, train.batch_size, compiled=train.compile)
    micro, share = train.micro_batch_size, train.batch_size // config.parallel.num_processes
    fits = micro == 0 or (micro > 0 and share % micro == 0)
    highest = 0 if fits else min(share, 4096)  # what is shown; a batch may be given as any number
    divisors = [size for size in range(1, highest + 1) if share % size == 0]
    of_one = "" if config.parallel.num_processes == 1 else " / parallel.num_processes"
    _require(
        fits,
        f"train.micro_batch_size is {micro}; give a divisor of train.batch_size{of_one} "
        f"({', '.join(map(str, divisors))}), or 0 for the largest that fits.",
    )
    per_step = train.batch_size * train.context_length
    _require(
        train.budget.tokens >= per_step,
        f"train.budget.tokens is {train.budget.tokens}, less than one step of {per_step} tokens "
        "(train.batch_size x train.context_length).",
    )
    if is_inference(config):
        _require(
            config.parallel.strategy == "none",
            f"parallel={config.parallel.strategy} trains a model, and this run trains nothing; leave it out.",
        )
        _require(config.role == "single", f"role is '{config.role}'; a run that trains nothing is single.")
        _require(
            not config.save_model, "save_model=true keeps trained weights, and this run trains nothing; leave it out."
        )
    _require(
        not config.task.lm_eval or (isinstance(model, HuggingFaceConfig) and config.task.mode == "engine"),
        "task.lm_eval judges published models only; give model=hf model.path=FOLDER, or leave it out.",
    )
    _require(config.role in ("single", "trunk", "branch"), f"role is '{config.role}'; it is single, trunk or branch.")
    for name in ("study", "arm"):
        value = getattr(config, name)
        _require(
            bool(value) and value.replace("_", "").replace(".", "").isalnum() and value[0].isalnum(),
            f"{name} is '{value}'; use letters, digits, '_' and '.' only (it becomes part of file names).",
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
