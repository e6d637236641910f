"""Several processes that train one model: what is configured, and what a record says of it. Inert, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.errors import ConfigError, did_you_mean
from harness.core.model_config import HuggingFaceConfig, ModelConfig, MoEConfig
from harness.core.strict import Count, Integer, StrictValue

STRATEGIES = ("none", "ddp", "fsdp", "ep")


@dataclass(kw_only=True)
class ParallelConfig:
    """How processes share the training of one model, one process a device.

    ``ddp`` gives each process the whole model and averages gradients; ``fsdp`` shards parameters, gradients and
    optimiser state over all processes (FSDP2); ``ep`` shards the routed experts over groups of `expert_parallel`
    processes (0: all of them) and replicates the rest. `num_processes` counts those of all hosts. A process that waits
    longer than `timeout_s` for the others ends the run.
    """

    strategy: str = "none"
    num_processes: int = 1
    expert_parallel: int = 0
    timeout_s: float = 600.0


class ParallelInfo(StrictValue, frozen=True, kw_only=True):
    """How a run was spread: one entry a process, in the order of ranks, where a field is a tuple.

    `num_hosts` counts machines. `devices` names what each process computed on, `peak_memory_bytes` is the most that it
    held while training (``None``: not told). `micro_batch_size` is of one process.
    """

    strategy: str
    world_size: Integer
    num_hosts: Count
    expert_parallel: Integer
    backend: str
    devices: tuple[str, ...]
    peak_memory_bytes: tuple[Count | None, ...]
    micro_batch_size: Integer


def is_parallel(parallel: ParallelConfig) -> bool:
    """Return whether several processes train the model."""
    return parallel.num_processes > 1


def expert_group_size(parallel: ParallelConfig) -> int:
    """Return over how many processes the experts are sharded, 1 where they are not."""
    return (parallel.expert_parallel or parallel.num_processes) if parallel.strategy == "ep" else 1


def validate_parallel(parallel: ParallelConfig, model: ModelConfig, batch_size: int, *, compiled: bool) -> None:
    """Check `parallel` against the model and the batch.

    Raises:
        ConfigError: the first thing that is wrong, and what would be right.
    """
    strategy, size = parallel.strategy, parallel.num_processes
    _require(
        strategy in STRATEGIES,
        f"parallel.strategy is '{strategy}'; it is one of {', '.join(STRATEGIES)}.{did_you_mean(strategy, STRATEGIES)}",
    )
    _require(size >= 1, f"parallel.num_processes is {size}; give 1 or more.")
    _require(parallel.timeout_s > 0, f"parallel.timeout_s is {parallel.timeout_s}; it must be above 0.")
    if strategy == "none":
        _require(size == 1, f"parallel.num_processes is {size} without a strategy; add parallel=ddp, fsdp or ep.")
        return
    _require(
        not isinstance(model, HuggingFaceConfig),
        f"parallel={strategy} trains a model, and this run trains nothing; leave it out.",
    )
    _require(
        batch_size % size == 0,
        f"parallel.num_processes {size} does not divide train.batch_size {batch_size}; give one of "
        f"{', '.join(str(n) for n in range(1, batch_size + 1) if batch_size % n == 0)}, or another train.batch_size.",
    )
    _require(
        not compiled or strategy == "ddp",
        f"train.compile=true is not offered with parallel={strategy}; set train.compile=false, or parallel=ddp.",
    )
    if strategy == "ep":
        _validate_experts(parallel, model)
    else:
        _require(
            parallel.expert_parallel in (0, 1),
            f"parallel.expert_parallel is {parallel.expert_parallel}, and parallel={strategy} shards no experts; "
            "set parallel=ep, or leave it out.",
        )


def _validate_experts(parallel: ParallelConfig, model: ModelConfig) -> None:
    _require(isinstance(model, MoEConfig), "parallel=ep shards experts, and this model is dense; set parallel=fsdp.")
    assert isinstance(model, MoEConfig)  # noqa: S101 - as required above
    group = expert_group_size(parallel)
    _require(
        group >= 1 and parallel.num_processes % group == 0,
        f"parallel.expert_parallel {group} does not divide parallel.num_processes {parallel.num_processes}.",
    )
    divisors = [str(n) for n in range(1, model.num_experts + 1) if model.num_experts % n == 0]
    _require(
        model.num_experts % group == 0,
        f"{group} processes cannot share model.num_experts {model.num_experts} evenly; set "
        f"parallel.expert_parallel to one of {', '.join(divisors)}.",
    )
    _require(
        model.dispatch not in ("bmm", "fused"),
        f"model.dispatch={model.dispatch} is not offered with parallel=ep; set model.dispatch=auto.",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
