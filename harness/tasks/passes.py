"""Passes over batches of prompts in windows of their own: prefill, decode, or both in one; whoever runs the model.

Nothing here opens a measurement itself: `open_window` comes from whoever measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from harness.core.clock import now_s
from harness.core.inference import Regime
from harness.core.readings import Grade
from harness.core.records import Work
from harness.tasks.engine import AnswerEngine, StepCost
from harness.tasks.questions import Question, is_correct

T = TypeVar("T")
# New token ids of each answer of a batch, in its order; lengths of all answers of a pass, batch by batch.
Answered = list[list[int]]
Lengths = tuple[tuple[int, ...], ...]
_WARMUP_TOKENS = 4


@dataclass(slots=True)
class WindowSlot:
    """A window's account. `describe` tells the work; whoever opened the window calls it once it has closed.

    The rest is known from then on; `energy_j` is the gross energy inside the headline boundary, ``None`` where any part
    of it is unknown.
    """

    describe: Callable[[], Work] | None = None
    work: Work | None = None
    duration_s: float | None = None
    energy_j: float | None = None
    energy_grade: Grade | None = None


# Opens a measurement window for a phase, a repetition and a regime (``None``: line completion on its own).
OpenWindow = Callable[[str, int, Regime | None], AbstractContextManager[WindowSlot]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as an engine takes it: the token ids of as much of its prompt as the engine gets."""

    question: Question
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Batches to answer, over and over until a window has lasted `min_window_s`; always whole passes over all batches.

    Answers are of `num_new_tokens` each, or `free` to end where they end. Without a `regime` windows are those of line
    completion on its own: their work names no correct answers, and the first new token is nobody's output.
    """

    engine: AnswerEngine
    batches: tuple[tuple[Prompt, ...], ...]
    num_new_tokens: int
    min_window_s: float
    open_window: OpenWindow
    regime: Regime | None = None
    free: bool = False

    @property
    def num_prompts(self) -> int:
        """Return the prompts of one pass."""
        return sum(len(batch) for batch in self.batches)


def split_batches(prompts: Sequence[Prompt], batch_size: int, *, equal_lengths: bool) -> tuple[tuple[Prompt, ...], ...]:
    """Return batches of at most `batch_size` prompts; with `equal_lengths` all prompts of a batch are equally long."""
    groups: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(len(prompt.ids) if equal_lengths else 0, []).append(prompt)
    return tuple(
        tuple(group[start : start + batch_size])
        for _, group in sorted(groups.items())
        for start in range(0, len(group), batch_size)
    )


def warm_up(job: Job) -> None:
    """Answer the first batch outside any window, a few steps long: memory is allocated, kernels are chosen."""
    state = _prefill(job, job.batches[0])
    job.engine.decode(state, min(_WARMUP_TOKENS, job.num_new_tokens))


def measure_prefill(job: Job, repetition: int) -> tuple[list[Any], WindowSlot]:
    """Return the state of each batch after a window ``prefill``, and its account."""
    with job.open_window("prefill", repetition, job.regime) as slot:
        states, num_passes = _repeat(job, lambda: [_prefill(job, batch) for batch in job.batches])
        slot.describe = lambda: _describe(job, num_passes, prefilled=True)
    return states, slot


def measure_decode(job: Job, states: Sequence[Any], repetition: int) -> tuple[list[Answered], WindowSlot]:
    """Return the new tokens of each batch after a window ``decode``, and its account.

    The window holds nothing but decode steps: caches were filled before, and whatever an engine records or compiles at
    a state's first step was made by a step outside it.
    """
    for state in states:
        job.engine.decode(state, min(2, job.num_new_tokens))
    made: list[Lengths] = []
    with job.open_window("decode", repetition, job.regime) as slot:
        outputs, num_passes = _repeat(job, lambda: _note(job, _decode(job, states), made))
        slot.describe = lambda: _describe(job, num_passes, made=made, outputs=outputs)
    return _as_lists(outputs), slot


def measure_generate(job: Job, repetition: int) -> tuple[list[Answered], WindowSlot]:
    """Return the new tokens of each batch after a window ``generate``: prefill and decode, batch by batch."""
    made: list[Lengths] = []

    def answer() -> list[Tensor | Answered]:
        return _note(job, [_decode_one(job, _prefill(job, batch), batch) for batch in job.batches], made)

    with job.open_window("generate", repetition, job.regime) as slot:
        outputs, num_passes = _repeat(job, answer)
        slot.describe = lambda: _describe(job, num_passes, prefilled=True, made=made, outputs=outputs)
    return _as_lists(outputs), slot


def decode_once(job: Job, states: Sequence[Any]) -> list[Answered]:
    """Return the new tokens of each batch, outside any window."""
    return _as_lists(_decode(job, states))


def text_of(engine: AnswerEngine, question: Question, ids: Sequence[int]) -> str:
    """Return the text of an answer up to its own end, whatever was generated behind it."""
    end = next((n for n in range(1, len(ids) + 1) if engine.is_stop(ids[:n], question.stop)), len(ids))
    return engine.decode_text(ids[:end])


def count_correct(job: Job, outputs: Sequence[Answered]) -> int:
    """Return how many answers of one pass are right."""
    return sum(
        is_correct(prompt.question, text_of(job.engine, prompt.question, ids))
        for batch, answers in zip(job.batches, outputs, strict=True)
        for prompt, ids in zip(batch, answers, strict=True)
    )


def _prefill(job: Job, batch: Sequence[Prompt]) -> Any:
    return job.engine.prefill([prompt.ids for prompt in batch], job.num_new_tokens)


def _decode(job: Job, states: Sequence[Any]) -> list[Tensor | Answered]:
    return [_decode_one(job, state, batch) for state, batch in zip(states, job.batches, strict=True)]


def _decode_one(job: Job, state: Any, batch: Sequence[Prompt]) -> Tensor | Answered:
    if not job.free:
        return job.engine.decode(state, job.num_new_tokens)
    return job.engine.decode_free(state, job.num_new_tokens, [prompt.question.stop for prompt in batch])


def _note(job: Job, outputs: list[Tensor | Answered], made: list[Lengths]) -> list[Tensor | Answered]:
    """Keep how long the answers of a pass were, where that is up to them."""
    if job.free:
        made.append(tuple(tuple(len(ids) for ids in answers) for answers in outputs))
    return outputs


def _as_lists(outputs: Sequence[Tensor | Answered]) -> list[Answered]:
    return [answers.tolist() if isinstance(answers, Tensor) else answers for answers in outputs]


def _repeat(job: Job, do_pass: Callable[[], list[T]]) -> tuple[list[T], int]:
    """Repeat a pass until the window is long enough; return the last pass's results and the number of passes."""
    device = job.engine.device
    began = now_s()
    num_passes = 0
    results: list[T] = []
    while num_passes == 0 or now_s() - began < job.min_window_s:
        results = []  # what the last pass held is given back before the next one asks for room
        results = do_pass()
        num_passes += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return results, num_passes


def _describe(
    job: Job,
    num_passes: int,
    *,
    prefilled: bool = False,
    made: Sequence[Lengths] = (),
    outputs: Sequence[Tensor | Answered] | None = None,
) -> Work:
    """Return the work of a window's passes: prefill, decode, or both. Free answers count as `made`, pass by pass."""
    count = _Count()
    num_tasks = num_passes * job.num_prompts
    if prefilled:
        for batch in job.batches:
            count.add(job.engine.count_prefill(len(batch), _longest(batch)), num_steps=1, times=num_passes)
    if outputs is not None:
        fixed = tuple((job.num_new_tokens,) * len(batch) for batch in job.batches)
        passes = Counter(made) if job.free else {fixed: num_passes}
        for lengths, times in passes.items():
            for batch, own in zip(job.batches, lengths, strict=True):
                steps = max(own) - 1
                count.add(job.engine.count_decode(len(batch), _longest(batch), steps), num_steps=steps, times=times)
                count.num_output_tokens += times * (sum(own) - len(own))
    first_tokens = num_tasks if prefilled and job.regime is not None else 0
    judged = outputs is not None and job.regime is not None
    return Work(
        unit="task",
        amount=num_tasks,
        flops=count.flops,
        num_input_tokens=num_passes * sum(len(p.ids) for batch in job.batches for p in batch) if prefilled else 0,
        num_output_tokens=count.num_output_tokens + first_tokens,
        num_tasks=num_tasks,
        num_correct=num_passes * count_correct(job, _as_lists(outputs or ())) if judged else None,
        num_steps=count.num_steps,
        num_bytes=count.num_bytes,
        bytes_source="; ".join(sorted(count.sources)) or None,
    )


def _longest(batch: Sequence[Prompt]) -> int:
    """Return the length that a batch is padded to."""
    return max(len(prompt.ids) for prompt in batch)


@dataclass(slots=True)
class _Count:
    """A sum over steps; as soon as one cost is unknown, so is the sum."""

    flops: float | None = 0.0
    num_bytes: float | None = 0.0
    num_steps: int = 0
    num_output_tokens: int = 0
    sources: set[str] = field(default_factory=set)

    def add(self, cost: StepCost, *, num_steps: int, times: int) -> None:
        self.flops = _add(self.flops, cost.flops, times)
        self.num_bytes = _add(self.num_bytes, cost.num_bytes, times)
        self.num_steps += times * num_steps
        if cost.bytes_source is not None:
            self.sources.add(cost.bytes_source)


def _add(total: float | None, part: float | None, times: int) -> float | None:
    return None if total is None or part is None else total + times * part
