"""One run of a plan: its configuration, what a launcher composes it from, and the FLOPs of its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.experiments.job import build_job
from omegaconf import DictConfig

from harness.core.config import DataConfig, RunConfig, is_inference
from harness.core.model_config import ModelConfig
from harness.core.store import Store
from harness.flops.formulas import count_train_flops_per_token
from harness.run.estimate import RunToCome
from harness.train.schedule import count_steps, fork_step, tokens_per_step

# What a run costs beside its training, as training FLOPs of a small machine: only for the bar's share of a run.
_OVERHEAD_FLOPS = 5e11

Compose = Callable[[Sequence[str]], DictConfig]


@dataclass(frozen=True, slots=True)
class StudyJob:
    """One run of the plan: `overrides` for a launcher, its store, and its own training FLOPs (forward and backward).

    `is_trial`: one of those that a tuning study ranks, for which to diverge is an answer.
    """

    run_id: str
    overrides: tuple[str, ...]
    config: RunConfig
    block: int
    store: Store
    train_flops: float
    is_trial: bool = False

    @property
    def trunk_id(self) -> str | None:
        """The trunk that must be finished before this run, or ``None``."""
        return self.config.trunk_id

    @property
    def weight(self) -> float:
        """The share of the bar that this run is worth."""
        return 1.0 if is_inference(self.config) else self.train_flops + _OVERHEAD_FLOPS

    def to_come(self) -> RunToCome:
        """Return what an estimate needs to know of the run."""
        config = self.config
        return RunToCome(arm=config.arm, size=config.model.size, role=config.role, train_flops=self.train_flops)


def build_study_job(composed: DictConfig, overrides: Sequence[str], block: int, *, is_trial: bool = False) -> StudyJob:
    """Return the run that was `composed`, which is what `overrides` compose.

    Raises:
        HarnessError: a value, corpus or budget that cannot be used.
    """
    job = build_job(composed)
    flops = count_train_flops(job.config)
    return StudyJob(job.run_id, tuple(overrides), job.config, block, job.store, flops, is_trial)


def count_train_flops(config: RunConfig) -> float:
    """Return the training FLOPs of a run by formula, its own part alone: of a branch what comes after its fork.

    A budget in seconds, joules or loss can only end a run earlier.
    """
    if is_inference(config):
        return 0.0
    train = config.train
    per_token = count_train_flops_per_token(with_vocabulary(config.model, config.data), train.context_length)
    limit = train.budget.tokens
    if train.budget.flops is not None:
        limit = min(limit, int(train.budget.flops / per_token))
    if config.role == "trunk":
        steps = max(fork_step(train, tokens) for tokens in config.branch_tokens or [limit])
    else:
        steps = count_steps(train, limit) - (fork_step(train, limit) if config.role == "branch" else 0)
    return steps * tokens_per_step(train) * per_token


def with_vocabulary(model: ModelConfig, data: DataConfig) -> ModelConfig:
    """Return the model with the vocabulary that its tokenizer is asked for, where none was given."""
    if model.vocab_size:
        return model
    return dataclasses.replace(model, vocab_size=256 if data.tokenizer == "byte" else data.vocab_size)
