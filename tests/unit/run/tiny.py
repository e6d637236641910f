"""A run of seconds in this process: a small model on this project's own source, with a made-up sensor."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from harness.core.config import Budget, DataConfig, MeasureConfig, RunConfig, SensorConfig, TaskConfig, TrainConfig
from harness.core.model_config import ModelConfig, MoEConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run.runner import execute

ROOT = Path(__file__).resolve().parents[3]
DENSE = ModelConfig(d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24)
MOE = MoEConfig(
    d_model=16, num_layers=2, num_heads=2, num_kv_heads=2, d_ff=24, num_experts=4, top_k=2, d_expert=8, attention="mla"
)
TRAIN = TrainConfig(
    budget=Budget(tokens=40 * 64),
    batch_size=4,
    context_length=16,
    warmup_tokens=256,
    eval_bytes=4096,
    eval_batch_size=16,
)


def tiny_run(model: ModelConfig, *, train: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    """Return a run of 40 steps; `train` and `changes` replace its fields."""
    values: dict[str, Any] = {
        "num_threads": 1,
        "device": "cpu",
        "model": model,
        "data": DataConfig(corpus="text_files", globs=[f"{ROOT}/harness/**/*.py"]),
        "train": dataclasses.replace(TRAIN, **train or {}),
        "task": TaskConfig(answer=False),
        "measure": MeasureConfig(sensor=SensorConfig(names=["synthetic"]), idle_s=0.05, warmup_steps=1),
    }
    return RunConfig(**{**values, **changes})


def run_here(config: RunConfig, store: Store) -> RunRecord:
    """Run in this process and return the record."""
    return execute(config, store, lambda _: None)
