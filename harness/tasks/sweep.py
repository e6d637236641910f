"""A sweep of inference over batch, context and answer length, whoever runs the model.

Prompts are held-out line completions, cut to exactly the context length. Every combination is measured `repetitions`
times; inside a repetition their order is shuffled, so that heat and drift do not fall on one of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from harness.core.errors import ConfigError, DataError
from harness.core.inference import Regime
from harness.core.task_config import KindConfig, RegimeConfig
from harness.tasks.engine import AnswerEngine
from harness.tasks.kinds.kind import Encode
from harness.tasks.kinds.line_completion import build_questions
from harness.tasks.line_completion import TASK_NAME
from harness.tasks.passes import Job, OpenWindow, Prompt, measure_decode, measure_generate, measure_prefill, warm_up
from harness.tasks.suite import encode_prompt

SWEEP = "sweep"
# Called before each combination with its regime, how many are done, and how many there are.
OnRegime = Callable[[Regime, int, int], None]


def build_line_prompts(
    documents: Sequence[tuple[str, str]], encode: Encode, *, num_prompts: int, context_length: int, where: str = "task"
) -> tuple[Prompt, ...]:
    """Return held-out line completions as prompts of exactly `context_length` tokens.

    Raises:
        DataError: the held-out text has fewer; `where` names the settings.
    """
    kind = KindConfig(name=TASK_NAME, num_examples=num_prompts, context_length=context_length, context_bytes=1)
    questions = build_questions(TASK_NAME, kind, where, documents, encode)
    return tuple(Prompt(question, tuple(encode_prompt(encode, question, context_length))) for question in questions)


def build_sweep_prompts(
    regimes: RegimeConfig, documents: Sequence[tuple[str, str]], encode: Encode
) -> dict[int, tuple[Prompt, ...]]:
    """Return for each context length as many different prompts of exactly that length as the largest batch holds.

    Raises:
        ConfigError: the held-out text has not so many.
    """
    largest = max(regimes.batch_sizes, default=0)
    prompts = {}
    for length in regimes.context_lengths:
        try:
            prompts[length] = build_line_prompts(documents, encode, num_prompts=largest, context_length=length)
        except DataError:
            raise ConfigError(
                f"task.regimes.batch_sizes asks for {largest} different prompts of {length} tokens at once and the "
                "held-out text has fewer; lower task.regimes.batch_sizes or task.regimes.context_lengths, or take a "
                "larger corpus."
            ) from None
    return prompts


def sweep_regimes(
    engine: AnswerEngine,
    prompts: Mapping[int, Sequence[Prompt]],
    regimes: RegimeConfig,
    open_window: OpenWindow,
    *,
    seed: int,
    on_regime: OnRegime,
) -> tuple[Regime, ...]:
    """Measure every regime, in windows ``prefill``, ``decode`` and, where `whole_window` says so, ``generate``.

    Return the regimes that the device's memory did not hold: they are not tried again, and the others go on. Windows
    that such a regime closed before stay.

    A window repeats one batch. The batch of a repetition is drawn anew (by `seed`), so that an interval over
    repetitions holds what different prompts cost; all windows of a repetition and batch size have the same one.
    """
    rng = random.Random(seed)
    too_large: list[Regime] = []
    plan = []
    for repetition in range(regimes.repetitions):
        block = [(regime, repetition) for regime in list_regimes(regimes)]
        rng.shuffle(block)
        plan += block
    for done, (regime, repetition) in enumerate(plan):
        on_regime(regime, done, len(plan))
        if regime in too_large:
            continue
        length = regime.num_input_tokens or 0
        drawn = random.Random(f"{seed}:{repetition}").sample(prompts[length], regime.batch_size)
        job = Job(
            engine=engine,
            batches=(tuple(drawn),),
            num_new_tokens=regime.num_output_tokens or 1,
            min_window_s=regimes.min_window_s,
            open_window=open_window,
            regime=regime,
            free=regime.answer_length == "free",
        )
        try:
            _measure(job, repetition, whole=regimes.whole_window)
        except torch.OutOfMemoryError:
            too_large.append(regime)
        if regime in too_large and engine.device.type == "cuda":  # the error, which held the tensors, is gone by now
            torch.cuda.empty_cache()
    return tuple(too_large)


def list_regimes(regimes: RegimeConfig) -> list[Regime]:
    """Return every combination of batch, context and answer length, with free answers as well where they are asked."""
    fixed = [
        Regime(kind=SWEEP, batch_size=batch, num_input_tokens=context, num_output_tokens=answer)
        for batch in regimes.batch_sizes
        for context in regimes.context_lengths
        for answer in regimes.answer_lengths
    ]
    free = [replace(regime, answer_length="free") for regime in fixed] if regimes.free_answers else []
    return fixed + free


def _measure(job: Job, repetition: int, *, whole: bool) -> None:
    warm_up(job)
    states, _ = measure_prefill(job, repetition)
    if job.num_new_tokens > 1:
        measure_decode(job, states, repetition)
    del states
    if whole:
        measure_generate(job, repetition)
