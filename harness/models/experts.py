"""Routed experts: weights of all experts in two stacked tensors, and the ways tokens are dispatched to them.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width, R = N * k rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.config import MoEConfig
from harness.core.registry import Registry
from harness.models.router import Routing


class RoutedExperts(nn.Module):
    """E SwiGLU experts; every token passes through its k chosen ones, none is dropped (dropless)."""

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts = config.num_experts
        self.gate_up_EDF = nn.Parameter(torch.empty(config.num_experts, config.d_model, 2 * config.d_expert))
        self.down_EFD = nn.Parameter(torch.empty(config.num_experts, config.d_expert, config.d_model))
        self.dispatch = DISPATCHES.get(config.dispatch)

    def forward(self, x_ND: Tensor, routing: Routing) -> Tensor:
        """Return the gated sum over each token's experts, (N, D)."""
        out: Tensor = self.dispatch(x_ND, routing, self.gate_up_EDF, self.down_EFD)
        return out


def dispatch_loop(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Slow and obvious: one expert after the other. The reference for every other dispatch."""
    out_ND = torch.zeros_like(x_ND)
    for expert in range(gate_up_EDF.shape[0]):
        token, slot = torch.where(routing.experts_Nk == expert)
        if token.numel() == 0:
            continue
        gate, up = (x_ND[token] @ gate_up_EDF[expert]).chunk(2, dim=-1)
        y = (F.silu(gate) * up) @ down_EFD[expert]
        out_ND = out_ND.index_add(0, token, (y * routing.gates_Nk[token, slot, None].to(y.dtype)).to(out_ND.dtype))
    return out_ND


def dispatch_grouped_mm(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Sort rows by expert, one grouped matrix product per projection, gather back in the tokens' order."""
    num_tokens, top_k = routing.experts_Nk.shape
    order_R = torch.argsort(routing.experts_Nk.flatten(), stable=True)
    ends_E = routing.load_E.cumsum(0).to(torch.int32)
    dtype = _matmul_dtype(x_ND)
    rows_RD = x_ND.to(dtype).index_select(0, order_R // top_k)
    gate_RF, up_RF = F.grouped_mm(rows_RD, gate_up_EDF.to(dtype), offs=ends_E).chunk(2, dim=-1)
    y_RD = F.grouped_mm(F.silu(gate_RF) * up_RF, down_EFD.to(dtype), offs=ends_E)
    place_R = torch.empty_like(order_R).scatter_(0, order_R, torch.arange(order_R.numel(), device=order_R.device))
    y_NkD = y_RD.index_select(0, place_R).view(num_tokens, top_k, -1)
    return (y_NkD * routing.gates_Nk[..., None].to(dtype)).sum(dim=1).to(x_ND.dtype)


def _matmul_dtype(x: Tensor) -> torch.dtype:
    """Return bf16 on CUDA, whose grouped products take nothing else; otherwise autocast's dtype or that of `x`."""
    if x.device.type == "cuda":
        return torch.bfloat16
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


DISPATCHES = Registry(
    "dispatch",
    {
        "loop": "harness.models.experts:dispatch_loop",
        "grouped_mm": "harness.models.experts:dispatch_grouped_mm",
    },
)
