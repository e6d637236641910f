"""Energy of one request: its prompt, then its answer, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.projection.comparison import Comparison, estimate_steps
from harness.analysis.projection.prefill import Prefill, estimate_prefill


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request: prompt and answer in tokens; the sparse-expert answer is `moe_output_factor` times as long."""

    prompt_tokens: int
    output_tokens: int
    moe_output_factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """Joules of one request at one decode batch: its prompt, then its answer at the mean context."""

    batch: int
    dense_joules: float
    moe_joules: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProjection:
    """A request of `prompt_tokens`; the sparse-expert model may write a longer answer."""

    prompt_tokens: int
    dense_output_tokens: int
    moe_output_tokens: int
    dense_prefill: Prefill
    moe_prefill: Prefill
    rows: tuple[TaskRow, ...]


def project_request(setup: Comparison, batches: Sequence[int], request: Request) -> TaskProjection:
    """Return joules of a request on both sides at each decode batch: every token costs as one at the mean context."""
    moe_output = max(1, round(request.output_tokens * request.moe_output_factor))
    dense_prefill, moe_prefill = (
        estimate_prefill(load, setup.card, setup.assumptions, request.prompt_tokens)
        for load in (setup.dense, setup.moe)
    )
    rows = []
    for batch in batches:
        dense_step, _ = estimate_steps(setup, batch, _mean_context(request.prompt_tokens, request.output_tokens))
        _, moe_step = estimate_steps(setup, batch, _mean_context(request.prompt_tokens, moe_output))
        dense_joules = dense_prefill.joules + request.output_tokens * dense_step.joules_per_token
        moe_joules = moe_prefill.joules + moe_output * moe_step.joules_per_token
        rows.append(
            TaskRow(batch=batch, dense_joules=dense_joules, moe_joules=moe_joules, ratio=moe_joules / dense_joules)
        )
    return TaskProjection(
        prompt_tokens=request.prompt_tokens,
        dense_output_tokens=request.output_tokens,
        moe_output_tokens=moe_output,
        dense_prefill=dense_prefill,
        moe_prefill=moe_prefill,
        rows=tuple(rows),
    )


def _mean_context(prompt_tokens: int, output_tokens: int) -> int:
    """Return the context of the mean decoded token: step i attends over the prompt and i tokens."""
    return prompt_tokens + (output_tokens + 1) // 2
