"""Huber loss of a scaling law on log losses, with exact gradient and Hessian, for many weightings of the rows at once.

A law is L = E + sum_k A_k X_k^-alpha_k. With e = ln E and a_k = ln A_k the predicted log loss is
logsumexp(e, a_k - alpha_k ln X_k), and the objective is the *sum* over rows of weight * Huber(predicted - observed)
with delta = 1e-3 (Hoffmann et al. 2022, appendix D.3; the sum, not the mean: Besiroglu et al. 2024).

Shapes: R weightings (resamples or starts), n rows, c columns of k rows with one x, T power terms, p parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HUBER_DELTA = 1e-3


@dataclass(frozen=True)
class Block:
    """The rows of one family, centred: `x` is (c, T) in log units, `y` (n,) the log loss, n = k * c.

    Row i is of column i modulo c: a plain block has a row for each x, a packed one k of them (`packing`). `index` says
    which of the problem's parameters stand for this block's (e, a_1, alpha_1, a_2, alpha_2, ...): blocks that name the
    same parameter share it.
    """

    x: Array
    y: Array
    index: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        """How many rows the block has."""
        return len(self.y)

    @cached_property
    def levels(self) -> list[tuple[Array, np.ndarray]]:
        """The values that each column of x takes, and which of them each of its c entries is."""
        return [np.unique(column, return_inverse=True) for column in self.x.T]

    @cached_property
    def features(self) -> list[Array]:
        """Derivatives of ln L by parameter over a term's share: (c, 1) for e and (c, 2) for each (a_k, alpha_k)."""
        ones = np.ones(len(self.x))
        return [ones[:, None], *(np.stack((ones, -column), axis=1) for column in self.x.T)]

    @cached_property
    def products(self) -> list[list[Array]]:
        """Products of the features of two terms, (c, f_k * f_j)."""
        pairs = [[(f[:, :, None] * g[:, None, :]) for g in self.features] for f in self.features]
        return [[pair.reshape(len(pair), -1) for pair in row] for row in pairs]


@dataclass(frozen=True, slots=True)
class Problem:
    """Blocks that are fitted together, and how many parameters they have in all."""

    blocks: tuple[Block, ...]
    num_params: int

    @property
    def num_rows(self) -> int:
        """Rows over all blocks."""
        return sum(block.num_rows for block in self.blocks)


class Evaluation(NamedTuple):
    """Objective (R,), gradient (R, p), Hessian (R, p, p) and the Hessian (R, p, p) of a quadratic bound from above."""

    value: Array
    gradient: Array
    hessian: Array
    bound: Array


def predict_log(theta: Array, x: Array) -> Array:
    """Return the log loss (R, n) of parameters (R, 1 + 2 T), ordered (e, a_1, alpha_1, ...), at `x` (n, T)."""
    total = np.exp(theta[:, :1])
    for k in range(x.shape[1]):
        total = total + _power_term(theta, k, x[:, k])
    return np.asarray(np.log(total), dtype=np.float64)


def evaluate(problem: Problem, theta: Array, weights: Sequence[Array]) -> Evaluation:
    """Evaluate all R weightings at `theta` (R, p); `weights` holds (R, n) or (1, n) for each block.

    Parameters so far off that exp overflows give a value that is not finite; the solver refuses such a step.
    """
    shape = theta.shape[0], problem.num_params
    value, gradient = np.zeros(shape[0]), np.zeros(shape)
    hessian, bound = np.zeros((*shape, shape[1])), np.zeros((*shape, shape[1]))
    for block, weight in zip(problem.blocks, weights, strict=True):
        index = np.array(block.index)
        part = _evaluate_block(block, theta[:, index], weight)
        value += part.value
        gradient[:, index] += part.gradient
        hessian[:, index[:, None], index[None, :]] += part.hessian
        bound[:, index[:, None], index[None, :]] += part.bound
    return Evaluation(value, gradient, hessian, bound)


def _evaluate_block(block: Block, theta: Array, weight: Array) -> Evaluation:
    """Evaluate one block; its own parameters are ordered (e, a_1, alpha_1, ...)."""
    num, (columns, terms) = theta.shape[0], block.x.shape
    powers = [np.take(_power_term(theta, k, x), places, axis=1) for k, (x, places) in enumerate(block.levels)]
    sizes = [np.exp(theta[:, :1]), *powers]
    total = sum(sizes[1:], start=sizes[0])
    shares = [size / total for size in sizes]

    weight = weight.reshape(len(weight), -1, columns)
    residual = np.log(total)[:, None, :] - block.y.reshape(-1, columns)
    clipped = np.minimum(np.maximum(residual, -HUBER_DELTA), HUBER_DELTA)
    slopes = weight * clipped
    value = (slopes * (residual - 0.5 * clipped)).sum(axis=(1, 2))
    size = np.abs(residual)
    slope = slopes.sum(axis=1)
    inside = (weight * (size <= HUBER_DELTA)).sum(axis=1) - slope
    np.maximum(size, HUBER_DELTA, out=size)
    majorant = HUBER_DELTA * np.divide(weight, size, out=size).sum(axis=1)

    params = 1 + 2 * terms
    places = [slice(0, 1), *(slice(1 + 2 * k, 3 + 2 * k) for k in range(terms))]
    gradient = np.empty((num, params))
    hessian, bound = np.empty((num, params, params)), np.empty((num, params, params))
    for k, share in enumerate(shares):
        pull = slope * share
        gradient[:, places[k]] = pull @ block.features[k]
        inside_k, majorant_k = inside * share, majorant * share
        for j in range(k, len(shares)):
            outer = block.products[k][j]
            shape = (num, block.features[k].shape[1], block.features[j].shape[1])
            curvature = ((inside_k * shares[j]) @ outer).reshape(shape)
            if j == k:
                curvature = curvature + (pull @ outer).reshape(shape)
            above = ((majorant_k * shares[j]) @ outer).reshape(shape)
            hessian[:, places[k], places[j]] = curvature
            hessian[:, places[j], places[k]] = curvature.transpose(0, 2, 1)
            bound[:, places[k], places[j]] = above
            bound[:, places[j], places[k]] = above.transpose(0, 2, 1)
    return Evaluation(value, gradient, hessian, bound)


def _power_term(theta: Array, k: int, x: Array) -> Array:
    """Return A_k X_k^-alpha_k (R, c) of parameters (R, p)."""
    return np.asarray(np.exp(theta[:, 1 + 2 * k, None] - theta[:, 2 + 2 * k, None] * x), dtype=np.float64)
