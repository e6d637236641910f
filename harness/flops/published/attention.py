"""Attention over a context: how many positions a token sees, what that costs, and what stays in the cache."""

from __future__ import annotations

from harness.flops.published.shape import LatentAttention, Layer, Reach


def count_seen(reach: Reach, context: int) -> int:
    """Return how many positions a token attends over when nothing is halved for causality."""
    return context if reach.size is None else min(context, reach.size)


def count_seen_causally(reach: Reach, context: int) -> int:
    """Return the (query, key) pairs of a whole causal sequence: every token sees itself and what lies before it."""
    if reach.size is None or reach.size >= context:
        return _triangle(context)
    if reach.kind == "sliding":
        return _triangle(reach.size) + (context - reach.size) * reach.size
    num_chunks, rest = divmod(context, reach.size)
    return num_chunks * _triangle(reach.size) + _triangle(rest)


def _triangle(size: int) -> int:
    return size * (size + 1) // 2


def count_flops_per_pair(layer: Layer, *, absorbed: bool = False) -> int:
    """Return FLOPs of one query and one key: the score and the weighted value, over all heads.

    `absorbed` latent attention works on the cached latents themselves, as decoding does.
    """
    attention = layer.attention
    if not isinstance(attention, LatentAttention):
        return 4 * attention.num_heads * attention.head_dim
    if absorbed:
        return 2 * attention.num_heads * (2 * attention.kv_rank + attention.rope_dim)
    return 2 * attention.num_heads * (attention.nope_dim + attention.rope_dim + attention.v_dim)


def count_cached_elements(layer: Layer) -> int:
    """Return how many numbers one token leaves in the cache of one layer."""
    attention = layer.attention
    if isinstance(attention, LatentAttention):
        return attention.kv_rank + attention.rope_dim
    return 2 * attention.num_kv_heads * attention.head_dim
