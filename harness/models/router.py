"""Routers: which experts a token goes to, with what weight, and how the load is kept even.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.core.config import MoEConfig
from harness.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Routing:
    """Decision for N tokens: `experts_Nk` (int64), `gates_Nk`, `load_E` (tokens per expert), scalar `balance_loss`."""

    experts_Nk: Tensor
    gates_Nk: Tensor
    load_E: Tensor
    balance_loss: Tensor


class DeepSeekV3Router(nn.Module):
    """Sigmoid scores, balanced without an auxiliary loss (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).

    The top-k of ``score + bias`` is chosen; the gate is the score without the bias, normalised over the chosen. After
    each optimiser step `update_bias` moves the bias of overloaded experts down and of underloaded ones up. A small
    sequence-wise balance loss keeps single sequences from collapsing.
    """

    bias: Tensor

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts = config.num_experts
        self.top_k = config.top_k
        self.route_scale = config.route_scale
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.d_model))
        self.register_buffer("bias", torch.zeros(config.num_experts))

    def forward(self, x_ND: Tensor, sequence_length: int) -> Routing:
        """Route N = sequences x `sequence_length` tokens; scores are computed in fp32."""
        with torch.autocast(x_ND.device.type, enabled=False):
            scores_NE = torch.sigmoid(x_ND.float() @ self.weight.float().t())
        experts_Nk = torch.topk(scores_NE.detach() + self.bias, self.top_k, dim=-1, sorted=False).indices
        chosen_Nk = scores_NE.gather(1, experts_Nk)
        gates_Nk = chosen_Nk / chosen_Nk.sum(dim=-1, keepdim=True) * self.route_scale
        load_E = torch.bincount(experts_Nk.flatten(), minlength=self.num_experts)
        return Routing(experts_Nk, gates_Nk, load_E, self._balance_loss(scores_NE, experts_Nk, sequence_length))

    def _balance_loss(self, scores_NE: Tensor, experts_Nk: Tensor, sequence_length: int) -> Tensor:
        """Return the sequence-wise loss (equations 17 to 20) averaged over sequences, its weight left out."""
        if not self.training:
            return scores_NE.new_zeros(())
        share_NE = scores_NE / scores_NE.sum(dim=-1, keepdim=True)
        chosen_NE = torch.zeros_like(scores_NE).scatter_(1, experts_Nk, 1.0)
        frequency = chosen_NE.view(-1, sequence_length, self.num_experts).mean(1) * (self.num_experts / self.top_k)
        mean_share = share_NE.view(-1, sequence_length, self.num_experts).mean(1)
        return (frequency * mean_share).sum(dim=-1).mean()

    @torch.no_grad()
    def update_bias(self, load_E: Tensor, rate: float) -> None:
        """Move each bias by `rate` against the sign of its expert's excess load."""
        load = load_E.float()
        self.bias += rate * torch.sign(load.mean() - load)


ROUTERS = Registry("router", {"deepseek_v3": "harness.models.router:DeepSeekV3Router"})
