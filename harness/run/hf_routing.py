"""Whom the routers of a published model choose by task kind, and how many experts a decode step touches.

Counted outside every window, in a pass over the same prompts with the same answers: watching costs time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.core.inference import ExpertCoverage, TaskRouting
from harness.core.records import ParamCount
from harness.flops.published.count import count_coverage
from harness.infer.hf_experts import ChoiceCounter, watch_choices
from harness.infer.huggingface import HuggingFaceEngine
from harness.tasks.passes import Prompt, split_batches


def count_routing(
    engine: HuggingFaceEngine,
    kind: str,
    prompts: Sequence[Prompt],
    *,
    batch_size: int,
    num_new_tokens: int,
    params: ParamCount,
) -> tuple[TaskRouting, ExpertCoverage | None] | None:
    """Return the load of the experts over prompts and answers of a kind, and the coverage of its decode steps.

    ``None`` where the model's experts cannot be watched. The coverage is that of whole batches, ``None`` without a
    decode step.
    """
    load_LE: Tensor | None = None
    steps: list[Tensor] = []
    num_tokens, top_k = 0, 0
    size = min(batch_size, len(prompts))
    for batch in split_batches(prompts, size, equal_lengths=engine.needs_equal_lengths):
        counter = _watch(engine, batch, num_new_tokens)
        if not counter.counts:
            return None
        counted_LE = torch.stack(counter.counts).sum(dim=0)
        load_LE = counted_LE if load_LE is None else load_LE + counted_LE
        num_tokens += counter.num_tokens
        top_k = counter.top_k or 0
        if len(batch) == size:
            steps += counter.counts[1:]  # the first pass is the prefill
    if load_LE is None:
        return None
    share_LE = load_LE.double() / load_LE.sum(dim=1, keepdim=True)
    routing = TaskRouting(
        kind=kind,
        load=tuple(tuple(row) for row in share_LE.tolist()),
        mean_entropy=_entropy(share_LE),
        num_tokens=num_tokens,
        active_params_per_token=float(params.active),
        total_params=params.total,
    )
    return routing, _coverage(kind, size, steps, share_LE, top_k) if steps else None


def _watch(engine: HuggingFaceEngine, batch: Sequence[Prompt], num_new_tokens: int) -> ChoiceCounter:
    with watch_choices(engine.model) as counter:
        engine.counter = counter
        try:
            engine.decode(engine.prefill([prompt.ids for prompt in batch], num_new_tokens), num_new_tokens)
        finally:
            engine.counter = None
    return counter


def _coverage(
    kind: str, batch_size: int, steps: Sequence[Tensor], share_LE: Tensor, top_k: int
) -> ExpertCoverage:
    num_experts = share_LE.shape[1]
    touched_S = torch.stack([(step_LE > 0).sum(dim=1).double().mean() for step_LE in steps])
    chosen_LE = (top_k * share_LE).clamp(max=1.0)
    expected = (1 - (1 - chosen_LE) ** batch_size).sum(dim=1).mean()
    stderr = float(touched_S.std() / math.sqrt(len(steps))) if len(steps) > 1 else None
    return ExpertCoverage(
        kind=kind,
        batch_size=batch_size,
        measured=float(touched_S.mean()),
        measured_stderr=stderr,
        expected_even=num_experts * count_coverage(num_experts, top_k, batch_size),
        expected_load=float(expected),
        num_experts=num_experts,
        top_k=top_k,
        num_steps=len(steps),
    )


def _entropy(share_LE: Tensor) -> float:
    """Return the entropy of the load over its highest value, a mean over layers."""
    entropy_L = -torch.special.xlogy(share_LE, share_LE).sum(dim=1)
    return float(entropy_L.mean() / math.log(share_LE.shape[1]))
