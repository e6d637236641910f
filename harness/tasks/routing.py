"""Only the parts needed: whom the routers chose while tasks were answered, and how many experts a decode step touched.

Outside every window: each question is answered once more, and prompt and answer go through the model in one pass, whose
routers choose as in prefill and decode (but for rounding between two near-equal experts). What a batch of a decode step
touched is counted from the choices of its members, since neither a router nor an expert knows of the others in a batch.

Shape suffixes: Q questions, B batch, T prompt length, L expert layers, S decode steps, k chosen experts, E experts.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core.model_config import MoEConfig
from harness.core.routing import ExpertCoverage, TaskRouting
from harness.flops.traffic import estimate_distinct_experts
from harness.models import count_params
from harness.tasks.own_engine import OwnEngine
from harness.tasks.passes import Prompt, split_batches
from harness.train.load import summarise_routing

MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices while questions of one kind were answered: `load_LE` counts prompts and answers, `num_tokens` of them.

    `decode_QLSk` holds the experts of each decode step.
    """

    load_LE: Tensor
    num_tokens: int
    decode_QLSk: Tensor


def record_choices(engine: OwnEngine, prompts: Sequence[Prompt], num_new_tokens: int, batch_size: int) -> Choices:
    """Answer `prompts` with answers of fixed length and return whom the routers chose for every token.

    The last new token goes through the model no more, in a window or here.
    """
    config = engine.model.config
    assert isinstance(config, MoEConfig)  # noqa: S101 - who asks has looked
    load, decode, num_tokens = [], [], 0
    for batch in split_batches(prompts, batch_size, equal_lengths=True):
        state = engine.prefill([prompt.ids for prompt in batch], num_new_tokens)
        made_BN = engine.decode(state, num_new_tokens)
        prompt_BT = torch.tensor([prompt.ids for prompt in batch], device=engine.device)
        with torch.inference_mode():
            output = engine.model(torch.cat((prompt_BT, made_BN[:, :-1]), dim=1), last_only=True)
        load.append(torch.stack(output.loads).cpu())
        chosen = [routing.experts_Nk.view(len(batch), -1, config.top_k) for routing in output.routings]
        decode.append(torch.stack([experts[:, prompt_BT.shape[1] :] for experts in chosen], dim=1).cpu())
        num_tokens += len(batch) * (prompt_BT.shape[1] + num_new_tokens - 1)
    return Choices(torch.stack(load).sum(0), num_tokens, torch.cat(decode))


def describe_routing(kind: str, choices: Choices, config: MoEConfig) -> TaskRouting:
    """Return load, entropy and the parameters that a token used on average, out of all."""
    stats = summarise_routing(choices.load_LE, choices.num_tokens)
    params = count_params(config)
    num_sparse = config.num_layers - config.num_dense_layers
    chosen = float(choices.load_LE.sum()) / choices.num_tokens
    expert = 3 * config.d_model * config.d_expert
    return TaskRouting(
        kind=kind,
        load=stats.load,
        mean_entropy=stats.mean_entropy,
        num_tokens=choices.num_tokens,
        active_params_per_token=params.active + (chosen - num_sparse * config.top_k) * expert,
        total_params=params.total,
    )


def measure_mixed(kinds: Mapping[str, Choices], config: MoEConfig, seed: int) -> list[ExpertCoverage]:
    """Return the coverage of batches in which kinds take turns; nothing where fewer than two of them are decoded.

    A kind with answers of one token is not: its tokens are made by prefill.
    """
    decoded = {name: choices for name, choices in kinds.items() if choices.decode_QLSk.shape[2] > 0}
    return measure_coverage(MIXED, mix_kinds(decoded, seed), config) if len(decoded) > 1 else []


def mix_kinds(kinds: Mapping[str, Choices], seed: int) -> Tensor:
    """Return decode choices (Q, L, S, k) of as many questions of each kind, kinds taking turns.

    Steps are as many as the shortest answers have.
    """
    num_steps = min(choices.decode_QLSk.shape[2] for choices in kinds.values())
    num_questions = min(choices.decode_QLSk.shape[0] for choices in kinds.values())
    rng = random.Random(seed)
    drawn = [
        choices.decode_QLSk[rng.sample(range(choices.decode_QLSk.shape[0]), num_questions), :, :num_steps]
        for choices in kinds.values()
    ]
    return torch.stack(drawn, dim=1).flatten(0, 1)


def measure_coverage(
    kind: str,
    decode_QLSk: Tensor,
    config: MoEConfig,
    batch_sizes: Iterable[int] | None = None,
    *,
    seed: int | None = None,
) -> list[ExpertCoverage]:
    """Return how many distinct experts a step touches, by batch size: 1, 2, 4, ... as far as the questions go.

    Questions are dealt to batches that share none (shuffled by `seed`; ``None`` keeps their order), and a batch that
    would not be full is left out. A standard error is over batches, whose steps are no independent evidence; one
    batch has none. `batch_sizes` are counted as well. The loads that `expected_load` rests on are those of these steps.
    """
    num_questions, num_layers, num_steps, top_k = decode_QLSk.shape
    if num_steps == 0:
        return []
    if seed is not None:
        order = list(range(num_questions))
        random.Random(seed).shuffle(order)
        decode_QLSk = decode_QLSk[order]
    share_LE = torch.stack([_count(decode_QLSk[:, layer], config.num_experts) for layer in range(num_layers)]).double()
    share_LE /= num_questions * num_steps
    powers = {1 << power for power in range(num_questions.bit_length())}
    coverage = []
    for size in sorted({size for size in powers | set(batch_sizes or ()) if size <= num_questions}):
        means = [
            count_distinct(decode_QLSk[start : start + size], config.num_experts)
            for start in range(0, num_questions - size + 1, size)
        ]
        expected_load = float((1.0 - (1.0 - share_LE.clamp(max=1.0)) ** size).sum(dim=1).mean())
        coverage.append(
            ExpertCoverage(
                kind=kind,
                batch_size=size,
                measured=statistics.fmean(means),
                measured_stderr=statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else None,
                expected_even=estimate_distinct_experts(config.num_experts, top_k, size),
                expected_load=expected_load,
                num_experts=config.num_experts,
                top_k=top_k,
                num_steps=len(means) * num_steps,
            )
        )
    return coverage


def count_distinct(decode_BLSk: Tensor, num_experts: int) -> float:
    """Return how many distinct experts one batch touched in a step, a mean over its layers and steps."""
    _, num_layers, num_steps, _ = decode_BLSk.shape
    chosen = decode_BLSk.permute(1, 2, 0, 3).flatten(2)
    touched_LSE = torch.zeros(num_layers, num_steps, num_experts, dtype=torch.bool).scatter_(2, chosen, value=True)
    return float(touched_LSE.sum(dim=2).double().mean())


def _count(experts: Tensor, num_experts: int) -> Tensor:
    return torch.bincount(experts.flatten(), minlength=num_experts)
