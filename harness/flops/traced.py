"""FLOPs traced from the operators that really ran: a check of the formulas, and a guard against silent zeros.

torch's `FlopCounterMode` counts 0 for grouped matrix products and for attention on the CPU; the mapping below registers
both, and any other matmul-like operator that nobody registered is an error instead of a 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from harness.core.errors import RunFailedError

aten = torch.ops.aten
_MATMUL_LIKE = re.compile(r"(mm|matmul|bmm|conv|attention|linear|einsum|tensordot|outer|dot|mv|gemm)(_|$|\.)|_mm$")
# Names that the pattern catches and that multiply no matrices.
_HARMLESS = {"aten::linear_backward", "aten::linspace"}


class UnregisteredOpError(RunFailedError):
    """A matmul-like operator ran that the FLOP count does not know: the traced count would be silently low."""


def _grouped_mm_flops(a: Any, b: Any, offs: Any = None, *_: Any, **__: Any) -> int:
    """(R, K) x (E, K, N) by groups of rows, or (M, R) x (R, N) by groups of the inner dimension.

    Takes the tensors themselves: what lies beyond the last offset belongs to no group and is not multiplied.
    """
    rows, inner = a.shape
    if offs is not None and offs.numel():
        rows, inner = (int(offs[-1]), inner) if b.dim() == 3 else (rows, int(offs[-1]))
    return 2 * rows * inner * int(b.shape[-1])


_grouped_mm_flops._get_raw = True  # type: ignore[attr-defined]  # how the counter is told not to pass shapes


def _attention_forward_flops(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    batch, heads, time, width = q
    return 2 * batch * heads * time * k[-2] * (width + v[-1])


def _attention_backward_flops(_grad: Any, q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    """Twice the forward: the four products of the gradient, the kernel's own recomputation left out."""
    return 2 * _attention_forward_flops(q, k, v)


def _linear_flops(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x) * weight[0]


def _mapping() -> dict[Any, Callable[..., int]]:
    onednn = torch.ops.mkldnn
    return {
        **({onednn._linear_pointwise: _linear_flops} if hasattr(onednn, "_linear_pointwise") else {}),
        aten._grouped_mm: _grouped_mm_flops,
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_forward_flops,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
        aten._scaled_dot_product_flash_attention: _attention_forward_flops,
        aten._scaled_dot_product_flash_attention_backward: _attention_backward_flops,
        aten._scaled_dot_product_efficient_attention: _attention_forward_flops,
        aten._scaled_dot_product_efficient_attention_backward: _attention_backward_flops,
        aten._scaled_dot_product_cudnn_attention: _attention_forward_flops,
        aten._scaled_dot_product_cudnn_attention_backward: _attention_backward_flops,
    }


class _MatmulGuard(TorchDispatchMode):
    """Raises on a matmul-like operator outside `registered` that torch cannot decompose either."""

    def __init__(self, registered: set[Any]) -> None:
        super().__init__()
        self._registered = registered

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        name = func.name()
        if (
            packet not in self._registered
            and name not in _HARMLESS
            and _MATMUL_LIKE.search(name.partition("::")[2])
            and not torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
        ):
            raise UnregisteredOpError(f"operator {name} multiplies matrices and has no FLOP formula; register it.")
        return func(*args, **(kwargs or {}))


def trace_flops(run: Callable[[], Any]) -> int:
    """Return the FLOPs of every registered operator that `run()` executes, forward and backward.

    Raises:
        UnregisteredOpError: a matmul-like operator ran that has no formula.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_mapping())
    with counter, _MatmulGuard(set(counter.flop_registry)):
        run()
    return int(counter.get_total_flops())
