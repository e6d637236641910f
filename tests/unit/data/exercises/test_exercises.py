"""Generated kinds: right answers, both sides of the split, and options that give too little."""

from __future__ import annotations

import random
import re

import pytest

from harness.core.errors import ConfigError, DataError
from harness.core.task_config import KindConfig
from harness.data.exercises import EXERCISES, build_exercises, is_held_out
from harness.data.exercises.catalog import draw_for_training, draw_held_out
from harness.data.exercises.exercise import HELD_OUT_SHARE, Exercise

CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


def _draw(name: str, number: int = 300, **options: object) -> list[Exercise]:
    exercises = build_exercises(KindConfig(name=name, options=options), "k")
    rng = random.Random(1)
    return [exercises.draw(rng) for _ in range(number)]


@pytest.mark.parametrize("options", [{}, {"num_operands": 4, "max_operand": 120, "operators": "+-"}])
def test_a_sum_is_what_python_says(options: dict) -> None:
    drawn = _draw("arithmetic", **options)
    for exercise in drawn:
        written = exercise.question.removeprefix("calc ").removesuffix(" =").replace(" ", "")
        terms = re.findall(r"[+-]?\d+", written)
        assert "".join(terms) == written
        assert sum(map(int, terms)) == int(exercise.answer.replace(" ", ""))
    assert any("-" in exercise.answer for exercise in drawn) == ("operators" in options)


def test_a_value_is_the_one_beside_its_key() -> None:
    for exercise in _draw("key_value_recall", num_pairs=6, num_values=3, num_lookups=3):
        shown, _, looked_up = exercise.question.removeprefix("recall ").partition(" : ")
        table = dict(zip(shown.split(" ")[::2], shown.split(" ")[1::2], strict=True))
        assert len(table) == 6
        *earlier, asked = looked_up.split(" ")
        assert [table[key] for key in earlier[::2]] == earlier[1::2]
        assert len(earlier) == 4
        assert exercise.answer == table[asked]
        assert set(exercise.choices) == set(table.values()) <= set("ABC")


def test_a_list_is_sorted_by_value() -> None:
    for exercise in _draw("sorting", length=5, max_value=20):
        numbers = [int(number) for number in exercise.question.removeprefix("sort ").removesuffix(" =").split(" ")]
        assert len(numbers) == 5
        assert exercise.answer == " ".join(map(str, sorted(numbers)))


@pytest.mark.parametrize(
    "options", [{}, {"length": 1}, {"length": 4, "max_depth": 1}, {"length": 12, "max_depth": 5, "num_types": 4}]
)
def test_the_answer_closes_what_is_open_and_never_too_deep(options: dict) -> None:
    for exercise in _draw("bracket_matching", **options):
        is_open: list[str] = []
        for sign in f"{exercise.question.removeprefix('close ').removesuffix(' =')} {exercise.answer}".split(" "):
            if sign in CLOSING:
                is_open.append(CLOSING[sign])
                assert len(is_open) <= options.get("max_depth", 4)
            else:
                assert is_open.pop() == sign
        assert is_open == []
        assert exercise.answer


@pytest.mark.parametrize("name", list(EXERCISES))
def test_the_same_seed_draws_the_same_and_signs_stand_apart(name: str) -> None:
    drawn = _draw(name)
    assert drawn == _draw(name)
    assert len({exercise.line for exercise in drawn}) > 200
    for exercise in drawn:
        assert exercise.line.count("\n") == 1
        words = exercise.line.split()[1:]
        assert max(map(len, words)) == 1


@pytest.mark.parametrize("name", list(EXERCISES))
def test_asked_exercises_and_trained_ones_are_apart_whatever_the_options(name: str) -> None:
    """The side is decided by the line alone: training with other options and seeds never meets an asked exercise."""
    exercises = build_exercises(KindConfig(name=name), "k")
    asked = {exercise.line for exercise in draw_held_out(exercises, random.Random(3), 100, "k")}
    assert len(asked) == 100
    trained = {draw_for_training(exercises, random.Random(seed), "k").line for seed in range(3000)}
    assert not asked & trained
    share = sum(map(is_held_out, _draw(name, 3000))) / 3000
    assert share == pytest.approx(HELD_OUT_SHARE, abs=0.03)


def test_too_small_a_space_is_said() -> None:
    """Sums of two numbers up to 3 are 16 exercises; 64 questions cannot be asked."""
    exercises = build_exercises(KindConfig(name="arithmetic", options={"max_operand": 3}), "task.kinds.a")
    with pytest.raises(DataError, match=r"task\.kinds\.a has only \d+ different held-out.*64 are asked for; lower"):
        draw_held_out(exercises, random.Random(0), 64, "task.kinds.a")


def test_options_that_are_all_held_out_leave_nothing_to_train_on() -> None:
    class Only:
        version = 1

        def draw(self, rng: random.Random) -> Exercise:
            del rng
            return next(e for n in range(1000) if is_held_out(e := Exercise(f"q {n}", "a")))

    with pytest.raises(DataError, match="every exercise of these options is held out"):
        draw_for_training(Only(), random.Random(0), "data.kinds.a")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (KindConfig(name="sorting", version=2), r"k\.version is 2; this isojoule has sorting 1"),
        (KindConfig(name="sortin"), "Did you mean 'sorting'"),
        (KindConfig(name="sorting", options={"lenght": 3}), r"k\.options\.lenght is unknown.*Did you mean 'length'"),
        (KindConfig(name="key_value_recall", options={"num_pairs": 27}), "whole number from 2 to 26"),
    ],
)
def test_other_versions_names_and_options_are_refused(kind: KindConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_exercises(kind, "k")
