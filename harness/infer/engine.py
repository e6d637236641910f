"""Prefill a batch of prompts and decode greedily.

Shape suffixes: B batch, T prompt length, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.infer.kv_cache import KVCache, build_caches
from harness.models.transformer import Transformer


@dataclass(slots=True)
class Prefilled:
    """A batch after prefill: filled caches, the first greedy token (B,), and the prompt's length."""

    caches: list[KVCache]
    first_B: Tensor
    num_prompt_tokens: int


@torch.inference_mode()
def prefill(model: Transformer, prompts_BT: Tensor, max_new_tokens: int) -> Prefilled:
    """Run the prompts once and choose the first new token; logits are computed at the last position only."""
    batch, time = prompts_BT.shape
    caches = build_caches(model.config, batch, time + max_new_tokens, prompts_BT.device)
    logits = model(prompts_BT, caches, last_only=True).logits_BTV
    return Prefilled(caches, logits[:, -1].argmax(dim=-1), time)


@torch.inference_mode()
def decode(model: Transformer, prefilled: Prefilled, num_new_tokens: int) -> Tensor:
    """Return `num_new_tokens` greedy tokens (B, num_new_tokens), the one from prefill first; may be called again.

    The length is fixed: every sequence of the batch takes `num_new_tokens - 1` decode steps, whether its answer ended
    before or not, so the work of a batch does not depend on what the model answers.
    """
    for cache in prefilled.caches:
        cache.rewind(prefilled.num_prompt_tokens)
    token_B1 = prefilled.first_B[:, None]
    tokens = [token_B1]
    for step in range(num_new_tokens - 1):
        logits = model(token_B1, prefilled.caches, prefilled.num_prompt_tokens + step).logits_BTV
        token_B1 = logits[:, -1].argmax(dim=-1, keepdim=True)
        tokens.append(token_B1)
    return torch.cat(tokens, dim=1)
