"""Rotary position embedding (Su et al., 2021) and the ways in which published models stretch it to longer contexts.

Shape suffixes: B batch, H heads, T time, K width of the rotated part of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.core.model_config import ModelConfig, RopeScaling, head_dims


def rope_table(config: ModelConfig, num_positions: int, device: torch.device) -> Tensor:
    """Return cosines and sines of the first positions, shape (2, num_positions, d_rope / 2), fp32."""
    scaling = config.rope_scaling
    frequencies = _frequencies(head_dims(config).d_rope, config.rope_theta, scaling).to(device)
    angles = torch.outer(torch.arange(num_positions, device=device, dtype=torch.float32), frequencies)
    return torch.stack((angles.cos(), angles.sin())) * _attention_factor(scaling)


def apply_rope(x_BHTK: Tensor, table: Tensor) -> Tensor:
    """Rotate pairs (i, i + K/2) of each head by the angles of `table` (2, T, K/2)."""
    cos, sin = table[0].to(x_BHTK.dtype), table[1].to(x_BHTK.dtype)
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def softmax_scale(config: ModelConfig) -> float:
    """Return what scores are multiplied by: one over the root of the head's width, times DeepSeek's YaRN correction."""
    scale = head_dims(config).d_qk ** -0.5
    scaling = config.rope_scaling
    if config.attention == "mla" and scaling.kind != "none" and scaling.mscale_all_dim:
        scale *= _mscale(scaling.factor, scaling.mscale_all_dim) ** 2
    return scale


def _frequencies(d_rope: int, theta: float, scaling: RopeScaling) -> Tensor:
    """Return the angle per position of each rotated pair, (d_rope / 2,)."""
    plain = 1.0 / (theta ** (torch.arange(0, d_rope, 2, dtype=torch.float32) / d_rope))
    if scaling.kind == "linear":
        return plain / scaling.factor
    if scaling.kind == "llama3":
        # wavelengths beyond the first context are stretched whole, short ones not at all, and smoothly between
        turns = scaling.original_length * plain / (2 * math.pi)
        low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
        kept = ((turns - low) / (high - low)).clamp(0.0, 1.0)
        return plain * (kept + (1 - kept) / scaling.factor)
    if scaling.kind == "yarn":
        bounds = [
            d_rope * math.log(scaling.original_length / (turns * 2 * math.pi)) / (2 * math.log(theta))
            for turns in (scaling.beta_fast, scaling.beta_slow)
        ]
        low_pair, high_pair = max(math.floor(bounds[0]), 0), min(math.ceil(bounds[1]), d_rope - 1)
        width = max(high_pair - low_pair, 0.001)
        stretched = ((torch.arange(d_rope // 2, dtype=torch.float32) - low_pair) / width).clamp(0.0, 1.0)
        return plain * (1 - stretched) + plain / scaling.factor * stretched
    return plain


def _attention_factor(scaling: RopeScaling) -> float:
    if scaling.kind != "yarn":
        return 1.0
    if scaling.attention_factor:
        return scaling.attention_factor
    if scaling.mscale and scaling.mscale_all_dim:
        return _mscale(scaling.factor, scaling.mscale) / _mscale(scaling.factor, scaling.mscale_all_dim)
    return _mscale(scaling.factor, 1.0)


def _mscale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0
