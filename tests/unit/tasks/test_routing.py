"""Whom routers choose while answering: as in decoding itself, counted as a plain loop counts."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.core.model_config import MoEConfig
from harness.models import count_params
from harness.tasks.own_engine import OwnEngine
from harness.tasks.routing import (
    Choices,
    count_distinct,
    describe_routing,
    measure_coverage,
    measure_mixed,
    mix_kinds,
    record_choices,
)
from tests.unit.models.configs import MOE, with_random_weights
from tests.unit.tasks.letters import Letters, ask

WIDE = dataclasses.replace(MOE, num_experts=16, top_k=3)


def _even_choices(config: MoEConfig, num_questions: int, num_steps: int, seed: int = 0) -> torch.Tensor:
    """Return choices of routers that choose every set of experts equally often, whatever others choose."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(num_questions, 2, num_steps, config.num_experts, generator=generator)
    return scores.topk(config.top_k, dim=-1).indices


def test_an_even_router_touches_as_many_experts_as_expected() -> None:
    coverage = measure_coverage("k", _even_choices(WIDE, 256, 20), WIDE)
    assert [c.batch_size for c in coverage] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert coverage[0].measured == coverage[0].expected_even == 3
    for c in coverage:
        if c.measured_stderr is not None:
            assert abs(c.measured - c.expected_even) <= 4.5 * c.measured_stderr + 1e-3, c
            assert c.expected_load == pytest.approx(c.expected_even, abs=0.05)
        assert c.num_steps == 256 // c.batch_size * 20
    assert coverage[-1].measured_stderr is None, "one batch tells nothing of others"


def test_a_skewed_router_touches_fewer_and_the_loads_say_so() -> None:
    choices = _even_choices(dataclasses.replace(WIDE, num_experts=8), 64, 10)  # eight experts get nothing
    for c in measure_coverage("k", choices, WIDE, seed=3)[1:]:
        assert c.measured < c.expected_even
        assert c.expected_load == pytest.approx(c.measured, abs=0.2)


def test_distinct_experts_are_those_of_a_plain_loop() -> None:
    choices = _even_choices(WIDE, 5, 4)
    counts = [
        len({int(e) for question in range(5) for e in choices[question, layer, step]})
        for layer in range(2)
        for step in range(4)
    ]
    assert count_distinct(choices, 16) == pytest.approx(sum(counts) / len(counts))


def test_choices_are_those_of_prefill_and_decode() -> None:
    """The pass over prompt and answer chooses as the steps did, and each question's choices stay its own."""
    engine = OwnEngine(with_random_weights(MOE), Letters())
    prompts = ask(torch.randint(1, 64, (3, 7), generator=torch.Generator().manual_seed(2)).tolist())
    choices = record_choices(engine, prompts, 5, batch_size=2)
    seen = []
    handles = [
        router.register_forward_hook(lambda _module, _inputs, routing: seen.append(routing.experts_Nk))
        for router in engine.model.routers()
    ]
    for place, prompt in enumerate(prompts):
        state = engine.prefill([prompt.ids], 5)
        num_layers = len(seen)
        seen.clear()
        engine.decode(state, 5)
        steps = torch.stack([torch.stack(seen[s : s + num_layers]) for s in range(0, len(seen), num_layers)])
        own = choices.decode_QLSk[place].permute(1, 0, 2)  # (S, L, k), as the steps came
        assert torch.equal(own.sort(-1).values, steps[:, :, 0].sort(-1).values)
        seen.clear()
    for handle in handles:
        handle.remove()
    assert choices.num_tokens == 3 * (7 + 4)
    assert choices.load_LE.sum(1).tolist() == [3 * 11 * MOE.top_k] * 2


def test_a_token_uses_the_active_parameters() -> None:
    engine = OwnEngine(with_random_weights(MOE), Letters())
    choices = record_choices(engine, ask([[1, 2, 3], [4, 5, 6]]), 4, batch_size=2)
    routing = describe_routing("k", choices, MOE)
    params = count_params(MOE)
    assert routing.active_params_per_token == params.active
    assert routing.total_params == params.total
    assert all(sum(row) == pytest.approx(1) for row in routing.load)
    assert 0 < routing.mean_entropy <= 1


def test_a_mixed_batch_has_all_kinds_in_turn() -> None:
    low = Choices(torch.zeros(2, 16), 1, torch.zeros(6, 2, 4, 1, dtype=torch.int64))
    high = Choices(torch.zeros(2, 16), 1, torch.full((4, 2, 3, 1), 9))
    mixed = mix_kinds({"low": low, "high": high}, seed=0)
    assert mixed.shape == (8, 2, 3, 1)
    assert mixed[:, 0, 0, 0].tolist() == [0, 9] * 4
    one = dataclasses.replace(WIDE, top_k=1)
    assert [c.measured for c in measure_coverage("mixed", mixed, one)] == [1, 2, 2, 2]


def test_answers_of_one_token_have_no_decode_step_to_count() -> None:
    assert measure_coverage("k", torch.zeros(4, 2, 0, 3, dtype=torch.int64), WIDE) == []


def test_a_kind_of_one_token_is_no_part_of_a_mixed_batch_and_hides_none() -> None:
    steps = _even_choices(WIDE, 8, 5)
    load = torch.ones(2, WIDE.num_experts)
    two = {name: Choices(load, 1, steps) for name in ("a", "b")}
    letter = Choices(load, 1, steps[:, :, :0])
    mixed = measure_mixed({**two, "letter": letter}, WIDE, 0)
    assert mixed == measure_mixed(two, WIDE, 0)
    assert [c.batch_size for c in mixed] == [1, 2, 4, 8, 16]
    assert measure_mixed({"a": two["a"], "letter": letter}, WIDE, 0) == []
