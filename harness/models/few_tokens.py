"""Experts for the few tokens of a decode step at inference on a CPU.

Large experts: only the chosen ones are touched, each with one product in its fastest form; grouped products spend more
time on an expert without rows than such a product takes, and for a handful of tokens sorting in Python is quicker than
any operator.
Small experts, nearly all of which are chosen by some token: all of them for all tokens in one batch, since launching
costs more than multiplying. One token in a compiled step: its small experts copied into one batch, since a call out of
the graph, which the other ways of choosing need, costs more than the copy.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width, R = N * k rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.models.few_rows import Form, Forms, in_halves
from harness.models.fused import swiglu
from harness.models.packed import SMALL_WEIGHT, PackedWeight, can_pack


class PackedExperts:
    """A packed copy of each expert's two weights."""

    def __init__(self, gate_up_EDF: Tensor, down_EFD: Tensor) -> None:
        self.gate_up = [PackedWeight(gate_up_EDF, weight.t()) for weight in gate_up_EDF]
        self.down = [PackedWeight(down_EFD, weight.t()) for weight in down_EFD]

    def is_fresh(self, gate_up_EDF: Tensor, down_EFD: Tensor) -> bool:
        """Return whether the weights are those that were packed."""
        return self.gate_up[0].is_fresh(gate_up_EDF) and self.down[0].is_fresh(down_EFD)

    def __deepcopy__(self, memo: dict[int, object]) -> None:
        """Leave a copied module unpacked."""


def pack_experts(packed: PackedExperts | None, gate_up_EDF: Tensor, down_EFD: Tensor) -> PackedExperts | None:
    """Return packed copies, those at hand if they are still good, or ``None`` where packing gains nothing."""
    if packed is not None and packed.is_fresh(gate_up_EDF, down_EFD):
        return packed
    pays = can_pack(gate_up_EDF[0]) and can_pack(down_EFD[0])
    return PackedExperts(gate_up_EDF, down_EFD) if pays else None


def run_few_tokens(  # noqa: PLR0917 - a routing's tensors apart, so that a compiled step can pass them on
    x_ND: Tensor,
    experts_Nk: Tensor,
    gates_Nk: Tensor,
    gate_up_EDF: Tensor,
    down_EFD: Tensor,
    packed: PackedExperts | None = None,
    forms: Forms | None = None,
) -> Tensor:
    """Return the gated sum over each token's experts, (N, D); without gradients.

    A choice of expert E was dropped: it costs nothing and gives nothing.
    """
    if gate_up_EDF[0].numel() < SMALL_WEIGHT and experts_Nk.numel() >= gate_up_EDF.shape[0]:
        return _run_all_experts(x_ND, experts_Nk, gates_Nk, gate_up_EDF, down_EFD)
    if torch.compiler.is_compiling():
        if x_ND.shape[0] == 1 and gate_up_EDF[0].numel() < SMALL_WEIGHT:
            return run_one_token(x_ND, experts_Nk, gates_Nk, gate_up_EDF, down_EFD)
        return chosen_experts_op(x_ND, experts_Nk, gates_Nk, gate_up_EDF, down_EFD)
    if packed is not None and not packed.is_fresh(gate_up_EDF, down_EFD):
        packed = None
    return _run_chosen_experts(x_ND, experts_Nk, gates_Nk, gate_up_EDF, down_EFD, packed, forms)


def _run_all_experts(
    x_ND: Tensor, experts_Nk: Tensor, gates_Nk: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor
) -> Tensor:
    """Let every expert work on every token; the gates of those that were not chosen are zero."""
    num_experts = gate_up_EDF.shape[0]
    gates_NE = x_ND.new_zeros(x_ND.shape[0], num_experts + 1)
    gates_NE = gates_NE.scatter(1, experts_Nk, gates_Nk.to(x_ND.dtype))[:, :num_experts]
    act_ENF = swiglu(torch.bmm(x_ND.expand(num_experts, -1, -1), gate_up_EDF))
    return (torch.bmm(act_ENF, down_EFD) * gates_NE.t()[..., None]).sum(0)


def run_one_token(x_1D: Tensor, experts_1k: Tensor, gates_1k: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Let copies of the chosen experts work on one token as one batch; nothing here has to wait for the choice."""
    top_k = experts_1k.shape[1]
    chosen_k = experts_1k.flatten().clamp(max=gate_up_EDF.shape[0] - 1)  # a dropped choice has gate 0
    act_k1F = swiglu(torch.bmm(x_1D.expand(top_k, 1, -1), gate_up_EDF.index_select(0, chosen_k)))
    y_k1D = torch.bmm(act_k1F, down_EFD.index_select(0, chosen_k))
    return (y_k1D * gates_1k.view(top_k, 1, 1).to(x_1D.dtype)).sum(0)


def _run_chosen_experts(  # noqa: PLR0917 - see `run_few_tokens`
    x_ND: Tensor,
    experts_Nk: Tensor,
    gates_Nk: Tensor,
    gate_up_EDF: Tensor,
    down_EFD: Tensor,
    packed: PackedExperts | None = None,
    forms: Forms | None = None,
) -> Tensor:
    """Let each chosen expert work on its tokens, one after the other."""
    num_tokens, top_k = experts_Nk.shape
    if num_tokens == 1:
        return _run_chosen_of_one(x_ND, experts_Nk, gates_Nk, gate_up_EDF, down_EFD, packed, forms)
    chosen = experts_Nk.flatten().tolist()
    order = sorted(range(len(chosen)), key=chosen.__getitem__)
    parts = _parts([chosen[row] for row in order], gate_up_EDF.shape[0])
    order = order[: parts[-1][2] if parts else 0]  # choices that were dropped come last
    order_R = torch.tensor(order, dtype=torch.int64)
    token_R = order_R // top_k
    rows_RD = x_ND.index_select(0, token_R)
    hidden_RF = x_ND.new_empty(len(order), gate_up_EDF.shape[2])
    y_RD = x_ND.new_empty(len(order), x_ND.shape[1])
    _products(parts, rows_RD, gate_up_EDF, hidden_RF, packed and packed.gate_up, forms)
    _products(parts, swiglu(hidden_RF), down_EFD, y_RD, packed and packed.down, forms)
    y_RD *= gates_Nk.flatten()[order_R, None].to(y_RD.dtype)
    return torch.zeros_like(x_ND).index_add_(0, token_R, y_RD)


def _run_chosen_of_one(  # noqa: PLR0917 - see `run_few_tokens`
    x_1D: Tensor,
    experts_1k: Tensor,
    gates_1k: Tensor,
    gate_up_EDF: Tensor,
    down_EFD: Tensor,
    packed: PackedExperts | None,
    forms: Forms | None,
) -> Tensor:
    """Let each chosen expert work on one token, with as few operators as there can be: nothing is sorted or joined."""
    form = Form.PLAIN if forms is None else forms.at(1)
    num_experts = gate_up_EDF.shape[0]
    out_1D = torch.zeros_like(x_1D)
    for expert, gate in zip(experts_1k[0].tolist(), gates_1k[0].tolist(), strict=True):
        if expert == num_experts:  # dropped
            continue
        if form is Form.PACKED and packed is not None:
            out_1D.add_(packed.down[expert](swiglu(packed.gate_up[expert](x_1D))), alpha=gate)
            continue
        gate_up, down = gate_up_EDF.select(0, expert), down_EFD.select(0, expert)
        if form is Form.HALVES and gate_up.shape[1] % 2 == down.shape[1] % 2 == 0:
            out_1D.add_(in_halves(swiglu(in_halves(x_1D, gate_up.t())), down.t()), alpha=gate)
        else:
            out_1D.addmm_(swiglu(torch.mm(x_1D, gate_up)), down, alpha=gate)
    return out_1D


def _parts(sorted_experts: list[int], num_experts: int) -> list[tuple[int, int, int]]:
    """Return (expert, first row, end) of each expert that has rows."""
    parts: list[tuple[int, int, int]] = []
    for row, expert in enumerate(sorted_experts):
        if expert == num_experts:
            break
        if parts and parts[-1][0] == expert:
            parts[-1] = (expert, parts[-1][1], row + 1)
        else:
            parts.append((expert, row, row + 1))
    return parts


def _products(  # noqa: PLR0917 - see `run_few_tokens`
    parts: list[tuple[int, int, int]],
    x_RK: Tensor,
    weight_EKN: Tensor,
    out_RN: Tensor,
    packed: list[PackedWeight] | None,
    forms: Forms | None,
) -> None:
    """Multiply each expert's rows by its weight, into `out_RN`."""
    for expert, begin, end in parts:
        form = Form.PLAIN if forms is None else forms.at(end - begin)
        if form is Form.PACKED and packed is not None:
            out_RN[begin:end] = packed[expert](x_RK[begin:end])
        elif form is Form.HALVES and end - begin == 1 and out_RN.shape[1] % 2 == 0:
            out_RN[begin:end] = in_halves(x_RK[begin:end], weight_EKN[expert].t())
        else:
            torch.mm(x_RK[begin:end], weight_EKN[expert], out=out_RN[begin:end])


@torch.library.custom_op("isojoule::chosen_experts", mutates_args=())
def chosen_experts_op(
    x_ND: Tensor, experts_Nk: Tensor, gates_Nk: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor
) -> Tensor:
    """Run the chosen experts as one operator, which a compiled step calls without looking inside."""
    return _run_chosen_experts(x_ND, experts_Nk, gates_Nk, gate_up_EDF, down_EFD)


@chosen_experts_op.register_fake
def _(x_ND: Tensor, *_: Tensor) -> Tensor:
    return torch.empty_like(x_ND)
