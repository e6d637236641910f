"""Our own models as an `AnswerEngine`: caches and recorded steps of batches that nobody holds any more serve again.

Shape suffixes: B batch, T prompt length, N new tokens.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from harness.core.model_config import MoEConfig
from harness.data.tokenizer import Tokenizer
from harness.flops.formulas import count_decode_flops, count_prefill_flops
from harness.flops.traffic import COUNTED_SOURCE, DENSE_SOURCE, EVEN_SOURCE, Traffic
from harness.infer.engine import Prefilled, decode, decode_free, prefill
from harness.infer.kv_cache import count_kv_numbers_per_token
from harness.models import count_params
from harness.models.transformer import Transformer
from harness.tasks.engine import StepCost

_Shape = tuple[int, int, int]


class OwnState:
    """A batch after prefill, held by whoever decodes it."""

    __slots__ = ("__weakref__", "prefilled")

    def __init__(self, prefilled: Prefilled) -> None:
        self.prefilled = prefilled


class OwnEngine:
    """Runs a `Transformer`; prompts of a batch must be equally long. Answers end at the separator of documents.

    `coverage` may be set to what `harness.tasks.routing` counted: distinct experts that a decode step touches in a
    layer, by batch size. Bytes of decode steps then count those experts in place of an even router's.
    """

    needs_equal_lengths = True

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        model.eval()
        self.model = model
        self.coverage: Mapping[int, float] = {}
        self._tokenizer = tokenizer
        self._used: list[tuple[weakref.ref[OwnState], _Shape, Prefilled]] = []
        self._traffic = Traffic(
            model.config,
            count_params(model.config),
            count_kv_numbers_per_token(model.config),
            model.embedding.weight.element_size(),
        )

    @property
    def device(self) -> torch.device:
        """Return where the model is."""
        return self.model.embedding.weight.device

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a prompt."""
        return self._tokenizer.encode(text)

    def decode_text(self, ids: Sequence[int]) -> str:
        """Return the text of new tokens without separators of documents."""
        return self._tokenizer.decode([index for index in ids if index != self._tokenizer.separator])

    def is_stop(self, ids: Sequence[int], stop: str) -> bool:
        """Return whether an answer has ended: a separator of documents, or `stop` (if not empty) in its text."""
        return self._tokenizer.separator in ids or (bool(stop) and stop in self.decode_text(ids))

    def prefill(self, prompts: Sequence[Sequence[int]], num_new_tokens: int) -> OwnState:
        """Run a batch of equally long prompts once and choose the first new token of each, greedily."""
        prompts_BT = torch.tensor(prompts, device=self.device)
        shape = (*prompts_BT.shape, num_new_tokens)
        done = prefill(self.model, prompts_BT, num_new_tokens, into=self._take_unused(shape))
        state = OwnState(done)
        self._used.append((weakref.ref(state), shape, done))
        return state

    def decode(self, state: OwnState, num_new_tokens: int) -> Tensor:
        """Return (B, N) new tokens, the one from prefill first: N - 1 steps, whatever the answers say."""
        return decode(self.model, state.prefilled, num_new_tokens)

    def decode_free(self, state: OwnState, num_new_tokens: int, stops: Sequence[str]) -> list[list[int]]:
        """Return the new tokens of each answer up to its own end; stops when all have ended, or at `num_new_tokens`."""
        widths = [max(1, len(stop.encode())) for stop in stops]

        def has_ended(row: int, ids: list[int]) -> bool:
            # a stop that was not there before lies in the last tokens, each of which is a byte or more
            return self.is_stop(ids[-widths[row] :], stops[row])

        return decode_free(self.model, state.prefilled, num_new_tokens, has_ended)

    def count_prefill(self, batch_size: int, num_prompt_tokens: int) -> StepCost:
        """Return the cost of one prefill of a batch of prompts of that length."""
        flops = batch_size * count_prefill_flops(self.model.config, num_prompt_tokens)
        return StepCost(flops, self._traffic.prefill_bytes(batch_size, num_prompt_tokens), self._source(None))

    def count_decode(self, batch_size: int, num_prompt_tokens: int, num_steps: int) -> StepCost:
        """Return the cost of `num_steps` decode steps of a batch after prompts of that length."""
        distinct = self.coverage.get(batch_size)
        flops = batch_size * count_decode_flops(self.model.config, num_prompt_tokens, num_steps)
        num_bytes = self._traffic.decode_bytes(batch_size, num_prompt_tokens, num_steps, distinct)
        return StepCost(flops, num_bytes, self._source(distinct))

    def _source(self, distinct: float | None) -> str:
        if not isinstance(self.model.config, MoEConfig):
            return DENSE_SOURCE
        return EVEN_SOURCE if distinct is None else COUNTED_SOURCE

    def _take_unused(self, shape: _Shape) -> Prefilled | None:
        """Return an earlier batch of this shape whose state nobody holds; forget unused ones of other shapes."""
        held = [entry for entry in self._used if entry[0]() is not None]
        unused = [entry for entry in self._used if entry[0]() is None and entry[1] == shape]
        taken = unused.pop()[2] if unused else None
        self._used = held + unused
        return taken
