"""One routine for any engine: what windows count, who pays for them, what is right."""

from __future__ import annotations

import dataclasses
import math

import pytest

from harness.core.inference import Regime
from harness.tasks.answer import AnswerSettings, answer_questions, hash_questions, judge_answers
from harness.tasks.passes import split_batches
from tests.unit.tasks.letters import Account, Echo, ask

SETTINGS = AnswerSettings("letters", 2, 4, repetitions=2, min_window_s=0.0)
# The engine counts on from the last id: ids 33, 34, 35 are A, B, C.
PROMPTS = [[9, 32], [7, 8, 32], [9, 33], [9, 32], [1, 1, 40]]


def test_every_question_has_a_row_for_each_repetition_in_order() -> None:
    answers = answer_questions(Echo(), ask(PROMPTS, "ABCD"), SETTINGS, Account().open)
    assert [(row.repetition, row.index) for row in answers.results] == [(r, i) for r in range(2) for i in range(5)]
    assert [row.answer for row in answers.results[:5]] == ["ABCD", "ABCD", "BCDE", "ABCD", "IJKL"]
    assert [row.correct for row in answers.results[:5]] == [True, True, False, True, False]
    assert (answers.num_correct, answers.num_questions) == (3, 5)
    assert {row.num_output_tokens for row in answers.results} == {4}
    assert [row.num_input_tokens for row in answers.results[:5]] == [2, 3, 2, 2, 3]


def test_shares_of_a_pass_add_up_to_its_windows() -> None:
    account = Account()
    prompts = ask(PROMPTS)
    answers = answer_questions(Echo(), prompts, SETTINGS, account.open)
    for repetition in range(2):
        windows = [work for _, number, _, work in account.works if number == repetition]
        expected = sum(10.0 * len(prompts) / work.num_tasks for work in windows)
        rows = [row for row in answers.results if row.repetition == repetition]
        assert math.fsum(row.energy_j or 0.0 for row in rows) == pytest.approx(expected)
        assert math.fsum(row.seconds or 0.0 for row in rows) == pytest.approx(expected / 10)
        assert {(row.energy_grade, row.energy_share) for row in rows} == {("B", "equal")}


def test_unknown_energy_stays_unknown_in_every_row() -> None:
    answers = answer_questions(Echo(), ask(PROMPTS), SETTINGS, Account(energy_j=None).open)
    for row in answers.results:
        assert (row.energy_j, row.energy_grade, row.energy_share) == (None, None, None)
        assert row.reason
        assert row.seconds is not None


def test_a_window_counts_whole_passes_and_all_their_steps() -> None:
    account = Account()
    settings = dataclasses.replace(SETTINGS, min_window_s=0.02, repetitions=1)
    answer_questions(Echo(), ask(PROMPTS, "ABCD"), settings, account.open)
    (_, _, regime, prefill), (_, _, _, decode) = account.works
    assert regime == Regime(kind="letters", batch_size=2, num_input_tokens=None, num_output_tokens=4)
    for work in (prefill, decode):
        assert work.num_tasks % 5 == 0
        assert work.amount == work.num_tasks
    passes = prefill.num_tasks // 5
    assert passes > 1
    assert prefill.num_steps == 3 * passes  # batches: two of two tokens, one of them; two of three tokens
    assert prefill.num_input_tokens == passes * 12
    assert prefill.num_output_tokens == passes * 5  # the first token of each answer
    assert prefill.flops == 100 * passes * 12
    assert prefill.num_bytes == 10 * 3 * passes
    passes = decode.num_tasks // 5
    assert decode.num_steps == 3 * 3 * passes
    assert decode.num_output_tokens == passes * 5 * 3
    assert decode.flops == passes * 5 * 3
    assert decode.num_bytes == passes * 3 * 3 * 7
    assert decode.num_correct == passes * 3
    assert decode.bytes_source == "counted"


def test_free_answers_count_what_was_really_made() -> None:
    account = Account()
    prompts = [
        dataclasses.replace(prompt, question=dataclasses.replace(prompt.question, stop=stop))
        for prompt, stop in zip(ask(PROMPTS, "A"), "BZZCZ", strict=True)
    ]
    settings = dataclasses.replace(SETTINGS, free=True, repetitions=1)
    answers = answer_questions(Echo(), prompts, settings, account.open)
    free = [(phase, regime, work) for phase, _, regime, work in account.works if regime.answer_length == "free"]
    assert [phase for phase, _, _ in free] == ["prefill", "decode"]
    work = free[1][2]
    # batches of two: lengths (2, 4), (3,), and (4, 4): steps go on for the longest
    assert work.num_output_tokens == 1 + 3 + 2 + 3 + 3
    assert work.num_steps == 3 + 2 + 3
    assert work.flops == 2 * 3 + 1 * 2 + 2 * 3
    assert free[0][2].num_output_tokens == 5
    assert len(answers.results) == 5, "rows are those of fixed answers"
    assert [row.correct for row in answers.results] == [True, False, False, False, False]


def test_line_completion_on_its_own_keeps_its_windows_without_a_regime() -> None:
    account = Account()
    answer_questions(Echo(), ask(PROMPTS), AnswerSettings(None, 2, 4, min_window_s=0.0), account.open)
    assert [(phase, repetition, regime) for phase, repetition, regime, _ in account.works] == [
        ("prefill", 0, None),
        ("decode", 0, None),
    ]
    prefill, decode = (work for *_, work in account.works)
    assert (prefill.num_output_tokens, prefill.num_correct) == (0, None)
    assert (decode.num_output_tokens, decode.num_correct) == (15, None)


def test_an_answer_of_one_token_has_no_decode_window() -> None:
    account = Account()
    settings = dataclasses.replace(SETTINGS, num_new_tokens=1, free=True)
    answers = answer_questions(Echo(), ask(PROMPTS, "A"), settings, account.open)
    assert [(phase, regime.answer_length) for phase, _, regime, _ in account.works] == [
        ("prefill", "fixed"),
        ("prefill", "free"),
    ] * 2
    assert answers.num_correct == 3


def test_what_stands_behind_the_end_of_an_answer_is_not_judged() -> None:
    answers = answer_questions(Echo(), ask([[32]], "AB", stop="C"), SETTINGS, Account().open)
    assert answers.results[0].answer == "AB"
    assert answers.results[0].correct


def test_a_row_tells_the_bytes_that_were_paid_for_beside_those_that_were_judged() -> None:
    """Energy per byte of a fixed answer is over all of its text, wherever the model ended a line."""
    (row,) = answer_questions(Echo(), ask([[32]], "AB", stop="C"), SETTINGS, Account().open).results[:1]
    assert (row.answer_bytes, row.ended_bytes, row.made_bytes, row.num_output_tokens) == (2, 3, 4, 4)


def test_unequal_prompts_leave_small_batches_and_that_is_said() -> None:
    prompts = ask([[1] * length for length in range(1, 9)])
    settings = dataclasses.replace(SETTINGS, batch_size=8)
    (finding,) = answer_questions(Echo(), prompts, settings, Account().open).findings
    assert (finding.code, finding.value, finding.limit) == ("small_batches", 1.0, 8)
    padded = answer_questions(Echo(needs_equal_lengths=False), prompts, settings, Account().open)
    assert padded.findings == ()


def test_batches_are_full_where_lengths_allow() -> None:
    prompts = ask([[1, 2]] * 5 + [[1]] * 3)
    assert [len(batch) for batch in split_batches(prompts, 2, equal_lengths=True)] == [2, 1, 2, 2, 1]
    assert [len(batch) for batch in split_batches(prompts, 3, equal_lengths=False)] == [3, 3, 2]


def test_accuracy_has_a_standard_error_chance_and_names_its_questions() -> None:
    prompts = ask(PROMPTS, "ABCD")
    reading = judge_answers(
        answer_questions(Echo(), prompts, SETTINGS, Account().open), prompts, task="letters", task_version=3
    )
    assert (reading.value, reading.num_samples, reading.chance) == (0.6, 5, 1.0)
    assert reading.stderr is not None
    assert 0 < reading.stderr < 0.3
    assert (reading.task, reading.task_version) == ("letters", 3)
    questions = [prompt.question for prompt in prompts]
    assert reading.data_sha256 == hash_questions(questions)
    assert hash_questions(questions) != hash_questions([dataclasses.replace(questions[0], answer="B"), *questions[1:]])
