"""Our engine behind the protocol: free answers are fixed ones up to their end, grouping and reuse change no answer."""

from __future__ import annotations

import gc

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.tasks.own_engine import OwnEngine
from harness.tasks.passes import split_batches
from tests.unit.models.configs import DENSE, MOE, with_random_weights
from tests.unit.tasks.letters import Letters, ask

NUM_NEW = 10


def _engine(config: ModelConfig) -> OwnEngine:
    return OwnEngine(with_random_weights(config), Letters())


def _prompts(num: int, length: int, seed: int = 1) -> list[list[int]]:
    return torch.randint(1, 64, (num, length), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_a_free_answer_is_the_fixed_one_up_to_its_own_stop(config: ModelConfig) -> None:
    engine = _engine(config)
    prompts = _prompts(4, 9)
    state = engine.prefill(prompts, NUM_NEW)
    fixed = engine.decode(state, NUM_NEW).tolist()
    stops = [engine.decode_text(ids[place : place + 2]) for place, ids in enumerate(fixed)]
    expected = [
        next((ids[:n] for n in range(1, NUM_NEW + 1) if engine.is_stop(ids[:n], stop)), ids)
        for ids, stop in zip(fixed, stops, strict=True)
    ]
    assert engine.decode_free(state, NUM_NEW, stops) == expected
    assert engine.decode_free(state, NUM_NEW, stops) == expected, "a state may be decoded again"


def test_steps_end_with_the_longest_answer_of_the_batch() -> None:
    engine = _engine(DENSE)
    state = engine.prefill(_prompts(3, 9), NUM_NEW)
    fixed = engine.decode(state, NUM_NEW).tolist()
    stops = [engine.decode_text(ids[3:4]) for ids in fixed]
    longest = max(len(ids) for ids in engine.decode_free(state, NUM_NEW, stops))
    assert longest <= 4
    passes = []
    handle = engine.model.register_forward_hook(lambda *_: passes.append(1))
    engine.decode_free(state, NUM_NEW, stops)
    handle.remove()
    assert len(passes) == longest - 1


def test_without_a_stop_only_the_separator_ends_an_answer() -> None:
    engine = _engine(DENSE)
    assert not engine.is_stop([5, 6], "")
    assert engine.is_stop([5, 0], "")
    assert engine.is_stop([5, 6, 7], engine.decode_text([6, 7]))
    assert engine.decode_text([5, 0, 6]) == "%&"


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_prompts_grouped_by_length_are_answered_as_one_by_one(config: ModelConfig) -> None:
    engine = _engine(config)
    lengths = (5, 9, 5, 7, 9, 5, 5)
    prompts = ask([_prompts(1, length, seed)[0] for seed, length in enumerate(lengths)])
    batches = split_batches(prompts, 3, equal_lengths=True)
    assert sorted(len(batch) for batch in batches) == [1, 1, 2, 3]
    for batch in batches:
        together = engine.decode(engine.prefill([prompt.ids for prompt in batch], 6), 6).tolist()
        alone = [engine.decode(engine.prefill([prompt.ids], 6), 6)[0].tolist() for prompt in batch]
        assert together == alone


def test_batches_that_nobody_holds_are_used_again_and_held_ones_are_not() -> None:
    engine = _engine(MOE)
    first, second, third = (_prompts(2, 8, seed) for seed in (1, 2, 3))
    fresh = [_engine(MOE).decode(_engine(MOE).prefill(p, 6), 6).tolist() for p in (first, second, third)]
    held = engine.prefill(first, 6)
    dropped = engine.prefill(second, 6)
    buffers = dropped.prefilled.caches
    assert engine.decode(dropped, 6).tolist() == fresh[1]
    del dropped
    gc.collect()
    reused = engine.prefill(third, 6)
    assert reused.prefilled.caches is buffers
    assert engine.decode(reused, 6).tolist() == fresh[2]
    assert engine.decode(held, 6).tolist() == fresh[0]


def test_a_batch_of_another_shape_gets_room_of_its_own() -> None:
    engine = _engine(DENSE)
    engine.prefill(_prompts(2, 8), 6)
    state = engine.prefill(_prompts(2, 8), 12)
    assert engine.decode(state, 12).shape == (2, 12)


def test_bytes_count_the_experts_that_steps_touched_where_that_is_known() -> None:
    engine = _engine(MOE)
    even = engine.count_decode(4, 10, 5)
    engine.coverage = {4: 3.0}
    counted, other = engine.count_decode(4, 10, 5), engine.count_decode(2, 10, 5)
    assert counted.num_bytes is not None
    assert even.num_bytes is not None
    assert counted.num_bytes < even.num_bytes
    assert counted.flops == even.flops
    assert "touched" in str(counted.bytes_source)
    assert "even" in str(other.bytes_source)
