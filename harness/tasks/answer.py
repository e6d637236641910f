"""Answer the task's examples: prefill and decode apart, each repeated until it is long enough to measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import torch

from harness.core.clock import now_s
from harness.core.config import TaskConfig
from harness.core.records import Work
from harness.flops.formulas import count_decode_flops, count_prefill_flops
from harness.infer.engine import decode, prefill
from harness.models.transformer import Transformer
from harness.tasks.line_completion import Example, Tokenizer, count_correct

T = TypeVar("T")
# Opens a measurement window for a phase; the work done is set on what it yields before the window closes.
OpenWindow = Callable[[str], AbstractContextManager["WorkSlot"]]


@dataclass(slots=True)
class WorkSlot:
    """Where a phase leaves the work that it did inside its window."""

    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Outcome over the distinct examples (repeats of a greedy answer are no new evidence)."""

    num_correct: int
    num_examples: int


def answer_examples(
    model: Transformer,
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    task: TaskConfig,
    open_window: OpenWindow,
) -> Answers:
    """Answer all `examples` in batches; one ``prefill`` and one ``decode`` window of at least `min_window_s` each.

    Answers are of fixed length, so the energy of a task does not depend on what a model says. Decode windows hold
    nothing but decode steps: their caches were filled before the window opened.
    """
    model.eval()
    device = model.embedding.weight.device
    prompts = torch.tensor([example.prompt for example in examples], device=device)
    batches = list(prompts.split(task.batch_size))
    warmup = prefill(model, batches[0], task.max_answer_tokens)
    decode(model, warmup, min(4, task.max_answer_tokens))

    with open_window("prefill") as slot:
        prefilled, num_passes = _repeat(
            lambda: [prefill(model, batch, task.max_answer_tokens) for batch in batches], task.min_window_s, device
        )
        slot.work = _prefill_work(model, examples, num_passes)
    with open_window("decode") as slot:
        outputs, num_passes = _repeat(
            lambda: [decode(model, batch, task.max_answer_tokens) for batch in prefilled], task.min_window_s, device
        )
        slot.work = _decode_work(model, examples, task.max_answer_tokens, num_passes)
    num_correct = count_correct(tokenizer, torch.cat(outputs).tolist(), examples)
    return Answers(num_correct, len(examples))


def _repeat(do_pass: Callable[[], list[T]], min_seconds: float, device: torch.device) -> tuple[list[T], int]:
    """Repeat a pass until `min_seconds` are over; return the last pass's results and the number of passes."""
    began = now_s()
    num_passes = 0
    while num_passes == 0 or now_s() - began < min_seconds:
        results = do_pass()
        num_passes += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return results, num_passes


def _prefill_work(model: Transformer, examples: Sequence[Example], num_passes: int) -> Work:
    num_tasks = num_passes * len(examples)
    num_tokens = len(examples[0].prompt)
    return Work(
        unit="task",
        amount=num_tasks,
        flops=num_tasks * count_prefill_flops(model.config, num_tokens),
        num_input_tokens=num_tasks * num_tokens,
        num_tasks=num_tasks,
    )


def _decode_work(model: Transformer, examples: Sequence[Example], num_new_tokens: int, num_passes: int) -> Work:
    num_tasks = num_passes * len(examples)
    num_steps = num_new_tokens - 1
    return Work(
        unit="task",
        amount=num_tasks,
        flops=num_tasks * count_decode_flops(model.config, len(examples[0].prompt), num_steps),
        num_output_tokens=num_tasks * num_steps,
        num_tasks=num_tasks,
    )
