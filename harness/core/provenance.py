"""Where a run ran, on which data, at what place of its plan, and how its work was cut to the device."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.strict import STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the run ran; no host name, user name or path. `packages` maps a distribution to its version.

    `isolation` is ``process`` or ``spawn`` (a process of its own, forked or started anew) or ``warm`` (other runs may
    have used it before); ``None``: not kept. `cpu_capability` is the vector instructions that torch computes with
    (``AVX2``): machines of one model name may differ in them, and with them the rounding of every loss.
    """

    __pydantic_config__ = STRICT
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
    cpu_capability: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPosition:
    """Where in the shuffled plan the run stood; `order_seed` shuffled the trunks inside each block."""

    __pydantic_config__ = STRICT
    block: int
    index: int
    order_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInfo:
    """Which bytes the run learned and was judged on. `bytes_per_token` is of the validation split."""

    __pydantic_config__ = STRICT
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
class BatchInfo:
    """How the work was cut to the device: none of it changes what a step learns from, `train.batch_size` sequences.

    `precision` is that of the products in training (``fp32``, ``tf32``, ``bf16``). `micro_batch_size` sequences went
    through the model at once and `micro_batch_source` says who chose so; the estimate and the memory that was free are
    ``None`` where the configuration gave the size. `eval_batch_size` is ``None`` where nothing was evaluated, and
    `reason` says why.
    """

    __pydantic_config__ = STRICT
    precision: str
    micro_batch_size: int
    micro_batch_source: str
    estimated_bytes: int | None = None
    free_bytes: int | None = None
    eval_batch_size: int | None = None
    reason: str | None = None
