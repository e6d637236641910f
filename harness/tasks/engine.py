"""What answers prompts: the steps that are measured apart, whoever runs the model.

Implemented for our own models (`harness.tasks.own_engine`) and for those that `transformers` runs
(`harness.infer.huggingface`, which fits this protocol without importing it).

Shape suffixes: B batch, N new tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class StepCost:
    """FLOPs and bytes of some steps by formula, together; ``None`` where no formula knows the model.

    `bytes_source` says how the bytes of experts were counted.
    """

    flops: float | None
    num_bytes: float | None
    bytes_source: str | None = None


class AnswerEngine(Protocol):
    """A model with its tokenizer. A state that `prefill` made may be decoded any number of times."""

    needs_equal_lengths: bool

    @property
    def device(self) -> torch.device:
        """Return where the model is."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a prompt, special tokens or a chat template as the model's own configuration says."""

    def decode_text(self, ids: Sequence[int]) -> str:
        """Return the text of new tokens, special tokens left out."""

    def is_stop(self, ids: Sequence[int], stop: str) -> bool:
        """Return whether an answer has ended: the model's own end token, or a `stop` that is not empty in its text."""

    def prefill(self, prompts: Sequence[Sequence[int]], num_new_tokens: int) -> Any:
        """Run a batch of prompts once and choose the first new token of each, greedily; leave room for the rest."""

    def decode(self, state: Any, num_new_tokens: int) -> Tensor:
        """Return (B, N) new tokens, the one from prefill first: N - 1 steps, whatever the answers say."""

    def decode_free(self, state: Any, num_new_tokens: int, stops: Sequence[str]) -> list[list[int]]:
        """Return the new tokens of each answer up to its own end, the token that ended it among them.

        `stops` holds the stop of each prompt of the batch, in its order; an empty one stops nothing. Steps are taken
        for the whole batch until every answer has ended, or has `num_new_tokens`.
        """

    def count_prefill(self, batch_size: int, num_prompt_tokens: int) -> StepCost:
        """Return the cost of one prefill of a batch of prompts of that length."""

    def count_decode(self, batch_size: int, num_prompt_tokens: int, num_steps: int) -> StepCost:
        """Return the cost of `num_steps` decode steps of a batch after prompts of that length."""
