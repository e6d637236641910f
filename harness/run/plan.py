"""The plan of a study: trunks and their branches in shuffled blocks (one block a seed), as a pure function.

Inside a block every arm and size stands once, in an order shuffled by a stored seed, so that heat and drift of the
machine are not confounded with the arm. A trunk stands directly before its branches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.core.config import TrainConfig
from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig
from harness.flops.formulas import count_train_flops_per_token
from harness.train.schedule import tokens_per_step


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm and size of a study with its budgets in tokens, smallest first; `overrides` are its own settings."""

    arm: str
    model: str
    learning_rate: float | None
    budgets: tuple[int, ...]
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trunk:
    """One trunk of the plan: its cell, seed and block; `branches` are its budgets in shuffled order."""

    cell: Cell
    seed: int
    block: int
    branches: tuple[int, ...]


def lay_out(cells: list[Cell], seeds: list[int], order_seed: int) -> list[Trunk]:
    """Return the trunks in the order in which they run.

    Raises:
        ConfigError: no cell, no seed, or a cell without a budget.
    """
    if not cells:
        raise ConfigError("the study has no cells; give sweep.cells, or pick an experiment (isojoule ls experiment).")
    if not seeds:
        raise ConfigError("the study has no seeds; give sweep.seeds=[0,1,2].")
    for cell in cells:
        if not cell.budgets:
            raise ConfigError(f"cell {cell.arm}/{cell.model} has no budgets; give tokens or flops.")
    trunks = []
    for block, seed in enumerate(seeds):
        rng = random.Random(f"{order_seed}:{block}")
        for cell in rng.sample(cells, len(cells)):
            branches = tuple(rng.sample(cell.budgets, len(cell.budgets)))
            trunks.append(Trunk(cell, seed, block, branches))
    return trunks


def budgets_in_tokens(model: ModelConfig, train: TrainConfig, tokens: list[int], flops: list[float]) -> tuple[int, ...]:
    """Return budgets as tokens rounded to whole steps, from `tokens` and training `flops` (forward and backward).

    Raises:
        ConfigError: a budget is not positive or shorter than ten steps.
    """
    per_step = tokens_per_step(train)
    per_token = count_train_flops_per_token(model, train.context_length)
    wanted = [*tokens, *(int(budget / per_token) for budget in flops)]
    rounded = sorted({round(budget / per_step) * per_step for budget in wanted})
    if rounded and rounded[0] < 10 * per_step:
        raise ConfigError(f"a budget of {rounded[0]} tokens is under ten steps of {per_step} tokens; give more.")
    return tuple(rounded)
