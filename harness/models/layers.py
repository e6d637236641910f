"""Layers that both families share: RMSNorm, rotary position embedding, SwiGLU.

Shape suffixes: B batch, T time, D model width, H heads, K head width, F feed-forward width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learned gain (Zhang and Sennrich, 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension; the shape stays."""
        return F.rms_norm(x, (self.weight.numel(),), self.weight, self.eps)


def rope_table(d_head: int, num_positions: int, theta: float, device: torch.device) -> Tensor:
    """Return cosines and sines, shape (2, num_positions, d_head / 2), fp32 (Su et al., 2021)."""
    frequencies = theta ** (-torch.arange(0, d_head, 2, device=device, dtype=torch.float32) / d_head)
    angles = torch.outer(torch.arange(num_positions, device=device, dtype=torch.float32), frequencies)
    return torch.stack((angles.cos(), angles.sin()))


def apply_rope(x_BHTK: Tensor, table: Tensor) -> Tensor:
    """Rotate pairs (i, i + K/2) of each head by the angles of `table` (2, T, K/2)."""
    cos, sin = table[0].to(x_BHTK.dtype), table[1].to(x_BHTK.dtype)
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class SwiGLU(nn.Module):
    """Gated feed-forward ``down(silu(gate(x)) * up(x))`` (Shazeer, 2020); gate and up share one matrix product."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(d_model, 2 * d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)
