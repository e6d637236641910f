"""Prefill a batch of prompts and decode, greedily or by sampling.

On a GPU a decode step is recorded once as a CUDA graph and replayed; caches have fixed shapes everywhere.

Shape suffixes: B batch, T prompt length, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.infer.graphs import RecordedStep
from harness.infer.kv_cache import KVCache, build_caches
from harness.infer.sampling import Sampler
from harness.models.transformer import Transformer


@dataclass(slots=True)
class Prefilled:
    """A batch after prefill: filled caches, the first new token (B,), and the prompt's length."""

    caches: list[KVCache]
    first_B: Tensor
    num_prompt_tokens: int
    recorded: RecordedStep | None = field(default=None, repr=False)


@torch.inference_mode()
def prefill(model: Transformer, prompts_BT: Tensor, max_new_tokens: int, sampler: Sampler | None = None) -> Prefilled:
    """Run the prompts once and choose the first new token; logits are computed at the last position only."""
    batch, time = prompts_BT.shape
    dtype = model.embedding.weight.dtype
    caches = build_caches(model.config, batch, time + max_new_tokens, prompts_BT.device, dtype)
    logits = model(prompts_BT, caches, last_only=True).logits_BTV
    return Prefilled(caches, (sampler or Sampler()).choose(logits[:, -1]), time)


@torch.inference_mode()
def decode(
    model: Transformer,
    prefilled: Prefilled,
    num_new_tokens: int,
    sampler: Sampler | None = None,
    *,
    use_graphs: bool = True,
) -> Tensor:
    """Return `num_new_tokens` tokens (B, num_new_tokens), the one from prefill first; may be called again.

    The length is fixed: every sequence of the batch takes `num_new_tokens - 1` decode steps, whether its answer ended
    before or not, so the work of a batch does not depend on what the model answers.
    """
    sampler = sampler or Sampler()
    start = prefilled.num_prompt_tokens
    for cache in prefilled.caches:
        cache.rewind(start)
    token_B1 = prefilled.first_B[:, None]
    if use_graphs and token_B1.is_cuda and prefilled.recorded is None and num_new_tokens > 1:
        prefilled.recorded = RecordedStep(model, prefilled.caches, token_B1.shape[0], start)
    recorded = prefilled.recorded if use_graphs else None
    tokens = [token_B1]
    for position in range(start, start + num_new_tokens - 1):
        if recorded is not None:
            logits_BV = recorded.run(token_B1, position)
        else:
            logits_BV = model(token_B1, prefilled.caches, position).logits_BTV[:, -1]
        token_B1 = sampler.choose(logits_BV)[:, None]
        tokens.append(token_B1)
    return torch.cat(tokens, dim=1)
