"""A tokenizer of one character a token, and engines for tests: one that is no model at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from harness.core.inference import Regime
from harness.core.records import Work
from harness.tasks.engine import StepCost
from harness.tasks.passes import Prompt, WindowSlot
from harness.tasks.questions import Question


class Letters:
    """Ids 0 to 63 are the characters from the space on; id 0 separates documents."""

    vocab_size = 64
    separator = 0
    token_num_bytes = np.ones(64, dtype=np.int64)

    def encode(self, text: str) -> list[int]:
        return [ord(sign) - 32 for sign in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(32 + int(index)) for index in ids)

    def to_json(self) -> str:
        return "{}"

    def to_published(self) -> str:
        return "{}"


def ask(prompts: Sequence[Sequence[int]], answer: str = "A", *, stop: str = "", kind: str = "letters") -> list[Prompt]:
    """Return a question for each prompt."""
    return [
        Prompt(Question(kind, index, Letters().decode(ids), answer, stop=stop), tuple(ids))
        for index, ids in enumerate(prompts)
    ]


@dataclass
class Echo:
    """An engine without a model: the n-th new token is the prompt's last id plus n. `calls` tells what was asked.

    `work` is called with the units of each prefill (the batch's tokens) and of each decode step (the batch's size).
    """

    needs_equal_lengths: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    calls: list[tuple[str, int, int]] = field(default_factory=list)
    work: Callable[[float], None] = lambda _: None

    def encode(self, text: str) -> list[int]:
        return Letters().encode(text)

    def decode_text(self, ids: Sequence[int]) -> str:
        return Letters().decode(ids)

    def is_stop(self, ids: Sequence[int], stop: str) -> bool:
        return bool(stop) and stop in self.decode_text(ids)

    def prefill(self, prompts: Sequence[Sequence[int]], num_new_tokens: int) -> list[int]:
        if self.needs_equal_lengths:
            assert len({len(ids) for ids in prompts}) == 1
        self.calls.append(("prefill", len(prompts), num_new_tokens))
        self.work(sum(len(ids) for ids in prompts))
        return [ids[-1] for ids in prompts]

    def decode(self, state: list[int], num_new_tokens: int) -> Tensor:
        self.calls.append(("decode", len(state), num_new_tokens))
        for _ in range(num_new_tokens - 1):
            self.work(len(state))
        return torch.tensor([[last + n for n in range(1, num_new_tokens + 1)] for last in state])

    def decode_free(self, state: list[int], num_new_tokens: int, stops: Sequence[str]) -> list[list[int]]:
        answers = self.decode(state, num_new_tokens).tolist()
        ends = [
            next((n for n in range(1, len(ids)) if self.is_stop(ids[:n], stop)), len(ids))
            for ids, stop in zip(answers, stops, strict=True)
        ]
        return [ids[:end] for ids, end in zip(answers, ends, strict=True)]

    def count_prefill(self, batch_size: int, num_prompt_tokens: int) -> StepCost:
        return StepCost(100.0 * batch_size * num_prompt_tokens, 10.0, "counted")

    def count_decode(self, batch_size: int, num_prompt_tokens: int, num_steps: int) -> StepCost:
        del num_prompt_tokens
        return StepCost(1.0 * batch_size * num_steps, 7.0 * num_steps, "counted")


@dataclass
class Account:
    """Windows without a meter: each takes a second and ten joules; `works` has what was done in them."""

    energy_j: float | None = 10.0
    works: list[tuple[str, int, Regime | None, Work]] = field(default_factory=list)

    @contextmanager
    def open(self, phase: str, repetition: int, regime: Regime | None) -> Iterator[WindowSlot]:
        slot = WindowSlot()
        yield slot
        assert slot.describe is not None
        slot.work = slot.describe()
        slot.duration_s, slot.energy_j, slot.energy_grade = 1.0, self.energy_j, "B"
        self.works.append((phase, repetition, regime, slot.work))
