"""Schemas of the configuration groups: Hydra refuses unknown keys and wrong types against these dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from harness.core.config import DataConfig, MeasureConfig, RunConfig, TaskConfig, TrainConfig
from harness.core.model_config import HuggingFaceConfig, ModelConfig, MoEConfig
from harness.core.parallel import ParallelConfig
from harness.core.task_config import KindConfig


@dataclass(kw_only=True)
class CellConfig:
    """One arm and size of a study; budgets in tokens or in training FLOPs (forward and backward).

    `overrides` are further settings of this arm alone, e.g. ``[model.attention=mla]`` for an ablation. `learning_rates`
    (and `batch_sizes`) make the cell a grid of a tuning study: a trial of each combination, all of the cell's one
    budget. A cell of a published model (``model: hf``) or a server (``task.mode=server``) trains nothing and has none.
    `regimes_at_flops` are those of `flops` whose runs measure the sweep of ``task.regimes``; empty: all do.
    """

    arm: str
    model: str
    learning_rate: float | None = None
    learning_rates: list[float] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)
    regimes_at_flops: list[float] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class MatchConfig:
    """The rule that picks the verdict's loss, fixed before the first run (see `harness.core.study.MatchRule`).

    A new study takes seeds of different arms as independent (``two_sample``), which three seeds need for any power; a
    study file without the key was promised with ``paired``.
    """

    rule: str = "lowest_common"
    loss: float | None = None
    num_losses: int = 9
    margin_bits_per_byte: float = 0.01
    interval: str = "two_sample"
    margin_accuracy: float | None = None


@dataclass(kw_only=True)
class TuningConfig:
    """A learning-rate search that the study rests on (see `harness.core.study.TuningNote`)."""

    arm: str
    size: str
    learning_rates: list[float]
    chosen: float
    tokens_per_trial: int
    num_seeds: int
    total_flops: float | None = None
    total_duration_s: float | None = None
    where: str = "LOG.md"
    total_energy_j: float | None = None
    energy_grade: str | None = None
    batch_sizes: list[int] = field(default_factory=list)
    chosen_batch: int | None = None


@dataclass(kw_only=True)
class StudyBudgetConfig:
    """The most that a whole study may spend, over all times it is started (see `harness.run.study_budget`)."""

    seconds: float | None = None
    joules: float | None = None
    flops: float | None = None


@dataclass(kw_only=True)
class SweepConfig:
    """A study: cells x seeds, laid out in shuffled blocks; `budget` may change between starts, the rest is promised."""

    title: str = ""
    notes: str = ""
    cells: list[CellConfig] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    order_seed: int = 0
    baseline_arm: str = "dense"
    candidate_arm: str = "moe"
    match: MatchConfig = field(default_factory=MatchConfig)
    claims: list[str] = field(default_factory=lambda: ["training_compute_tenth", "energy_per_task_90"])
    tuning: list[TuningConfig] = field(default_factory=list)
    budget: StudyBudgetConfig = field(default_factory=StudyBudgetConfig)


@dataclass(kw_only=True)
class AppConfig(RunConfig):
    """What ``isojoule run`` composes: one run, the store it goes to, and the study where there is one.

    `isolation`, `lock` and `watchdog_s` say how workers run (`harness.run.options`); no run id depends on them.
    `track` names trackers (``mlflow``, ``tensorboard``, ``wandb``) that ended runs are written to as well, under
    ``tracking/`` of the store; no run depends on them, and no run id holds them.
    """

    arm: str = "${arm_of:${model}}"
    store: str = "runs/${study}"
    isolation: str = "process"
    lock: str = "wait"
    watchdog_s: float = 1800.0
    sweep: SweepConfig = field(default_factory=SweepConfig)
    track: list[str] = field(default_factory=list)


def arm_of(model: Any) -> str:
    """Return what a model is called where nobody named its arm: the family and what it has that is not the default."""
    parts = [str(model["family"])]
    for key, default in (("attention", "gqa"), ("router", "deepseek_v3")):
        if model.get(key, default) != default:
            parts.append(str(model[key]))
    if model.get("mtp_depth", 0):
        parts.append(f"mtp{model['mtp_depth']}")
    return "_".join(parts)


def register_schemas() -> None:
    """Put the schemas where the YAML files' defaults lists look for them."""
    OmegaConf.register_new_resolver("arm_of", arm_of, replace=True)
    store = ConfigStore.instance()
    store.store(name="app_schema", node=AppConfig)
    groups: dict[str, dict[str, Any]] = {
        "schema/model": {"dense": ModelConfig, "moe": MoEConfig, "hf": HuggingFaceConfig},
        "schema/data": {"corpus": DataConfig},
        "schema/train": {"adamw": TrainConfig},
        "schema/task": {"line_completion": TaskConfig, "suite": TaskConfig},
        "schema/kind": {"kind": KindConfig},
        "schema/measure": {"windows": MeasureConfig},
        "schema/parallel": {"processes": ParallelConfig},
    }
    for group, members in groups.items():
        for name, node in members.items():
            store.store(group=group, name=name, node=node)
