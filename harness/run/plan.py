"""The plan of a study: trunks and their branches in shuffled blocks (one block a seed), as a pure function.

Inside a block every arm and size stands once, in an order shuffled by a stored seed, so that heat and drift of the
machine are not confounded with the arm. A trunk stands directly before its branches. In a tuning study every trial of
every arm is a cell of its own, so that the trials of all arms are shuffled together.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.config import TrainConfig
from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig
from harness.flops.formulas import count_train_flops_per_token
from harness.train.schedule import tokens_per_step

TRAINING_SETTINGS = ("tokens", "flops", "regimes_at_flops", "learning_rate", "learning_rates", "batch_sizes")


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm and size of a study with its budgets in tokens, smallest first; `overrides` are its own settings.

    A trial of a tuning study (`is_trial`) has one budget and trains to it in one go, with a `batch_size` of its own. A
    cell in which nothing is trained (`is_inference`) has no budget: a seed is a repeat. Only runs of the
    budgets `swept` measure the sweep over regimes; ``None``: all do.
    """

    arm: str
    model: str
    learning_rate: float | None
    budgets: tuple[int, ...]
    overrides: tuple[str, ...] = ()
    batch_size: int | None = None
    is_trial: bool = False
    is_inference: bool = False
    swept: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Trunk:
    """One trunk of the plan: its cell, seed and block; `branches` are its budgets in shuffled order.

    Where nothing is trained there are none, and the trunk is one run.
    """

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
        if not cell.budgets and not cell.is_inference:
            raise ConfigError(f"cell {cell.arm}/{cell.model} has no budgets; give tokens or flops.")
    trunks = []
    for block, seed in enumerate(seeds):
        rng = random.Random(f"{order_seed}:{block}")
        for cell in rng.sample(cells, len(cells)):
            branches = tuple(rng.sample(cell.budgets, len(cell.budgets)))
            trunks.append(Trunk(cell, seed, block, branches))
    return trunks


def build_inference_cell(cell: Cell, settings: Sequence[str]) -> Cell:
    """Return `cell` as one in which nothing is trained; `settings` are the names of all that the study gave it.

    Raises:
        ConfigError: a setting that only training has.
    """
    wrong = next((name for name in settings if name in TRAINING_SETTINGS), None)
    if wrong is not None:
        raise ConfigError(
            f"cell {cell.arm}/{cell.model} has {wrong}, but nothing is trained in it; leave that out (sweep.seeds "
            "number its repeats)."
        )
    return dataclasses.replace(cell, budgets=(), is_inference=True)


def check_one_purpose(cells: Sequence[Cell]) -> None:
    """Check that all cells compare, all are trials, or all train nothing.

    Raises:
        ConfigError: they do not.
    """
    resting = [cell for cell in cells if cell.is_inference]
    if resting and len(resting) < len(cells):
        other = next(cell for cell in cells if not cell.is_inference)
        raise ConfigError(
            f"cell {resting[0].arm}/{resting[0].model} trains nothing and cell {other.arm}/{other.model} trains; a "
            "study trains its models, or asks models as they are: make two studies."
        )
    if len({cell.is_trial for cell in cells}) > 1:
        raise ConfigError("some cells have a grid (learning_rates) and some have none; a study tunes or it compares.")


def expand_grid(cell: Cell, learning_rates: Sequence[float], batch_sizes: Sequence[int]) -> list[Cell]:
    """Return one trial for each combination of rate and batch; without batches the cell's own batch stays.

    Raises:
        ConfigError: a rate beside the grid, an entry that is repeated or not above 0, one trial alone, or several
            budgets.
    """
    name = f"cell {cell.arm}/{cell.model}"
    if cell.learning_rate is not None:
        raise ConfigError(
            f"{name} has learning_rate and a grid; give learning_rate alone, or learning_rates to search."
        )
    if not learning_rates:
        raise ConfigError(f"{name} has batch_sizes and no learning_rates; give both (one rate is enough).")
    for key, values in (("learning_rates", learning_rates), ("batch_sizes", batch_sizes)):
        if any(not (math.isfinite(value) and value > 0) for value in values):
            raise ConfigError(f"{name}: {key} are {list(values)}; each must be above 0.")
        if len(set(values)) < len(values):
            raise ConfigError(f"{name}: {key} are {list(values)}; name each once.")
    if len(learning_rates) * max(1, len(batch_sizes)) < 2:
        raise ConfigError(f"{name}: a grid of one trial chooses nothing; give two learning_rates or more.")
    fixed = [text for text in cell.overrides if text.startswith(("train.learning_rate=", "train.batch_size="))]
    if fixed:
        raise ConfigError(f"{name} has a grid and {fixed[0]} among its overrides; leave that out.")
    if len(cell.budgets) > 1:
        raise ConfigError(f"{name} has a grid and {len(cell.budgets)} budgets; all trials of a cell have one budget.")
    return [
        dataclasses.replace(cell, learning_rate=rate, batch_size=batch, is_trial=True)
        for rate in learning_rates
        for batch in (batch_sizes or (None,))
    ]


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
