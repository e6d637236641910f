"""What counts as a right answer, scoring by scoring."""

from __future__ import annotations

import pytest

from harness.tasks.questions import Question, cut_answer, estimate_chance, is_correct


def _question(answer: str, scoring: str = "exact", **fields: object) -> Question:
    return Question(kind="k", index=0, prompt="p", answer=answer, scoring=scoring, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scoring", "answer", "right", "wrong"),
    [
        ("exact", "1 3", [" 1 3", "1 3 \nmore", "1 3"], ["1 3 2", "13", "", "x\n1 3"]),
        ("verbatim", " x", [" x", " x \n"], ["x", "  x"]),
        ("word", "name", [" name)\n", "name", "name.other", "\tname = 1"], ["names", "(name", "_name", ""]),
        ("regex", r"\d+", ["12", " 12 \n"], ["12 a", ""]),
    ],
)
def test_what_each_scoring_takes_for_right(scoring: str, answer: str, right: list[str], wrong: list[str]) -> None:
    question = _question(answer, scoring)
    assert [text for text in right if not is_correct(question, text)] == []
    assert [text for text in wrong if is_correct(question, text)] == []


def test_a_choice_is_compared_without_spaces_at_its_ends() -> None:
    question = _question(" B", "choice", choices=("A", " B"))
    assert is_correct(question, "B\n")
    assert not is_correct(question, "A\n")


def test_an_answer_ends_at_the_stop_or_not_at_all() -> None:
    assert cut_answer(_question("a", stop=";"), " a\nb ; c") == "a\nb"
    assert cut_answer(_question("a", stop=""), " a\nb ; c") == "a\nb ; c"


def test_chance_is_the_commonest_answer_or_a_random_choice() -> None:
    assert estimate_chance([_question("a"), _question("a"), _question("b"), _question("c")]) == 0.5
    choices = [_question(answer, "choice", choices=("a", "b", "c", "d")) for answer in "abcd"]
    assert estimate_chance(choices) == 0.25
    assert estimate_chance([_question("a", "regex")]) is None
    assert estimate_chance([]) is None
