"""Greedy answers of a published model that `transformers` runs: prompts of unequal length share a batch.

Prompts are padded on the left, with a mask and positions that begin at each prompt's first token, as ``generate`` does
it. Decoding is the loop of ``generate(do_sample=False)`` without what its defaults add: nothing is compiled, the
implementation of the experts is not switched, no penalty of the model's generation configuration is applied.

Shape suffixes: B batch, T padded prompt length, N new tokens, V vocabulary.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.infer.huggingface.counts import CountedSteps, count_steps
from harness.infer.huggingface.experts import ChoiceCounter
from harness.infer.huggingface.load import LoadedModel

# Cache layers that put new tensors in place of the old ones, so that a copy of the layer keeps the state it had.
_REPLACING_LAYERS = ("DynamicLayer", "DynamicSlidingWindowLayer")


@dataclass(frozen=True, slots=True)
class StepCost:
    """FLOPs and bytes of some steps by formula, together; ``None`` where no formula knows the model."""

    flops: float | None
    num_bytes: float | None
    bytes_source: str | None = None


@dataclass(slots=True)
class HFState:
    """A batch after prefill: its cache, the first new tokens, the prompts' own lengths, and room for what follows.

    `mask_BT` is ``None`` where all prompts are equally long, and nothing is padded.
    """

    cache: Any
    first_B: Tensor
    lengths_B: Tensor
    num_prompt_tokens: int
    mask_BT: Tensor | None


class HuggingFaceEngine:
    """Fits `harness.tasks.engine.AnswerEngine`.

    `counter`, where one is set, is told which rows are padding. `coverage` may be set to how many distinct experts of a
    layer a decode step touched, by batch size; bytes of decode steps then count those in place of an even router's.
    """

    needs_equal_lengths = False

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.model = loaded.model
        self.text = loaded.text
        self.counter: ChoiceCounter | None = None
        self.coverage: Mapping[int, float] = {}
        self.steps: CountedSteps = count_steps(loaded)
        self._end_ids = frozenset(find_end_ids(self.model, self.text.tokenizer))
        self._pad_id = _first_id(self.text.tokenizer.pad_token_id, *sorted(self._end_ids), 0)
        parameters = inspect.signature(self.model.forward).parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}

    @property
    def device(self) -> torch.device:
        """Return where prompts go: the device of the input embedding."""
        return self.model.get_input_embeddings().weight.device

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a prompt, inside the chat template where the configuration asks for it."""
        return self.text.encode(text)

    def decode_text(self, ids: Sequence[int]) -> str:
        """Return the text of new tokens, special tokens left out."""
        return self.text.decode(ids)

    def is_stop(self, ids: Sequence[int], stop: str) -> bool:
        """Return whether an answer has ended: the model's own end token, or `stop` in the text of `ids`."""
        return not self._end_ids.isdisjoint(ids) or (bool(stop) and stop in self.decode_text(ids))

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[Sequence[int]], num_new_tokens: int) -> HFState:
        """Run a batch of prompts once and choose the first new token of each; the cache grows by itself."""
        longest = max(len(prompt) for prompt in prompts)
        padded = [[self._pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        lengths = [len(prompt) for prompt in prompts]
        ids_BT = torch.tensor(padded, device=self.device)
        lengths_B = torch.tensor(lengths, device=self.device)
        mask_BT = None
        if min(lengths) < longest:
            steps_T = torch.arange(longest + num_new_tokens, device=self.device)
            mask_BT = (steps_T >= longest - lengths_B[:, None]).long()
        positions_BT = (torch.arange(longest, device=self.device) - (longest - lengths_B[:, None])).clamp(min=0)
        self._tell_counter(None if mask_BT is None else mask_BT[:, :longest])
        cache = self._empty_cache()
        logits_BV = self._forward(ids_BT, positions_BT, None if mask_BT is None else mask_BT[:, :longest], cache)
        return HFState(cache, logits_BV.argmax(dim=-1), lengths_B, longest, mask_BT)

    @torch.inference_mode()
    def decode(self, state: HFState, num_new_tokens: int) -> Tensor:
        """Return (B, N) new tokens, the one from prefill first: N - 1 steps, whatever the answers say."""
        steps = self._steps(state)
        return torch.stack([next(steps) for _ in range(num_new_tokens)], dim=1)

    @torch.inference_mode()
    def decode_free(self, state: HFState, num_new_tokens: int, stops: Sequence[str]) -> list[list[int]]:
        """Return the new tokens of each answer up to its own end, the token that ended it among them.

        Steps are taken for the whole batch until every answer has ended, or has `num_new_tokens`.
        """
        answers: list[list[int]] = [[] for _ in stops]
        open_rows = set(range(len(stops)))
        # A stop that was not there before lies in the last tokens, each of which is a byte or more.
        widths = [len(stop.encode()) + 1 for stop in stops]
        steps = self._steps(state)
        for _ in range(num_new_tokens):
            for row, token in enumerate(next(steps).tolist()):
                if row in open_rows:
                    answers[row].append(token)
                    if self.is_stop(answers[row][-widths[row] :], stops[row]):
                        open_rows.discard(row)
            if not open_rows:
                break
        return answers

    def count_prefill(self, batch_size: int, num_prompt_tokens: int) -> StepCost:
        """Return the cost of one prefill of a batch of prompts padded to that length."""
        return StepCost(*self.steps.count_prefill(batch_size, num_prompt_tokens))

    def count_decode(self, batch_size: int, num_prompt_tokens: int, num_steps: int) -> StepCost:
        """Return the cost of `num_steps` decode steps of a batch after prompts padded to that length."""
        distinct = self.coverage.get(batch_size)
        return StepCost(*self.steps.count_decode(batch_size, num_prompt_tokens, num_steps, distinct))

    def _steps(self, state: HFState) -> Iterator[Tensor]:
        """Yield (B,) new tokens: the one from prefill, then one for each step, from the state as prefill left it."""
        cache, token_B = copy_cache(state.cache), state.first_B
        self._tell_counter(None)
        end = state.num_prompt_tokens
        # Without attention the state holds no padding any more, and a mask of earlier positions would be applied to the
        # new one; ``generate`` leaves it out too.
        kinds = getattr(cache, "is_linear", ())
        is_recurrent = bool(kinds) and all(kinds)
        for step in range(torch.iinfo(torch.int32).max):
            yield token_B
            mask_BT = None if state.mask_BT is None or is_recurrent else self._mask(state, end + step + 1)
            positions_B1 = (state.lengths_B + step)[:, None]
            token_B = self._forward(token_B[:, None], positions_B1, mask_BT, cache).argmax(dim=-1)

    def _mask(self, state: HFState, length: int) -> Tensor:
        mask_BT = state.mask_BT
        assert mask_BT is not None  # noqa: S101  # asked only where prompts were padded
        if length > mask_BT.shape[1]:  # decoded further than prefill was told
            more = mask_BT.new_ones(mask_BT.shape[0], length)
            state.mask_BT = mask_BT = torch.cat([mask_BT, more], dim=1)
        return mask_BT[:, :length]

    def _forward(self, ids_BT: Tensor, positions_BT: Tensor, mask_BT: Tensor | None, cache: Any) -> Tensor:
        """Return the logits (B, V) at the last position; new keys and values go into `cache`."""
        given = {self._cache_name: cache, "attention_mask": mask_BT, "position_ids": positions_BT, **self._last_only}
        return self.model(input_ids=ids_BT, use_cache=True, return_dict=True, **given).logits[:, -1]

    def _empty_cache(self) -> Any:
        from transformers import DynamicCache  # noqa: PLC0415 - optional

        return DynamicCache(config=self.model.config)

    def _tell_counter(self, mask_BT: Tensor | None) -> None:
        if self.counter is not None:
            self.counter.keep_R = None if mask_BT is None else mask_BT.reshape(-1).bool()


def copy_cache(cache: Any) -> Any:
    """Return a cache that may grow while `cache` stays as it is; keys and values are shared where they can be.

    Layers of other kinds (linear attention changes its state in place) are copied whole.
    """
    made = copy.copy(cache)
    made.layers = [
        copy.copy(layer) if type(layer).__name__ in _REPLACING_LAYERS else copy.deepcopy(layer)
        for layer in cache.layers
    ]
    return made


def find_end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Return the tokens that end an answer: of the generation configuration, else of the tokenizer."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if configured is None:
        configured = tokenizer.eos_token_id
    if configured is None:
        return set()
    return set(configured) if isinstance(configured, (list, tuple)) else {int(configured)}


def _first_id(*ids: int | None) -> int:
    return next(index for index in ids if index is not None)
