"""Rows of one configuration laid side by side give what the rows alone give, whatever their order and number."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analysis.laws.objective import Block, Problem, evaluate
from harness.analysis.laws.packing import pack_rows

COUNTS = {"a row each": [1] * 30, "three each": [3] * 12, "unequal": [1, 7, 2, 1, 90, 3], "one of all": [40]}


def _make(counts: list[int]) -> tuple[Block, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(sum(counts))
    x = np.repeat(rng.normal(size=(len(counts), 2)), counts, axis=0)
    mixed = rng.permutation(len(x))
    block = Block(x=x[mixed], y=rng.normal(0.5, 0.01, len(x)), index=(0, 1, 2, 3, 4))
    theta = np.array([0.3, -1.5, 0.3, -1.4, 0.2]) + rng.normal(0, 0.05, (6, 5))
    return block, theta, rng.integers(0, 4, (6, len(x))).astype(float)


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_a_packed_block_gives_the_same_value_and_derivatives(counts):
    block, theta, weights = _make(counts)
    packing = pack_rows(block)
    plain = evaluate(Problem((block,), 5), theta, [weights])
    packed = evaluate(Problem((packing.block,), 5), theta, [packing.pack(weights)])
    for expected, found in zip(plain, packed, strict=True):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_every_row_has_a_place_with_its_own_x_and_loss(counts):
    block, _, weights = _make(counts)
    packing = pack_rows(block)
    packed = packing.block
    assert len(set(packing.places.tolist())) == block.num_rows
    assert packed.y[packing.places].tolist() == block.y.tolist()
    assert packed.x[packing.places % len(packed.x)].tolist() == block.x.tolist()
    assert packing.pack(weights).sum() == weights.sum()


def test_seeds_share_columns_and_one_large_configuration_does_not_widen_the_rest():
    assert pack_rows(_make([3] * 12)[0]).block.x.shape == (12, 2)
    assert pack_rows(_make([1] * 30)[0]).block.x.shape == (30, 2)
    many = pack_rows(_make([1] * 200 + [400])[0]).block
    assert len(many.y) < 1500
