"""FLOPs that the experts really executed: nominal FLOPs less what dropped choices save, plus what padding costs."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.model_config import MoEConfig
from harness.flops.formulas import TRAIN_FACTOR, count_train_flops_per_token, swiglu_flops


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """Rows over some training, summed over layers: choices of experts made, choices dropped, rows multiplied."""

    chosen: int
    dropped: int
    multiplied: int

    @property
    def dropped_share(self) -> float:
        """Return the share of choices that were dropped."""
        return self.dropped / self.chosen if self.chosen else 0.0


def count_executed_train_flops_per_token(
    config: MoEConfig, context_length: int, rows: ExpertRows, num_tokens: int
) -> float:
    """Return forward and backward FLOPs that one training token really took, on average over `num_tokens`."""
    beyond = (rows.multiplied - rows.chosen) * swiglu_flops(config.d_model, config.d_expert)
    return count_train_flops_per_token(config, context_length) + TRAIN_FACTOR * beyond / num_tokens
