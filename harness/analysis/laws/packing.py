"""Rows of one configuration laid side by side, so that what its seeds share is worked out once.

Seeds of one configuration have the same parameters and tokens, and with them the same predicted loss and the same
derivatives: only their observed losses differ. A packed block holds each configuration's x once and k places for its
rows; a configuration of more rows takes several columns, and places that are left over hold a row of weight 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.objective import Array, Block

# What a column and a row cost `evaluate`, in passes over one array: shares and their products, and residuals.
_COLUMN_COST, _ROW_COST = 40, 15
_MAX_REPEATS = 512


@dataclass(frozen=True, slots=True)
class Packing:
    """A packed block of k rows for each of its c columns, and the place (n,) of every row of the block it is from."""

    block: Block
    places: np.ndarray

    def pack(self, weights: Array) -> Array:
        """Return weights (R, k * c) from those of the rows (R, n)."""
        packed = np.zeros((len(weights), self.block.num_rows))
        packed[:, self.places] = weights
        return packed


def pack_rows(block: Block) -> Packing:
    """Return `block` (plain: one row a column) with the rows of one x in as few columns as is quickest to evaluate."""
    order = np.lexsort((block.y, *block.x.T))
    x = block.x[order]
    is_first = np.ones(len(x), dtype=bool)
    is_first[1:] = (x[1:] != x[:-1]).any(axis=1)
    starts = np.flatnonzero(is_first)
    counts = np.diff(np.append(starts, len(x)))
    repeats = _choose_repeats(counts)
    columns = -(-counts // repeats)
    first_columns = np.cumsum(columns) - columns
    configuration = np.cumsum(is_first) - 1
    within = np.arange(len(x)) - starts[configuration]
    num = int(columns.sum())
    places = np.empty(len(x), dtype=np.intp)
    places[order] = (within % repeats) * num + first_columns[configuration] + within // repeats
    y = np.zeros(repeats * num)
    y[places] = block.y
    return Packing(Block(x=np.repeat(x[starts], columns, axis=0), y=y, index=block.index), places)


def _choose_repeats(counts: np.ndarray) -> int:
    """Return how many rows a column holds at the least cost, from how many rows each configuration has."""
    tried = np.arange(1, min(int(counts.max()), _MAX_REPEATS) + 1)
    columns = (-(-counts[None, :] // tried[:, None])).sum(axis=1)
    return int(tried[np.argmin(columns * (_COLUMN_COST + _ROW_COST * tried))])
