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
from harness.models.few_tokens import PackedExperts, pack_experts, run_few_tokens
from harness.models.packed import FEW_ROWS
from harness.models.router import Routing


class RoutedExperts(nn.Module):
    """E SwiGLU experts; every token passes through those that its routing names."""

    packed: PackedExperts | None = None

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts = config.num_experts
        self.gate_up_EDF = nn.Parameter(torch.empty(config.num_experts, config.d_model, 2 * config.d_expert))
        self.down_EFD = nn.Parameter(torch.empty(config.num_experts, config.d_expert, config.d_model))
        self.dispatch = DISPATCHES.get(config.dispatch)
        self.chooses = config.dispatch == "auto"

    def forward(self, x_ND: Tensor, routing: Routing) -> Tensor:
        """Return the gated sum over each token's experts, (N, D)."""
        if self.chooses and _is_few(x_ND):
            parts = (x_ND, routing.experts_Nk, routing.gates_Nk, self.gate_up_EDF, self.down_EFD)
            return run_few_tokens(*parts, self.packed)
        run = self.dispatch if x_ND.is_cuda else partial(_run_as_it_is, self.dispatch)
        out: Tensor = run(x_ND, routing, self.gate_up_EDF, self.down_EFD)
        return out

    def pack(self) -> None:
        """Pack each expert's weights for products with few rows, where that pays."""
        if self.chooses:
            self.packed = pack_experts(self.packed, self.gate_up_EDF, self.down_EFD)


def _is_few(x_ND: Tensor) -> bool:
    """Return whether these are the few tokens of a decode step on a CPU."""
    if x_ND.is_cuda or torch.is_grad_enabled() or x_ND.shape[0] > FEW_ROWS:
        return False
    return not torch.is_autocast_enabled(x_ND.device.type)


@torch.compiler.disable
def _run_as_it_is(dispatch: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Dispatch outside a compiled graph: the compiler does not take grouped products of fp32 on a CPU."""
    return dispatch(*arguments)
