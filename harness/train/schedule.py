"""Warm-up, stable, decay: one stable run (trunk) gives several budgets, each by a decay branch of its own.

The rate is a pure function of the tokens seen, so a trunk followed by a branch is, digit for digit, the run that trains
to that budget in one go (Hu et al., 2024; Hägele et al., arXiv 2405.18392).
"""

from __future__ import annotations

from harness.core.config import TrainConfig


def tokens_per_step(train: TrainConfig) -> int:
    """Return tokens of one optimiser step."""
    return train.batch_size * train.context_length


def count_steps(train: TrainConfig, tokens: int) -> int:
    """Return the whole steps that fit into `tokens`, at least 1."""
    return max(1, tokens // tokens_per_step(train))


def fork_step(train: TrainConfig, budget_tokens: int) -> int:
    """Return the step at which the decay towards `budget_tokens` begins: where its branch leaves the trunk."""
    num_steps = count_steps(train, budget_tokens)
    return num_steps - round(num_steps * train.decay_fraction)


def learning_rate_at(train: TrainConfig, step: int, decay_from: int | None, num_steps: int) -> float:
    """Return the rate of `step` (from 0): linear warm-up, constant, linear decay from `decay_from` (None: never)."""
    warmup_steps = max(1, train.warmup_tokens // tokens_per_step(train))
    rate = train.learning_rate * min(1.0, (step + 1) / warmup_steps)
    if decay_from is None or step < decay_from:
        return rate
    remaining = (num_steps - step) / (num_steps - decay_from + 1)
    return rate * (train.final_lr_fraction + (1 - train.final_lr_fraction) * remaining)
