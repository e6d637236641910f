"""Routed experts: the weights of all experts in two stacked tensors.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.model_config import MoEConfig
from harness.models.dispatch import DISPATCHES
from harness.models.router import Routing


class RoutedExperts(nn.Module):
    """E SwiGLU experts; every token passes through those that its routing names."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts = config.num_experts
        self.gate_up_EDF = nn.Parameter(torch.empty(config.num_experts, config.d_model, 2 * config.d_expert))
        self.down_EFD = nn.Parameter(torch.empty(config.num_experts, config.d_expert, config.d_model))
        self.dispatch = DISPATCHES.get(config.dispatch)

    def forward(self, x_ND: Tensor, routing: Routing) -> Tensor:
        """Return the gated sum over each token's experts, (N, D)."""
        run = self.dispatch if x_ND.is_cuda else partial(_run_as_it_is, self.dispatch)
        out: Tensor = run(x_ND, routing, self.gate_up_EDF, self.down_EFD)
        return out


@torch.compiler.disable
def _run_as_it_is(dispatch: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Dispatch outside a compiled graph: the compiler does not take grouped products of fp32 on a CPU."""
    return dispatch(*arguments)
