"""Ways to bring tokens to their experts and back; all give the same outputs and gradients.

``loop`` is slow and obvious, the reference for the others. ``grouped_mm`` sorts rows by expert and lets one kernel do
all products, ``bmm`` pads every expert to the fullest one, ``blocked`` (`harness.models.blocked`, CPU only) does one
expert after the other with its rows in the cache, ``fused`` (`harness.models.permuted`, CUDA only) does all but the
grouped products in Triton kernels. ``auto`` takes the one that was measured to be faster: on a CPU ``blocked`` where
the rows of all experts do not fit the cache, else grouped products with a backward pass of their own
(`harness.models.gathered`); on CUDA ``grouped_mm``, since ``fused`` was not measured on a card yet.
Choices whose expert is E were dropped: they cost nothing and give nothing.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width, R = N * k rows, C rows
per expert.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core.registry import Registry
from harness.models.fused import swiglu
from harness.models.router import Routing
from harness.models.written_out import dispatch_by_size


def dispatch_auto(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Choose by the device, and on a CPU by the size of the rows."""
    chosen = dispatch_grouped_mm if x_ND.is_cuda else dispatch_by_size
    return chosen(x_ND, routing, gate_up_EDF, down_EFD)


def dispatch_loop(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """One expert after the other, nothing clever."""
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
    order_R = torch.argsort(routing.experts_Nk.flatten().int(), stable=True)
    ends_E = routing.load_E.cumsum(0).to(torch.int32)
    dtype = _matmul_dtype(x_ND)
    rows_RD = x_ND.to(dtype).index_select(0, order_R // top_k)
    lost_Nk = routing.experts_Nk == gate_up_EDF.shape[0] if routing.dropped is not None else None
    if lost_Nk is not None:  # the kernel leaves rows of no expert as they were, here and in the backward pass
        rows_RD = rows_RD.masked_fill(lost_Nk.flatten()[order_R, None], 0.0)
    act_RF = swiglu(F.grouped_mm(rows_RD, gate_up_EDF.to(dtype), offs=ends_E))
    y_RD = F.grouped_mm(act_RF, down_EFD.to(dtype), offs=ends_E)
    place_R = torch.empty_like(order_R).scatter_(0, order_R, torch.arange(order_R.numel(), device=order_R.device))
    y_NkD = y_RD.index_select(0, place_R).view(num_tokens, top_k, -1)
    if lost_Nk is not None:
        y_NkD = y_NkD.masked_fill(lost_Nk[..., None], 0.0)
    return (y_NkD * routing.gates_Nk[..., None].to(dtype)).sum(dim=1).to(x_ND.dtype)


def dispatch_bmm(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Pad every expert to the rows of the fullest one and multiply them as one batch; the padding is work done."""
    num_tokens, top_k = routing.experts_Nk.shape
    num_experts, d_model = gate_up_EDF.shape[:2]
    experts_R = routing.experts_Nk.flatten()
    order_R = torch.argsort(experts_R, stable=True)
    sorted_R = experts_R[order_R]
    begins_E = torch.cat((routing.load_E.cumsum(0), routing.load_E.sum()[None])) - F.pad(routing.load_E, (0, 1))
    capacity = int(routing.load_E.max())
    rank_R = torch.arange(order_R.numel(), device=order_R.device) - begins_E[sorted_R]
    kept_R = sorted_R < num_experts
    place_R = (sorted_R * capacity + rank_R)[kept_R]
    token_R, slot_R = (order_R // top_k)[kept_R], (order_R % top_k)[kept_R]
    dtype = _matmul_dtype(x_ND)
    padded = x_ND.new_zeros(num_experts * capacity, d_model, dtype=dtype)
    padded = padded.index_copy(0, place_R, x_ND.to(dtype)[token_R])
    act_ECF = swiglu(torch.bmm(padded.view(num_experts, capacity, d_model), gate_up_EDF.to(dtype)))
    y_RD = torch.bmm(act_ECF, down_EFD.to(dtype)).flatten(0, 1)[place_R]
    y_RD = y_RD * routing.gates_Nk[token_R, slot_R, None].to(dtype)
    return x_ND.new_zeros(num_tokens, d_model).index_add(0, token_R, y_RD.to(x_ND.dtype))


def count_rows(routings: Sequence[Routing], dispatch: str) -> Tensor:
    """Return choices made, choices dropped and rows multiplied (padding among them), summed over layers, (3,) int64."""
    counts = []
    for routing in routings:
        dropped = routing.load_E.new_zeros(()) if routing.dropped is None else routing.dropped
        rows = routing.load_E.numel() * routing.load_E.max() if dispatch == "bmm" else routing.load_E.sum()
        counts.append(torch.stack((torch.full_like(rows, routing.experts_Nk.numel()), dropped, rows)))
    return torch.stack(counts).sum(0)


def _matmul_dtype(x: Tensor) -> torch.dtype:
    """Return bf16 on CUDA, whose grouped products take nothing else; otherwise autocast's dtype or that of `x`."""
    if x.device.type == "cuda":
        return torch.bfloat16
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


DISPATCHES = Registry(
    "dispatch",
    {
        "auto": "harness.models.dispatch:dispatch_auto",
        "blocked": "harness.models.written_out:dispatch_blocked",
        "grouped_mm": "harness.models.dispatch:dispatch_grouped_mm",
        "bmm": "harness.models.dispatch:dispatch_bmm",
        "fused": "harness.models.permuted:dispatch_fused",
        "loop": "harness.models.dispatch:dispatch_loop",
    },
)
