"""Routed experts: the weights of all experts in two stacked tensors.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.model_config import MoEConfig
from harness.models.dispatch import DISPATCHES
from harness.models.few_rows import Form, Forms
from harness.models.few_tokens import PackedExperts, pack_experts, run_few_tokens
from harness.models.packed import FEW_ROWS, is_large
from harness.models.router import Routing


class RoutedExperts(nn.Module):
    """E SwiGLU experts; every token passes through those that its routing names."""

    copied: PackedExperts | None = None
    forms: Forms | None = None

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts, self.top_k = config.num_experts, config.top_k
        self.gate_up_EDF = nn.Parameter(torch.empty(config.num_experts, config.d_model, 2 * config.d_expert))
        self.down_EFD = nn.Parameter(torch.empty(config.num_experts, config.d_expert, config.d_model))
        self.dispatch = DISPATCHES.get(config.dispatch)
        self.chooses = config.dispatch == "auto"
        self.is_operator = config.dispatch in ("auto", "blocked")  # one operator to a compiler, on a CPU

    def forward(self, x_ND: Tensor, routing: Routing) -> Tensor:
        """Return the gated sum over each token's experts, (N, D)."""
        if self.chooses and _is_few(x_ND):
            parts = (x_ND, routing.experts_Nk, routing.gates_Nk, self.gate_up_EDF, self.down_EFD)
            return run_few_tokens(*parts, self.copied, self.forms)
        run = self.dispatch if x_ND.is_cuda or self.is_operator else partial(_run_as_it_is, self.dispatch)
        out: Tensor = run(x_ND, routing, self.gate_up_EDF, self.down_EFD)
        return out

    def decode_weights(self) -> list[Tensor]:
        """Return each expert's two weights, (F, D) and (D, F); small ones are multiplied as one batch instead."""
        if not self.chooses or not is_large(self.gate_up_EDF[0]):
            return []
        return [weight.t() for weight in (*self.gate_up_EDF.detach(), *self.down_EFD.detach())]

    def prepare(self, forms: Forms, num_tokens: int) -> None:
        """Take `forms` from now on, and pack the weights if they say so for an expert's part of `num_tokens`."""
        self.forms = forms
        most_rows = min(num_tokens, 2 * math.ceil(num_tokens * self.top_k / self.num_experts))
        if any(forms.at(rows) is Form.PACKED for rows in range(1, most_rows + 1)):
            self.copied = pack_experts(self.copied, self.gate_up_EDF, self.down_EFD)


def _is_few(x_ND: Tensor) -> bool:
    """Return whether these are the few tokens of a decode step on a CPU."""
    if x_ND.is_cuda or torch.is_grad_enabled() or x_ND.shape[0] > FEW_ROWS:
        return False
    return not torch.is_autocast_enabled(x_ND.device.type)


@torch.compiler.disable
def _run_as_it_is(dispatch: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Dispatch outside a compiled graph: the compiler does not take grouped products of fp32 on a CPU."""
    return dispatch(*arguments)
