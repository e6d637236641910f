"""Whom the routers of a published model choose by task kind, and how many experts its decode steps touch.

Counted outside every window, in a pass over the same prompts with answers of the same length: watching costs time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harness.core.config import RunConfig
from harness.core.model_config import MoEConfig
from harness.core.readings import Finding
from harness.core.records import ParamCount
from harness.core.routing import TaskRouting
from harness.infer.huggingface.counts import names_experts
from harness.infer.huggingface.engine import HuggingFaceEngine
from harness.infer.huggingface.experts import watch_choices
from harness.run.answering import Asked
from harness.run.outcome import Outcome
from harness.tasks.passes import Prompt, split_batches
from harness.tasks.routing import Choices, measure_coverage, measure_mixed
from harness.tasks.sweep import SWEEP
from harness.train.load import summarise_routing

UNKNOWN_TEXT = "whom the routers choose is unknown: the model hands the chosen experts to no module of their own"


def record_routing(config: RunConfig, engine: HuggingFaceEngine, asked: Asked, outcome: Outcome) -> None:
    """Add the routing of each kind, and the experts that decode steps touched; a dense model has neither.

    A finding says so where a sparse model cannot be watched.
    """
    params, task = engine.steps.params, config.task
    if params.active == params.total if params is not None else not names_experts(engine.model.config):
        return
    if params is None:
        text = "whom the routers choose was not counted, since the parameters that a token uses are unknown"
        outcome.findings.append(Finding(code="routing_unknown", severity="info", text=text))
        return
    lengths = {name: task.kinds[name].max_answer_tokens for name in asked.kinds}
    kinds = {
        name: record_choices(engine, prompts, lengths[name], task.batch_size) for name, prompts in asked.kinds.items()
    }
    known = {name: choices for name, choices in kinds.items() if choices is not None}
    if len(known) < len(kinds):
        outcome.findings.append(Finding(code="routing_unknown", severity="info", text=UNKNOWN_TEXT))
        return
    outcome.task_routing.extend(describe_routing(name, choices, params) for name, choices in known.items())
    decode = {name: choices.decode_QLSk for name, choices in known.items()}
    sizes = {name: _batch_sizes(len(asked.kinds[name]), task.batch_size) for name in known}
    if asked.sweep:
        swept = record_choices(engine, asked.sweep[max(asked.sweep)], max(task.regimes.answer_lengths), task.batch_size)
        if swept is not None:
            decode[SWEEP], sizes[SWEEP] = swept.decode_QLSk, set(task.regimes.batch_sizes)
    experts = MoEConfig(num_experts=next(iter(known.values())).load_LE.shape[1])  # all that coverage asks of a config
    for name, steps in decode.items():
        outcome.expert_coverage.extend(measure_coverage(name, steps, experts, sizes[name], seed=config.seed))
    outcome.expert_coverage.extend(measure_mixed(known, experts, config.seed))


def record_choices(
    engine: HuggingFaceEngine, prompts: Sequence[Prompt], num_new_tokens: int, batch_size: int
) -> Choices | None:
    """Answer `prompts` with answers of fixed length and return whom the routers chose for every token but padding.

    ``None`` where they cannot be watched.
    """
    loads, decode, num_tokens = [], [], 0
    for batch in split_batches(prompts, batch_size, equal_lengths=engine.needs_equal_lengths):
        with watch_choices(engine.model) as counter:
            engine.counter = counter
            try:
                engine.decode(engine.prefill([prompt.ids for prompt in batch], num_new_tokens), num_new_tokens)
            finally:
                engine.counter = None
        if not counter.passes:
            return None
        loads.append(counter.count_load())
        num_tokens += counter.num_tokens
        prefilled, *steps = counter.passes
        num_layers, _, top_k = prefilled.shape
        empty = torch.empty(len(batch), num_layers, 0, top_k, dtype=prefilled.dtype)
        decode.append(torch.stack(steps, dim=2).transpose(0, 1) if steps else empty)
    return Choices(torch.stack(loads).sum(0), num_tokens, torch.cat(decode))


def _batch_sizes(num_prompts: int, batch_size: int) -> set[int]:
    """Return the sizes of the batches that prompts are answered in: whole ones, and the rest."""
    return {min(batch_size, num_prompts), num_prompts % batch_size or batch_size}


def describe_routing(kind: str, choices: Choices, params: ParamCount) -> TaskRouting:
    """Return load, entropy and the parameters that a token uses, out of all."""
    stats = summarise_routing(choices.load_LE, choices.num_tokens)
    return TaskRouting(
        kind=kind,
        load=stats.load,
        mean_entropy=stats.mean_entropy,
        num_tokens=choices.num_tokens,
        active_params_per_token=float(params.active),
        total_params=params.total,
    )
