"""The plan: every cell once a block, shuffled by a stored seed, trunks before their branches; costs add up honestly."""

from __future__ import annotations

import pytest

from harness.core.config import TrainConfig
from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig
from harness.core.readings import EnergyReading
from harness.flops.formulas import count_train_flops_per_token
from harness.measure.totals import total_energy_j
from harness.run.plan import Cell, budgets_in_tokens, lay_out
from harness.run.spent import sum_readings

CELLS = [Cell(arm, f"{arm}_{size}", None, (1, 2, 3)) for arm in ("dense", "moe") for size in "sml"]


def test_every_block_holds_every_cell_once_with_all_its_budgets() -> None:
    trunks = lay_out(CELLS, [0, 1, 2], order_seed=7)
    for block in range(3):
        mine = [trunk for trunk in trunks if trunk.block == block]
        assert sorted(t.cell.model for t in mine) == sorted(c.model for c in CELLS)
        assert {t.seed for t in mine} == {block}
        assert all(sorted(t.branches) == [1, 2, 3] for t in mine)
    assert [t.block for t in trunks] == sorted(t.block for t in trunks)


def test_the_order_is_shuffled_differs_between_blocks_and_repeats_with_its_seed() -> None:
    trunks = lay_out(CELLS, list(range(4)), order_seed=7)
    orders = [[t.cell.model for t in trunks if t.block == block] for block in range(4)]
    assert len({tuple(order) for order in orders}) > 1
    assert lay_out(CELLS, list(range(4)), order_seed=7) == trunks
    assert lay_out(CELLS, list(range(4)), order_seed=8) != trunks


@pytest.mark.parametrize(("cells", "seeds"), [([], [0]), (CELLS, []), ([Cell("a", "b", None, ())], [0])])
def test_an_empty_plan_is_the_users_mistake(cells: list[Cell], seeds: list[int]) -> None:
    with pytest.raises(ConfigError):
        lay_out(cells, seeds, 0)


def test_budgets_in_flops_become_whole_steps() -> None:
    model, train = ModelConfig(vocab_size=256), TrainConfig(batch_size=4, context_length=32)
    per_token = count_train_flops_per_token(model, 32)
    budgets = budgets_in_tokens(model, train, [12_800], [per_token * 25_600])
    assert budgets == (12_800, 25_600)
    assert all(tokens % 128 == 0 for tokens in budgets)
    with pytest.raises(ConfigError, match="ten steps"):
        budgets_in_tokens(model, train, [128], [])


def _reading(energy_j: float | None, grade: str = "A", domain: str = "gpu", index: int = 0) -> EnergyReading:
    return EnergyReading(
        sensor="nvml", domain=domain, device="x", device_index=index, energy_j=energy_j, grade=grade, method="counter",
        num_samples=2, coverage=0.9, reason=None if energy_j is not None else "the sensor failed",
    )  # fmt: skip


def test_energy_of_a_path_adds_up_per_device_and_carries_the_worst_grade() -> None:
    sums = sum_readings([_reading(1.0), _reading(2.0, "B"), _reading(5.0, index=1)])
    assert [(s.device_index, s.energy_j, s.grade, s.num_samples) for s in sums] == [(0, 3.0, "B", 4), (1, 5.0, "A", 2)]
    assert total_energy_j(sums) == 8.0


def test_one_unknown_part_makes_a_sum_unknown_never_smaller() -> None:
    (total,) = sum_readings([_reading(1.0), _reading(None)])
    assert total.energy_j is None
    assert total.reason == "the sensor failed"
    assert total_energy_j((total, _reading(1.0))) is None
    assert total_energy_j(()) is None
