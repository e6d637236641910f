"""Forms of a product with few rows, as decoding has them, and which of them is the fastest for given weights here.

Such a product spends its time on reading the weight, and how fast each form reads differs between processors: one
library call runs on one thread on some and at the memory's bandwidth on others (LOG.md has figures of both kinds). So
nothing is assumed: the forms are timed on the weights themselves, once for weights of the same shapes.

Shape suffixes: M rows, K inputs, N outputs.
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models.packed import FEW_ROWS, PackedWeight, TransposedWeight, WeightCopy, can_pack

# Rows that are timed; others take the form of the next larger count.
TIMED_ROWS = (1, 2, 4, 8, 16, FEW_ROWS)
# Weights are timed in turn until they are larger than a processor's cache; the best of so many rounds counts, and each
# round takes so many seconds at least.
SAMPLE_BYTES = 128 << 20
ROUNDS = 4
LEAST_SECONDS = 1e-3
# How much faster than torch's own product another form has to be: more than rounds differ, so that the choice, and with
# it the last digits of what a model answers, is the same in every process of a machine.
LEAST_GAIN = 1.15


class Form(enum.Enum):
    """How the product is made: torch's own, in two halves as a batch (each on a thread), or of a copy of the weight."""

    PLAIN = "plain"
    HALVES = "halves"
    PACKED = "packed"
    TRANSPOSED = "transposed"


COPIES: dict[Form, type[PackedWeight | TransposedWeight]] = {
    Form.PACKED: PackedWeight,
    Form.TRANSPOSED: TransposedWeight,
}


@dataclass(frozen=True, slots=True)
class Forms:
    """The form to take at each of `TIMED_ROWS`."""

    by_rows: tuple[Form, ...]

    def at(self, num_rows: int) -> Form:
        """Return the form for a product of `num_rows` rows."""
        for rows, form in zip(TIMED_ROWS, self.by_rows, strict=True):
            if num_rows <= rows:
                return form
        return Form.PLAIN


def in_halves(x_1K: Tensor, weight_NK: Tensor) -> Tensor:
    """Return ``x @ weight.T`` of one row, (1, N); N is even."""
    halves = weight_NK.unflatten(0, (2, -1))
    return torch.bmm(halves, x_1K.t().expand(2, -1, 1)).view(1, -1)


def find_fastest(weights: Sequence[Tensor], forms: Sequence[Form] = tuple(Form)) -> Forms:
    """Return which of `forms` is the fastest at each number of rows for these weights, (N, K) each.

    Without gradients; takes a second or so for large weights. Those beyond `SAMPLE_BYTES` are left out.
    """
    sample = list(_first(weights))
    taken = [form for form in forms if form is not Form.PACKED or all(can_pack(weight) for weight in sample)]
    copies = {form: [COPIES[form](weight, weight) for weight in sample] for form in taken if form in COPIES}
    return Forms(tuple(_fastest_at(rows, sample, copies, halves=Form.HALVES in forms) for rows in TIMED_ROWS))


def _first(weights: Sequence[Tensor]) -> Iterator[Tensor]:
    num_bytes = 0
    for weight in weights:
        if num_bytes >= SAMPLE_BYTES:
            return
        num_bytes += weight.numel() * weight.element_size()
        yield weight


def _fastest_at(num_rows: int, weights: list[Tensor], copies: dict[Form, list[WeightCopy]], *, halves: bool) -> Form:
    inputs = [weight.new_ones(num_rows, weight.shape[1]) for weight in weights]

    def every(product: Callable[[Tensor, Any], Tensor], by: Sequence[Any]) -> Callable[[], object]:
        return lambda: [product(x, one) for x, one in zip(inputs, by, strict=True)]

    runs = {Form.PLAIN: every(F.linear, weights)}
    if halves and num_rows == 1 and all(weight.shape[0] % 2 == 0 for weight in weights):
        runs[Form.HALVES] = every(in_halves, weights)
    for form, made in copies.items():
        runs[form] = every(lambda x, copy: copy(x), made)
    best = dict.fromkeys(runs, float("inf"))
    repeats = 1
    for turn in range(ROUNDS + 1):
        for form, run in runs.items():
            began = time.perf_counter()
            for _ in range(repeats):
                run()
            if turn:
                best[form] = min(best[form], time.perf_counter() - began)
            elif form is Form.PLAIN:
                repeats = math.ceil(LEAST_SECONDS / max(time.perf_counter() - began, 1e-6))
    fastest = min(best, key=best.__getitem__)
    return fastest if best[Form.PLAIN] > LEAST_GAIN * best[fastest] else Form.PLAIN
