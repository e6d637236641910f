"""How many correct answers an energy per correct answer needs, and the words for where there are too few."""

from __future__ import annotations

MIN_CORRECT = 30


def explain_few_correct(num_correct: int) -> str | None:
    """Return why there is no energy per correct answer, ``None`` where `num_correct` distinct answers are enough."""
    if num_correct >= MIN_CORRECT:
        return None
    return f"only {num_correct} correct answers, fewer than {MIN_CORRECT}"
