"""Prefill a batch of prompts and decode, greedily or by sampling.

On a GPU a decode step is recorded once as a CUDA graph and replayed, or compiled; on a CPU it may be compiled. Caches
have fixed shapes everywhere.

Shape suffixes: B batch, T prompt length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.infer.compiled import CompiledStep
from harness.infer.graphs import RecordedStep
from harness.infer.kv_cache import KVCache, build_caches
from harness.infer.prepare import prepare_for_decoding
from harness.infer.sampling import Sampler
from harness.models.transformer import Transformer


@dataclass(slots=True)
class Prefilled:
    """A batch after prefill: filled caches, the first new token (B,), and the prompt's length."""

    caches: list[KVCache]
    first_B: Tensor
    num_prompt_tokens: int
    recorded: RecordedStep | CompiledStep | None = field(default=None, repr=False)


@torch.inference_mode()
def prefill(
    model: Transformer,
    prompts_BT: Tensor,
    max_new_tokens: int,
    sampler: Sampler | None = None,
    *,
    into: Prefilled | None = None,
) -> Prefilled:
    """Run the prompts once and choose the first new token; logits are computed at the last position only.

    `into` is an earlier batch of the same shape that is no longer needed: its caches and its recorded step are used
    again, and it is what is returned.
    """
    batch, time = prompts_BT.shape
    prepare_for_decoding(model, batch)
    if into is None:
        dtype = model.embedding.weight.dtype
        caches = build_caches(model.config, batch, time + max_new_tokens, prompts_BT.device, dtype)
    else:
        caches = into.caches
        for cache in caches:
            cache.rewind(0)
    logits = model(prompts_BT, caches, last_only=True).logits_BTV
    first_B = (sampler or Sampler()).choose(logits[:, -1])
    if into is None:
        return Prefilled(caches, first_B, time)
    into.first_B = first_B
    return into


@torch.inference_mode()
def decode(
    model: Transformer,
    prefilled: Prefilled,
    num_new_tokens: int,
    sampler: Sampler | None = None,
    *,
    use_graphs: bool = True,
    compiled: bool = False,
) -> Tensor:
    """Return `num_new_tokens` tokens (B, num_new_tokens), the one from prefill first; may be called again.

    The length is fixed: every sequence of the batch takes `num_new_tokens - 1` decode steps, whether its answer ended
    before or not, so the work of a batch does not depend on what the model answers. `compiled` takes each step through
    ``torch.compile`` instead of a CUDA graph.
    """
    recorded = _recorded_step(model, prefilled, use_graphs=use_graphs and num_new_tokens > 1, compiled=compiled)
    return torch.cat(list(_generate(model, prefilled, num_new_tokens, sampler or Sampler(), recorded)), dim=1)


@torch.inference_mode()
def decode_free(
    model: Transformer,
    prefilled: Prefilled,
    num_new_tokens: int,
    has_ended: Callable[[int, list[int]], bool],
    sampler: Sampler | None = None,
    *,
    use_graphs: bool = True,
) -> list[list[int]]:
    """Return the new tokens of each sequence up to its own end, the token that ended it among them.

    `has_ended` is asked with the sequence's place in the batch and its tokens, after each of them. Steps are taken for
    the whole batch until every sequence has ended or has `num_new_tokens`; may be called again.
    """
    recorded = _recorded_step(model, prefilled, use_graphs=use_graphs and num_new_tokens > 1, compiled=False)
    answers: list[list[int]] = [[] for _ in range(prefilled.first_B.shape[0])]
    running = set(range(len(answers)))
    for token_B1 in _generate(model, prefilled, num_new_tokens, sampler or Sampler(), recorded):
        tokens = token_B1[:, 0].tolist()
        for row in sorted(running):
            answers[row].append(tokens[row])
            if has_ended(row, answers[row]):
                running.discard(row)
        if not running:
            break
    return answers


def _generate(
    model: Transformer,
    prefilled: Prefilled,
    num_new_tokens: int,
    sampler: Sampler,
    recorded: RecordedStep | CompiledStep | None,
) -> Iterator[Tensor]:
    """Yield (B, 1) new tokens, the one from prefill first; a step is taken when the token after it is asked for."""
    start = prefilled.num_prompt_tokens
    for cache in prefilled.caches:
        cache.rewind(start)
    token_B1 = prefilled.first_B[:, None]
    yield token_B1
    for position in range(start, start + num_new_tokens - 1):
        if recorded is not None:
            logits_BV = recorded.run(token_B1, position)
        else:
            logits_BV = model(token_B1, prefilled.caches, position).logits_BTV[:, -1]
        token_B1 = sampler.choose(logits_BV)[:, None]
        yield token_B1


def _recorded_step(
    model: Transformer, prefilled: Prefilled, *, use_graphs: bool, compiled: bool
) -> RecordedStep | CompiledStep | None:
    """Return the step to replay, made at the first call, or ``None``: operator by operator."""
    wanted = CompiledStep if compiled else RecordedStep
    if not compiled and not (use_graphs and prefilled.first_B.is_cuda):
        return None
    if not isinstance(prefilled.recorded, wanted):
        start, caches = prefilled.num_prompt_tokens, prefilled.caches
        prefilled.recorded = (
            CompiledStep(model, caches, start)
            if compiled
            else RecordedStep(model, caches, prefilled.first_B.shape[0], start)
        )
    return prefilled.recorded
