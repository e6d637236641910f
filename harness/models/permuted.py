"""Dispatch for CUDA written around two grouped products: `fused` does the rest in six Triton kernels.

Rows are brought into the order of experts by counting (`harness.models.triton_kernels`), not by sorting; nothing waits
for the GPU, no shape depends on the routing, so a step can be recorded as a graph. The gate weights the activation
between the two products, where it is narrowest: the way back is then a plain sum, which is also the way back of the
gradients, and the gate's gradient comes out of the activation's, so that the down projection's output is not kept. The
backward pass recomputes the activation from the first product.

The routers' own scores and top-k stay operators of torch: their tensors are (N, E) beside the (N * k, D) of a layer,
and the balance losses need the scores anyway.

Shape suffixes: N tokens, E experts, k chosen experts per token, D model width, F expert width, R = N * k rows.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.core.errors import ConfigError
from harness.models.router import Routing


@torch.compiler.disable
def dispatch_fused(x_ND: Tensor, routing: Routing, gate_up_EDF: Tensor, down_EFD: Tensor) -> Tensor:
    """Return the gated sum over each token's experts, (N, D); a compiled graph is cut here.

    Raises:
        ConfigError: no Triton, or tensors on a CPU without Triton's interpreter.
    """
    kernels = load_kernels()
    if not (x_ND.is_cuda or kernels.INTERPRETED):
        raise ConfigError("model.dispatch=fused runs on a CUDA device only; set model.dispatch=auto, or device=cuda.")
    device = x_ND.device.type
    dtype = torch.bfloat16 if x_ND.is_cuda else x_ND.dtype  # grouped products on CUDA take nothing else
    if not x_ND.is_cuda and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    parts = (x_ND.to(dtype), gate_up_EDF.to(dtype), down_EFD.to(dtype), routing.gates_Nk.contiguous())
    with torch.autocast(device, enabled=False):
        out: Tensor = _FusedExperts.apply(*parts, routing.experts_Nk)
    return out.to(x_ND.dtype)


@functools.cache
def load_kernels() -> Any:
    """Import the kernels, and Triton with them.

    Raises:
        ConfigError: Triton is not installed.
    """
    try:
        return importlib.import_module("harness.models.triton_kernels")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "triton":
            raise
        raise ConfigError(
            "model.dispatch=fused needs Triton, which is not installed: pip install 'triton>=3.4' (Linux), "
            "or set model.dispatch=auto."
        ) from None


class _FusedExperts(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd calls it
        ctx: Any, x_ND: Tensor, gate_up_EDF: Tensor, down_EFD: Tensor, gates_Nk: Tensor, experts_Nk: Tensor
    ) -> Tensor:
        kernels = load_kernels()
        place_Nk, order_R, ends_E = kernels.place_choices(experts_Nk, gate_up_EDF.shape[0])
        rows_RD = kernels.spread_rows(x_ND, place_Nk, ends_E)
        hidden = F.grouped_mm(rows_RD, gate_up_EDF, offs=ends_E)
        act_RF = kernels.gated_swiglu(hidden, gates_Nk, order_R, ends_E)
        y_RD = F.grouped_mm(act_RF, down_EFD, offs=ends_E)
        ctx.save_for_backward(rows_RD, hidden, gate_up_EDF, down_EFD, gates_Nk, place_Nk, order_R, ends_E)
        return kernels.collect_rows(y_RD, place_Nk, ends_E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor | None, ...]:
        kernels = load_kernels()
        rows_RD, hidden, gate_up_EDF, down_EFD, gates_Nk, place_Nk, order_R, ends_E = ctx.saved_tensors
        d_y_RD = kernels.spread_rows(grad_ND, place_Nk, ends_E)
        d_act_RF = F.grouped_mm(d_y_RD, down_EFD.transpose(1, 2), offs=ends_E)
        d_hidden, d_gates_Nk, act_RF = kernels.gated_swiglu_backward(d_act_RF, hidden, gates_Nk, order_R, ends_E)
        d_down = F.grouped_mm(act_RF.t(), d_y_RD, offs=ends_E)
        d_gate_up = F.grouped_mm(rows_RD.t(), d_hidden, offs=ends_E)
        d_rows_RD = F.grouped_mm(d_hidden, gate_up_EDF.transpose(1, 2), offs=ends_E)
        return kernels.collect_rows(d_rows_RD, place_Nk, ends_E), d_gate_up, d_down, d_gates_Nk, None
