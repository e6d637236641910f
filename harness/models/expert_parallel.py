"""Routed experts shared out over a group of processes: rows travel to the expert's owner and back (all-to-all).

Process p of P owns experts p * E / P up to (p + 1) * E / P. Every process routes its own tokens; the rows of kept
choices are sent to the owners, sorted by expert, pass them by any other dispatch, and come back to be weighted and
added up where they started. Outputs and gradients equal those of the unsharded layer (tests compare). An expert's
gradient covers the rows of all P processes.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width, R = rows sent, S = rows
received.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.models.block import ExpertFeedForward
from harness.models.experts import RoutedExperts
from harness.models.router import Routing

Dispatch = Callable[[Tensor, Routing, Tensor, Tensor], Tensor]


def shard_experts(model: nn.Module, group: Any) -> list[nn.Parameter]:
    """Keep this process's experts of each layer and let rows travel; return the parameters that are now parts.

    `group` is a torch process group whose size divides the number of experts.
    """
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    parts: list[nn.Parameter] = []
    for module in model.modules():
        if not isinstance(module, ExpertFeedForward):
            continue
        experts: RoutedExperts = module.experts
        for name in ("gate_up_EDF", "down_EFD"):
            whole = getattr(experts, name)
            part = nn.Parameter(whole.detach().chunk(size)[rank].clone())
            setattr(experts, name, part)
            parts.append(part)
        experts.dispatch = ExpertParallel(experts.dispatch, group)
        experts.chooses = False  # few tokens are for one process that has all experts
    return parts


class ExpertParallel:
    """A dispatch whose weights are this process's experts; `dispatch` works on the rows that arrive."""

    def __init__(self, dispatch: Dispatch, group: Any) -> None:
        self._dispatch = dispatch
        self._group = group
        self._size = dist.get_world_size(group)

    def __call__(self, x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
        """Return the gated sum over each token's experts, (N, D)."""
        top_k = routing.experts_Nk.shape[1]
        sent_PE, received_PE = self._exchange_counts(routing.load_E)
        sent, received = sent_PE.sum(1).tolist(), received_PE.sum(1).tolist()
        order_R = torch.argsort(routing.experts_Nk.flatten().int(), stable=True)[: sum(sent)]  # dropped ones come last
        rows_RD = x_ND.index_select(0, order_R // top_k)
        rows_SD = exchange_rows(rows_RD, received, sent, self._group)
        y_SD = self._compute(rows_SD, received_PE, gate_up_EDF, down_EFD)
        y_RD = exchange_rows(y_SD, sent, received, self._group)
        gates_R = routing.gates_Nk.flatten().index_select(0, order_R)
        y_RD = (y_RD * gates_R[:, None].to(y_RD.dtype)).to(x_ND.dtype)
        return torch.zeros_like(x_ND).index_add(0, order_R // top_k, y_RD)

    def _exchange_counts(self, load_E: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows sent to each process and received from each, by the owner's experts, (P, E / P) each."""
        sent_PE = load_E.view(self._size, -1).contiguous()
        received_PE = torch.empty_like(sent_PE)
        dist.all_to_all_single(received_PE, sent_PE, group=self._group)
        return sent_PE, received_PE

    def _compute(self, rows_SD: Tensor, received_PE: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
        """Pass rows, sorted by sender and then by expert, through this process's experts."""
        if not len(rows_SD):
            return rows_SD * 1.0  # nothing arrived, yet the way back of the gradients must be gone by all
        experts_E = torch.arange(received_PE.shape[1], device=rows_SD.device).repeat(self._size)
        experts_S1 = experts_E.repeat_interleave(received_PE.flatten())[:, None]
        ones_S1 = torch.ones(len(rows_SD), 1, dtype=torch.float32, device=rows_SD.device)
        local = Routing(experts_S1, ones_S1, received_PE.sum(0), rows_SD.new_zeros(()))
        return self._dispatch(rows_SD, local, gate_up_EDF, down_EFD)


def exchange_rows(rows: Tensor, receive: list[int], send: list[int], group: Any) -> Tensor:
    """Send ``send[p]`` rows to process p, in order, and return the ``receive[p]`` rows from each; differentiable."""
    out: Tensor = _ExchangeRows.apply(rows, receive, send, group)
    return out


class _ExchangeRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, receive: list[int], send: list[int], group: Any) -> Tensor:
        ctx.receive, ctx.send, ctx.group = receive, send, group
        return _all_to_all(rows, receive, send, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _all_to_all(grad, ctx.send, ctx.receive, ctx.group), None, None, None


def _all_to_all(rows: Tensor, receive: list[int], send: list[int], group: Any) -> Tensor:
    out = rows.new_empty(sum(receive), *rows.shape[1:])
    dist.all_to_all_single(out, rows.contiguous(), receive, send, group=group)
    return out
