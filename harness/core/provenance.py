"""Where a run ran, on which data, at what place of its plan, and how its work was cut to the device."""

from __future__ import annotations

from harness.core.strict import Amount, Count, Integer, StrictValue


class Environment(StrictValue, frozen=True, kw_only=True):
    """Where the run ran; no host name, user name or path. `packages` maps a distribution to its version.

    `isolation` is ``process`` or ``spawn`` (a process of its own, forked or started anew) or ``warm`` (other runs may
    have used it before); ``None``: not kept. `cpu_capability` is the vector instructions that torch computes with
    (``AVX2``): machines of one model name may differ in them, and with them the rounding of every loss.
    """

    isojoule_version: str
    python_version: str
    os: str
    cpu_model: str
    num_cpus: Count
    memory_bytes: Count
    device: str
    device_name: str
    num_threads: Count
    determinism: str
    packages: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None
    gpu_uuid: str | None = None
    driver_version: str | None = None
    isolation: str | None = None
    cpu_capability: str | None = None


class PlanPosition(StrictValue, frozen=True, kw_only=True):
    """Where in the shuffled plan the run stood; `order_seed` shuffled the trunks inside each block."""

    block: Integer
    index: Integer
    order_seed: Integer


class DataInfo(StrictValue, frozen=True, kw_only=True):
    """Which bytes the run learned and was judged on. `bytes_per_token` is of the validation split."""

    corpus: str
    sha256: str
    tokenizer: str
    tokenizer_sha256: str
    vocab_size: Count
    num_files: Count
    num_duplicates_removed: Count
    train_bytes: Count
    train_tokens: Count
    validation_bytes: Count
    validation_tokens: Count
    test_bytes: Count
    test_tokens: Count
    bytes_per_token: Amount


class BatchInfo(StrictValue, frozen=True, kw_only=True):
    """How the work was cut to the device: none of it changes what a step learns from, `train.batch_size` sequences.

    `precision` is that of the products in training (``fp32``, ``tf32``, ``bf16``). `micro_batch_size` sequences went
    through the model at once and `micro_batch_source` says who chose so; the estimate and the memory that was free are
    ``None`` where the configuration gave the size. `eval_batch_size` is ``None`` where nothing was evaluated, and
    `reason` says why.
    """

    precision: str
    micro_batch_size: Integer
    micro_batch_source: str
    estimated_bytes: Count | None = None
    free_bytes: Count | None = None
    eval_batch_size: Integer | None = None
    reason: str | None = None
