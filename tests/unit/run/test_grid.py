"""A grid of one cell: one trial for each rate and batch, shuffled with those of all other cells, or one clear error."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import pytest

from harness.core.errors import ConfigError
from harness.run.plan import Cell, expand_grid, lay_out

CELL = Cell("dense", "dense_s", None, (1024,))


def test_each_combination_is_one_trial_of_the_same_budget() -> None:
    trials = expand_grid(CELL, [0.003, 0.006], [4, 8, 16])
    assert [(t.learning_rate, t.batch_size) for t in trials] == list(itertools.product([0.003, 0.006], [4, 8, 16]))
    assert {t.budgets for t in trials} == {(1024,)}
    assert all(t.is_trial for t in trials)


def test_without_batches_the_trials_keep_the_configured_one() -> None:
    assert {t.batch_size for t in expand_grid(CELL, [0.003, 0.006], [])} == {None}


def test_every_block_holds_every_trial_of_every_arm_and_arms_are_mixed() -> None:
    cells = [
        trial
        for arm in ("dense", "moe")
        for trial in expand_grid(Cell(arm, f"{arm}_s", None, (1024,)), [0.001, 0.002, 0.004, 0.008], [])
    ]
    trunks = lay_out(cells, [0, 1, 2], order_seed=3)
    mixed = 0
    for block in range(3):
        mine = [trunk.cell for trunk in trunks if trunk.block == block]
        assert sorted((c.arm, c.learning_rate) for c in mine) == sorted((c.arm, c.learning_rate) for c in cells)
        mixed += sum(left.arm != right.arm for left, right in itertools.pairwise(mine))
    assert mixed > 3, "arms one after the other would change once a block"


@pytest.mark.parametrize(
    ("cell", "rates", "batches", "words"),
    [
        (dataclasses.replace(CELL, learning_rate=0.006), [0.003, 0.006], [], "learning_rate and a grid"),
        (CELL, [], [4, 8], "no learning_rates"),
        (CELL, [0.006], [], "chooses nothing"),
        (CELL, [0.006], [8], "chooses nothing"),
        (CELL, [0.006, 0.006], [], "name each once"),
        (CELL, [0.006, 0.0], [], "above 0"),
        (CELL, [0.006, float("nan")], [], "above 0"),
        (CELL, [0.006], [8, -4], "above 0"),
        (dataclasses.replace(CELL, budgets=(1024, 2048)), [0.003, 0.006], [], "one budget"),
        (dataclasses.replace(CELL, overrides=("train.learning_rate=1",)), [0.003, 0.006], [], "leave that out"),
        (dataclasses.replace(CELL, overrides=("train.batch_size=4",)), [0.003], [4, 8], "leave that out"),
    ],
)
def test_a_grid_that_cannot_be_run_is_the_users_mistake(
    cell: Cell, rates: Sequence[float], batches: Sequence[int], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        expand_grid(cell, rates, batches)
