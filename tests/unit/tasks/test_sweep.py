"""The sweep: every combination as often as asked, shuffled by the seed, on enough different prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from harness.core.errors import ConfigError
from harness.core.task_config import RegimeConfig
from harness.data.tokenizer import ByteTokenizer
from harness.tasks.sweep import build_sweep_prompts, list_regimes, sweep_regimes
from tests.unit.tasks.letters import Account, Echo, ask

REGIMES = RegimeConfig(
    batch_sizes=[1, 2, 4], context_lengths=[2, 3], answer_lengths=[1, 3], repetitions=3, min_window_s=1e-9
)
PROMPTS = {length: ask([[n] * length for n in range(4)]) for length in (2, 3)}
TEXT = "\n".join(f"def function_{i}(value, other):\n    return value + other * {i}\n" for i in range(40))


def _sweep(seed: int, **changes: object) -> Account:
    account = Account()
    regimes = RegimeConfig(**{**vars(REGIMES), **changes})  # type: ignore[arg-type]
    sweep_regimes(Echo(), PROMPTS, regimes, account.open, seed=seed, on_regime=lambda *_: None)
    return account


def test_every_combination_is_measured_as_often_as_asked() -> None:
    counts = Counter((phase, regime, repetition) for phase, repetition, regime, _ in _sweep(0).works)
    assert set(counts.values()) == {1}
    phases = Counter(phase for phase, *_ in counts)
    assert phases == {"prefill": 36, "generate": 36, "decode": 18}  # an answer of one token takes no decode step


def test_order_is_shuffled_by_the_seed_inside_each_repetition() -> None:
    def order(seed: int) -> list[object]:
        return [regime for phase, _, regime, _ in _sweep(seed).works if phase == "prefill"]

    listed = list_regimes(REGIMES)
    assert order(1) == order(1) != order(2)
    for start in range(0, 36, 12):
        block = order(1)[start : start + 12]
        assert block != listed
        assert sorted(map(repr, block)) == sorted(map(repr, listed))


def test_work_of_prefill_and_decode_adds_up_to_that_of_generate() -> None:
    for free in (False, True):
        works = {
            (phase, regime): work
            for phase, repetition, regime, work in _sweep(0, free_answers=free).works
            if repetition == 0 and regime is not None
        }
        for regime in list_regimes(RegimeConfig(**{**vars(REGIMES), "free_answers": free})):
            parts = [works[phase, regime] for phase in ("prefill", "decode") if (phase, regime) in works]
            whole = works["generate", regime]
            for name in ("flops", "num_bytes", "num_steps", "num_input_tokens", "num_output_tokens"):
                expected = sum(getattr(part, name) / part.num_tasks for part in parts)
                assert getattr(whole, name) / whole.num_tasks == pytest.approx(expected), name


def test_free_answers_and_whole_windows_are_there_where_they_are_asked() -> None:
    lengths = Counter(regime.answer_length for _, _, regime, _ in _sweep(0, free_answers=True).works)
    assert lengths["free"] == lengths["fixed"]
    assert "generate" not in {phase for phase, *_ in _sweep(0, whole_window=False).works}


def test_a_batch_holds_different_prompts_and_a_repetition_draws_anew() -> None:
    engine = Echo()
    seen: list[tuple[int, ...]] = []
    prefill = engine.prefill
    engine.prefill = lambda prompts, n: seen.append(tuple(ids[-1] for ids in prompts)) or prefill(prompts, n)
    regimes = RegimeConfig(batch_sizes=[2], context_lengths=[2], answer_lengths=[3], repetitions=6, min_window_s=1e-9)
    sweep_regimes(engine, PROMPTS, regimes, Account().open, seed=0, on_regime=lambda *_: None)
    assert all(len(set(batch)) == 2 for batch in seen)
    assert len(set(seen)) > 1


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_regime_that_memory_does_not_hold_is_left_out_once_and_the_others_go_on(phase: str) -> None:
    engine, account = Echo(), Account()
    given, tries = getattr(engine, phase), []

    def end_memory(first: Sequence[Any], *rest: Any) -> Any:
        if len(first) == 4:
            tries.append(first)
            raise torch.OutOfMemoryError
        return given(first, *rest)

    setattr(engine, phase, end_memory)
    left_out = sweep_regimes(engine, PROMPTS, REGIMES, account.open, seed=0, on_regime=lambda *_: None)
    assert sorted(map(repr, left_out)) == sorted(repr(r) for r in list_regimes(REGIMES) if r.batch_size == 4)
    assert len(tries) == len(left_out)
    whole = Counter(regime.batch_size for each, _, regime, _ in account.works if each == "generate" and regime)
    assert whole == {1: 12, 2: 12}


def test_prompts_are_held_out_lines_of_exactly_the_context_length() -> None:
    regimes = RegimeConfig(batch_sizes=[1, 8], context_lengths=[16, 64], answer_lengths=[4])
    prompts = build_sweep_prompts(regimes, [("a.py", TEXT)], ByteTokenizer().encode)
    assert {length: {len(prompt.ids) for prompt in own} for length, own in prompts.items()} == {16: {16}, 64: {64}}
    assert all(len({prompt.ids for prompt in own}) == 8 for own in prompts.values())
    for prompt in prompts[64]:
        assert bytes(prompt.ids).decode() + prompt.question.answer + "\n" in TEXT


def test_a_batch_that_the_text_cannot_fill_names_the_setting() -> None:
    regimes = RegimeConfig(batch_sizes=[64], context_lengths=[16], answer_lengths=[4])
    with pytest.raises(ConfigError, match=r"task\.regimes\.batch_sizes asks for 64 different prompts of 16 tokens"):
        build_sweep_prompts(regimes, [("a.py", TEXT)], ByteTokenizer().encode)
    assert build_sweep_prompts(RegimeConfig(), [], ByteTokenizer().encode) == {}
