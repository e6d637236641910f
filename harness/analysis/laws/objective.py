"""Huber loss of a scaling law on log losses, with exact gradient and Hessian, for many weightings of the rows at once.

A law is L = E + sum_k A_k X_k^-alpha_k. With e = ln E and a_k = ln A_k the predicted log loss is
logsumexp(e, a_k - alpha_k ln X_k), and the objective is the *sum* over rows of weight * Huber(predicted - observed)
with delta = 1e-3 (Hoffmann et al. 2022, appendix D.3; the sum, not the mean: Besiroglu et al. 2024).

Shapes: R weightings (resamples or starts), n rows, T power terms, p parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HUBER_DELTA = 1e-3


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one family, centred: `x` is (n, T) in log units, `y` (n,) the log loss.

    `index` says which of the problem's parameters stand for this block's (e, a_1, alpha_1, a_2, alpha_2, ...): blocks
    that name the same parameter share it.
    """

    x: Array
    y: Array
    index: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        """How many rows the block has."""
        return len(self.y)


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
        total = total + np.exp(theta[:, 1 + 2 * k, None] - theta[:, 2 + 2 * k, None] * x[None, :, k])
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
    num, terms = theta.shape[0], block.x.shape[1]
    ones = np.ones(block.num_rows)
    shares = [np.exp(theta[:, 1 + 2 * k, None] - theta[:, 2 + 2 * k, None] * block.x[None, :, k]) for k in range(terms)]
    total = sum(shares, start=np.exp(theta[:, :1]))
    residual = np.log(total) - block.y
    shares = [np.exp(theta[:, :1]) / total, *(share / total for share in shares)]
    # The derivative of ln L by parameter is share * feature: 1 for e and a_k, -x_k for alpha_k.
    features = [ones[:, None], *(np.stack((ones, -block.x[:, k]), axis=1) for k in range(terms))]
    places = [slice(0, 1), *(slice(1 + 2 * k, 3 + 2 * k) for k in range(terms))]

    clipped = np.clip(residual, -HUBER_DELTA, HUBER_DELTA)
    slope = weight * clipped
    value = (slope * (residual - 0.5 * clipped)).sum(axis=1)
    size = np.abs(residual)
    inside = weight * (size <= HUBER_DELTA) - slope
    majorant = weight * (HUBER_DELTA / np.maximum(size, HUBER_DELTA))

    params = 1 + 2 * terms
    gradient = np.empty((num, params))
    hessian, bound = np.empty((num, params, params)), np.empty((num, params, params))
    for k, share in enumerate(shares):
        pull = slope * share
        gradient[:, places[k]] = pull @ features[k]
        for j in range(k, len(shares)):
            product = share * shares[j]
            outer = (features[k][:, :, None] * features[j][:, None, :]).reshape(block.num_rows, -1)
            size_kj = (num, features[k].shape[1], features[j].shape[1])
            curvature = ((inside * product) @ outer).reshape(size_kj)
            if j == k:
                curvature = curvature + (pull @ outer).reshape(size_kj)
            above = ((majorant * product) @ outer).reshape(size_kj)
            hessian[:, places[k], places[j]] = curvature
            hessian[:, places[j], places[k]] = curvature.transpose(0, 2, 1)
            bound[:, places[k], places[j]] = above
            bound[:, places[j], places[k]] = above.transpose(0, 2, 1)
    return Evaluation(value, gradient, hessian, bound)
