"""What of several processes is refused before anything starts, and that one process keeps its run id."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.core.config import RunConfig, TrainConfig, config_from_dict, config_to_dict, validate_run
from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig, MoEConfig
from harness.core.parallel import ParallelConfig
from harness.core.run_id import hash_config

MOE = MoEConfig(num_experts=6)


def run(strategy: str, size: int, model: ModelConfig | None = None, **train: Any) -> RunConfig:
    more = {name: train.pop(name) for name in ("expert_parallel", "timeout_s") if name in train}
    parallel = ParallelConfig(strategy=strategy, num_processes=size, **more)
    return RunConfig(model=model or ModelConfig(), train=TrainConfig(**train), parallel=parallel)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (run("none", 2), "add parallel=ddp, fsdp or ep"),
        (run("dpd", 2), "Did you mean 'ddp'"),
        (run("ddp", 3), "give one of 1, 2, 4, 8"),
        (run("ddp", 0), "give 1 or more"),
        (run("ddp", 4, micro_batch_size=4), "train.batch_size / parallel.num_processes \\(1, 2\\)"),
        (run("ddp", 2, expert_parallel=2), "set parallel=ep"),
        (run("ep", 2), "this model is dense"),
        (run("ep", 4, MOE), "one of 1, 2, 3, 6"),
        (run("ep", 4, MOE, expert_parallel=3), "does not divide parallel.num_processes 4"),
        (run("ep", 2, dataclasses.replace(MOE, dispatch="bmm")), "model.dispatch=bmm"),
        (run("fsdp", 2, compile=True), "train.compile=true"),
        (run("ddp", 2, timeout_s=0.0), "above 0"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(config: RunConfig, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        validate_run(config)
    assert "\n" not in str(error.value)


def test_what_can_be_run_passes_and_survives_as_plain_data() -> None:
    for config in (run("ddp", 2), run("fsdp", 8), run("ep", 4, MOE, expert_parallel=2)):
        validate_run(config)
        assert config_from_dict(config_to_dict(config)) == config


def test_processes_are_part_of_the_run_id_and_the_time_limit_is_not() -> None:
    ids = {hash_config(config, "", 1) for config in (run("none", 1), run("ddp", 2), run("ddp", 4), run("fsdp", 4))}
    assert len(ids) == 4
    assert hash_config(run("ddp", 2), "", 1) == hash_config(run("ddp", 2, timeout_s=5.0), "", 1)
