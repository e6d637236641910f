"""Routers: which experts a token goes to, with what weight, and how the load is kept even.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, G groups of experts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.core.model_config import MoEConfig
from harness.core.registry import Registry
from harness.models.linear import linear


@dataclass(frozen=True, slots=True)
class Routing:
    """Decision for N tokens.

    `experts_Nk` (int64) and `gates_Nk`; a choice that was dropped for want of capacity has expert E and gate 0.
    `load_E` counts what each expert computes, `dropped` is how many choices were dropped (``None``: the router drops
    none), and `auxiliary_loss` is the weighted sum of the losses that keep the load even.
    """

    experts_Nk: Tensor
    gates_Nk: Tensor
    load_E: Tensor
    auxiliary_loss: Tensor
    dropped: Tensor | None = None


def count_load(experts: Tensor, num_experts: int) -> Tensor:
    """Return how many choices fell on each expert, (E,) int64; dropped ones (expert E) are not counted.

    ``bincount`` waits for a GPU, so that a step could not be recorded as a graph, and breaks the graph of a compiler.
    """
    flat = experts.flatten()
    compiling = torch.compiler.is_compiling()
    if not flat.is_cuda and compiling and not torch.is_grad_enabled():  # few choices, as a loop of the compiled step
        return (flat[:, None] == torch.arange(num_experts)).sum(0)
    if not flat.is_cuda and not compiling:
        return torch.bincount(flat, minlength=num_experts)[:num_experts]
    return flat.new_zeros(num_experts + 1).scatter_add_(0, flat, torch.ones_like(flat))[:num_experts]


class Router(nn.Module):
    """What all routers share: fp32 logits, the top k, capacity, and the losses that keep the load even.

    The class's own weights of the losses and its capacity hold where the configuration gives none.
    """

    balance_loss_weight = 0.01
    z_loss_weight = 0.0
    capacity_factor: float | None = None

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        self.num_experts, self.top_k = config.num_experts, config.top_k
        self.route_scale = config.route_scale
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.d_model))
        if config.balance_loss_weight is not None:
            self.balance_loss_weight = config.balance_loss_weight
        if config.z_loss_weight is not None:
            self.z_loss_weight = config.z_loss_weight
        if config.capacity_factor is not None:
            self.capacity_factor = config.capacity_factor

    def forward(self, x_ND: Tensor, sequence_length: int) -> Routing:
        """Route N = sequences x `sequence_length` tokens."""
        with torch.autocast(x_ND.device.type, enabled=False):
            logits_NE = linear(x_ND.float(), self.weight.float())
            scores_NE = self.score(logits_NE)
        experts_Nk, gates_Nk = self.choose(scores_NE)
        loss = self._auxiliary_loss(logits_NE, scores_NE, experts_Nk, sequence_length)
        dropped = None
        if self.training and self.capacity_factor is not None:
            experts_Nk, gates_Nk, dropped = self._drop(experts_Nk, gates_Nk)
        load_E = count_load(experts_Nk, self.num_experts)
        return Routing(experts_Nk, gates_Nk, load_E, loss, dropped)

    def score(self, logits_NE: Tensor) -> Tensor:
        """Return each expert's score, between 0 and 1."""
        return torch.softmax(logits_NE, dim=-1)

    def choose(self, scores_NE: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chosen experts and their gates, (N, k) each."""
        gates_Nk, experts_Nk = torch.topk(scores_NE, self.top_k, dim=-1, sorted=False)
        return experts_Nk, gates_Nk * self.route_scale

    def balance_loss(self, scores_NE: Tensor, experts_Nk: Tensor, sequence_length: int) -> Tensor:
        """Return ``E / k * sum(f_i p_i)`` over the batch: 1 for an even load (Switch, arXiv 2101.03961, equation 4)."""
        del sequence_length
        frequency_E = count_load(experts_Nk, self.num_experts) / experts_Nk.shape[0]
        return (frequency_E * scores_NE.mean(0)).sum() * (self.num_experts / self.top_k)

    @torch.no_grad()
    def update_bias(self, load_E: Tensor, rate: float) -> None:
        """Do what is to be done after an optimiser step; most routers do nothing."""

    def _auxiliary_loss(self, logits_NE: Tensor, scores_NE: Tensor, experts_Nk: Tensor, sequence_length: int) -> Tensor:
        """Return the weighted balance loss plus the z-loss ``mean(logsumexp^2)`` (ST-MoE, arXiv 2202.08906)."""
        loss = logits_NE.new_zeros(())
        if not self.training:
            return loss
        if self.balance_loss_weight:
            loss = loss + self.balance_loss_weight * self.balance_loss(scores_NE, experts_Nk, sequence_length)
        if self.z_loss_weight:
            loss = loss + self.z_loss_weight * torch.logsumexp(logits_NE, dim=-1).square().mean()
        return loss

    def _drop(self, experts_Nk: Tensor, gates_Nk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Drop what exceeds an expert's capacity, last tokens first, all first choices before second ones."""
        num_tokens = experts_Nk.shape[0]
        capacity = math.ceil(float(self.capacity_factor or 0) * num_tokens * self.top_k / self.num_experts)
        wanted = experts_Nk.t().flatten()
        order = torch.argsort(wanted, stable=True)
        ends_E = count_load(wanted, self.num_experts).cumsum(0)
        begins = torch.cat((ends_E.new_zeros(1), ends_E[:-1]))[wanted[order]]
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device) - begins)
        over_Nk = (rank >= capacity).view(self.top_k, num_tokens).t()
        return experts_Nk.masked_fill(over_Nk, self.num_experts), gates_Nk.masked_fill(over_Nk, 0.0), over_Nk.sum()


class DeepSeekV3Router(Router):
    """Sigmoid scores, balanced without an auxiliary loss (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).

    The top-k of ``score + bias`` is chosen, among the experts of the best `top_groups` groups (a group's score is the
    sum of its two best); the gate is the score without the bias, normalised over the chosen. After each optimiser step
    `update_bias` moves the bias of overloaded experts down and of underloaded ones up. A small sequence-wise balance
    loss keeps single sequences from collapsing.
    """

    balance_loss_weight = 1e-4
    bias: Tensor

    def __init__(self, config: MoEConfig) -> None:
        super().__init__(config)
        self.num_groups, self.top_groups = config.num_groups, config.top_groups
        self.register_buffer("bias", torch.zeros(config.num_experts))

    def score(self, logits_NE: Tensor) -> Tensor:
        """Return the sigmoid of each logit."""
        return torch.sigmoid(logits_NE)

    def choose(self, scores_NE: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chosen experts and their gates, (N, k) each."""
        wanted_NE = scores_NE.detach() + self.bias
        if self.top_groups < self.num_groups:
            wanted_NGe = wanted_NE.view(wanted_NE.shape[0], self.num_groups, -1)
            best_NG = wanted_NGe.topk(min(2, wanted_NGe.shape[-1]), dim=-1).values.sum(-1)
            kept = torch.zeros_like(best_NG, dtype=torch.bool)
            kept = kept.scatter(1, best_NG.topk(self.top_groups, dim=-1, sorted=False).indices, value=True)
            wanted_NE = wanted_NGe.masked_fill(~kept[..., None], float("-inf")).flatten(1)
        experts_Nk = torch.topk(wanted_NE, self.top_k, dim=-1, sorted=False).indices
        chosen_Nk = scores_NE.gather(1, experts_Nk)
        return experts_Nk, chosen_Nk / (chosen_Nk.sum(dim=-1, keepdim=True) + 1e-20) * self.route_scale

    def balance_loss(self, scores_NE: Tensor, experts_Nk: Tensor, sequence_length: int) -> Tensor:
        """Return the sequence-wise loss (equations 17 to 20) averaged over sequences."""
        share_NE = scores_NE / scores_NE.sum(dim=-1, keepdim=True)
        mean_share = share_NE.view(-1, sequence_length, self.num_experts).mean(1)
        chosen = experts_Nk.view(-1, sequence_length * self.top_k)
        count = torch.zeros_like(mean_share).scatter_add_(1, chosen, torch.ones_like(chosen, dtype=mean_share.dtype))
        frequency = count * (self.num_experts / (self.top_k * sequence_length))
        return (frequency * mean_share).sum(dim=-1).mean()

    @torch.no_grad()
    def update_bias(self, load_E: Tensor, rate: float) -> None:
        """Move each bias by `rate` against the sign of its expert's excess load."""
        load = load_E.float()
        self.bias += rate * torch.sign(load.mean() - load)


class MixtralRouter(Router):
    """Softmax over the logits of the k best (Mixtral, arXiv 2401.04088): gates add up to one."""

    def choose(self, scores_NE: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chosen experts and their gates, (N, k) each."""
        experts_Nk, gates_Nk = super().choose(scores_NE)
        return experts_Nk, gates_Nk / gates_Nk.sum(dim=-1, keepdim=True) * self.route_scale


class OlmoeRouter(Router):
    """Gates are the softmax over all experts, not normalised over the chosen; z-loss 1e-3 (OLMoE, arXiv 2409.02060)."""

    z_loss_weight = 1e-3


class SwitchRouter(Router):
    """One expert a token, each expert takes up to 1.25 times the mean load (Switch, arXiv 2101.03961)."""

    capacity_factor = 1.25


ROUTERS = Registry(
    "router",
    {
        "deepseek_v3": "harness.models.router:DeepSeekV3Router",
        "mixtral": "harness.models.router:MixtralRouter",
        "switch": "harness.models.router:SwitchRouter",
        "olmoe": "harness.models.router:OlmoeRouter",
    },
)
