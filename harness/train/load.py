"""Load of the experts: counted over all of training, and summed up for a record.

Shape suffixes: L expert layers, E experts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core.routing import RoutingStats

DEAD_EXPERT_SHARE = 0.01


@dataclass(slots=True)
class LoadCount:
    """Loads over training: tokens by layer and expert, (L, E) int64, and the sum of the steps' violations, (L,)."""

    load_LE: Tensor
    violation_L: Tensor
    num_steps: int = 0

    @classmethod
    def begin(cls, loads: Sequence[Tensor]) -> LoadCount:
        """Return an empty count for layers like those of `loads`, (E,) each, on their device."""
        load_LE = torch.stack(list(loads))
        return cls(torch.zeros_like(load_LE), torch.zeros(len(loads), dtype=torch.float64, device=load_LE.device))

    def add(self, loads: Sequence[Tensor]) -> None:
        """Add one step's loads; does not wait for a GPU."""
        load_LE = torch.stack(list(loads))
        self.load_LE += load_LE
        share_LE = load_LE.double()
        self.violation_L += share_LE.amax(dim=1) / share_LE.mean(dim=1).clamp_min(1e-30) - 1
        self.num_steps += 1

    def summarise(self, num_tokens: int) -> RoutingStats:
        """Return what a record holds of `num_tokens` of training."""
        return summarise_routing(self.load_LE, num_tokens, float(self.violation_L.mean()) / self.num_steps)


def summarise_routing(load_LE: Tensor, num_tokens: int, mean_step_violation: float | None = None) -> RoutingStats:
    """Return load shares, violations, normalised entropies and dead experts of `num_tokens`, by layer and over all."""
    num_experts = load_LE.shape[1]
    share = load_LE.double() / load_LE.sum(dim=1, keepdim=True)
    entropy = -(share * share.clamp_min(1e-30).log()).sum(dim=1) / math.log(max(2, num_experts))
    mean = 1.0 / num_experts
    violation = share.amax(dim=1) / mean - 1
    dead = (share < DEAD_EXPERT_SHARE * mean).sum(dim=1)
    return RoutingStats(
        load=tuple(tuple(float(x) for x in row) for row in share),
        max_violation=float(share.max() / mean - 1),
        mean_entropy=float(entropy.mean()),
        num_dead_experts=int(dead.sum()),
        num_tokens=num_tokens,
        layer_max_violation=tuple(float(x) for x in violation),
        layer_entropy=tuple(float(x) for x in entropy),
        layer_dead_experts=tuple(int(x) for x in dead),
        mean_step_violation=mean_step_violation,
    )
