"""The frontier: the lower envelope of each arm and seed over its sizes and budgets, read at a loss or at a budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.interpolation import bracket, invert_share, share_at
from harness.analysis.points import cost_of
from harness.analysis.results import FrontierPoint, Resource

MIN_LADDER = 3
# Losses are compared after arithmetic on them; this is far below any evaluation's resolution (bits per byte).
LOSS_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What it cost to reach a loss, by which size, and the runs that bracket it with their interpolation weights."""

    cost: float
    size: str
    runs: tuple[tuple[FrontierPoint, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedLoss:
    """The lowest loss (bits per byte) at a cost, by which size, and the runs that bracket it with their weights."""

    loss: float
    size: str
    runs: tuple[tuple[FrontierPoint, float], ...]


def trace_envelope(points: Sequence[FrontierPoint], resource: Resource) -> list[FrontierPoint]:
    """Return the points of one size by rising cost, without those that a cheaper one equals or beats in loss."""
    known = [(cost, point) for point in points if (cost := cost_of(point, resource)) is not None]
    envelope: list[FrontierPoint] = []
    for _, point in sorted(known, key=lambda pair: (pair[0], pair[1].loss, pair[1].run_id)):
        if not envelope or point.loss < envelope[-1].loss:
            envelope.append(point)
    return envelope


class Frontier:
    """Cost as a function of loss for one arm and seed, from its own runs only; it never extrapolates.

    Between adjacent budgets of one size loss is an exponential in log cost (`harness.analysis.interpolation`), for a
    `decay` of 0 a chord; across sizes the cheapest at that loss counts.
    """

    def __init__(self, points: Sequence[FrontierPoint], decay: float = 0.0) -> None:
        self.points = tuple(points)
        self.decay = decay
        self._sizes = sorted({point.size for point in points})
        self._envelopes: dict[tuple[str, Resource], list[FrontierPoint]] = {}

    def loss_range(self, resource: Resource = "flops") -> tuple[float, float] | None:
        """Return the lowest and highest loss on the envelope, ``None`` when `resource` is unknown in every run."""
        losses = [point.loss for size in self._sizes for point in self._envelope(size, resource)]
        return (min(losses), max(losses)) if losses else None

    def cost_at(self, loss: float, resource: Resource) -> Reached | None:
        """Return the cheapest way to `loss`, or ``None`` where no size's budgets bracket it.

        Peak memory is not spent, so it is read off where training FLOPs are cheapest.
        """
        priced: Resource = "flops" if resource == "peak_memory" else resource
        found = [
            reached
            for size in self._sizes
            if (envelope := self._envelope(size, priced))
            # most sizes do not get there, which their ends tell
            and envelope[-1].loss - LOSS_TOLERANCE <= loss <= envelope[0].loss + LOSS_TOLERANCE
            and (reached := _interpolate(envelope, loss, priced, self.decay))
        ]
        cheapest = min(found, key=lambda reached: reached.cost, default=None)
        if cheapest is None or resource != "peak_memory":
            return cheapest
        logs = []
        for point, weight in cheapest.runs:
            memory = cost_of(point, resource)
            if memory is None:
                return None
            logs.append(weight * math.log(memory))
        return Reached(cost=math.exp(sum(logs)), size=cheapest.size, runs=cheapest.runs)

    def loss_at(self, cost: float, resource: Resource) -> ReachedLoss | None:
        """Return the lowest loss at exactly `cost` of `resource`, or ``None`` where no size's budgets bracket it.

        Raises:
            ValueError: the resource is memory, which is not spent, so that a loss there is not interpolated.
        """
        if resource == "peak_memory":
            raise ValueError("memory is not spent, so a loss at a memory is not interpolated")
        found = [
            reached
            for size in self._sizes
            if (reached := _read_loss(self._envelope(size, resource), cost, resource, self.decay))
        ]
        return min(found, key=lambda reached: reached.loss, default=None)

    def cost_range(self, resource: Resource) -> tuple[float, float] | None:
        """Return the lowest and highest cost on the envelope, ``None`` when `resource` is unknown in every run."""
        costs = [_known_cost(point, resource) for size in self._sizes for point in self._envelope(size, resource)]
        return (min(costs), max(costs)) if costs else None

    def max_cost(self, resource: Resource) -> float | None:
        """Return the cost of the most expensive run, ``None`` when unknown in every run."""
        found = self.find_costliest(resource)
        return found[0] if found is not None else None

    def find_costliest(self, resource: Resource) -> tuple[float, FrontierPoint] | None:
        """Return the most expensive run and its cost, ``None`` when unknown in every run."""
        known = [(cost, point) for point in self.points if (cost := cost_of(point, resource)) is not None]
        return max(known, key=lambda pair: (pair[0], pair[1].run_id), default=None)

    def _envelope(self, size: str, resource: Resource) -> list[FrontierPoint]:
        if (size, resource) not in self._envelopes:
            own = [point for point in self.points if point.size == size]
            self._envelopes[size, resource] = trace_envelope(own, resource)
        return self._envelopes[size, resource]


def _interpolate(envelope: Sequence[FrontierPoint], loss: float, resource: Resource, decay: float) -> Reached | None:
    for point in envelope:
        if abs(point.loss - loss) <= LOSS_TOLERANCE:
            return Reached(cost=_known_cost(point, resource), size=point.size, runs=((point, 1.0),))
    index = bracket([point.loss for point in envelope], loss)
    if index is None:
        return None
    left, right = envelope[index], envelope[index + 1]
    start = math.log(_known_cost(left, resource))
    width = math.log(_known_cost(right, resource)) - start
    position = invert_share((left.loss - loss) / (left.loss - right.loss), width, decay)
    weight = position / width if width > 0 else 0.0
    return Reached(cost=math.exp(start + position), size=left.size, runs=((left, 1 - weight), (right, weight)))


def _read_loss(envelope: Sequence[FrontierPoint], cost: float, resource: Resource, decay: float) -> ReachedLoss | None:
    """Return the loss of one size at `cost`."""
    costs = [math.log(_known_cost(point, resource)) for point in envelope]
    wanted = math.log(cost)
    for point, own in zip(envelope, costs, strict=True):
        if abs(own - wanted) <= LOSS_TOLERANCE:
            return ReachedLoss(loss=point.loss, size=point.size, runs=((point, 1.0),))
    for i, (start, end) in enumerate(itertools.pairwise(costs)):
        if start < wanted < end:
            left, right = envelope[i], envelope[i + 1]
            share = share_at(wanted - start, end - start, decay)
            loss = left.loss - share * (left.loss - right.loss)
            return ReachedLoss(loss=loss, size=left.size, runs=((left, 1 - share), (right, share)))
    return None


def order_ladder(points: Iterable[FrontierPoint], arm: str) -> tuple[str, ...]:
    """Return the sizes of `arm`, smallest first by active (else total) parameters, else by name."""
    params: dict[str, float] = {}
    for point in points:
        if point.arm == arm:
            count = point.active_params if point.active_params is not None else point.total_params
            params[point.size] = count if count is not None else math.inf
    return tuple(sorted(params, key=lambda size: (params[size], size)))


def is_at_edge(ladder: Sequence[str], cheapest: Iterable[str]) -> bool:
    """Return whether the ladder is too short for an interior minimum, or a cheapest size is its first or last."""
    return len(ladder) < MIN_LADDER or any(size in (ladder[0], ladder[-1]) for size in cheapest)


def _known_cost(point: FrontierPoint, resource: Resource) -> float:
    cost = cost_of(point, resource)
    assert cost is not None  # noqa: S101  # an envelope holds only points whose cost is known
    return cost
