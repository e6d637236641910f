"""Attention written for a compiler equals torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from harness.models.attention import attend_in_sums


@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("filled", [1, 5, 9])
def test_attention_in_sums_equals_torchs(num_heads: int, num_kv_heads: int, filled: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, num_heads, 1, 8, generator=generator)
    k, v = (torch.randn(3, num_kv_heads, 9, 8, generator=generator) for _ in range(2))
    mask = (torch.arange(9) < filled)[None, None, None]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3, enable_gqa=True)
    torch.testing.assert_close(attend_in_sums(q, k, v, mask, 0.3), expected)
