"""Where whole lines leave out what a question needs, a line is cut instead; only then is the question refused."""

from __future__ import annotations

import pytest

from harness.core.errors import DataError
from harness.tasks.questions import Question
from harness.tasks.suite import cut_prompt


def _question(prompt: str, needed_chars: int) -> Question:
    return Question("identifier_recall", 0, prompt, "name", needed_chars=needed_chars)


def test_a_long_line_that_holds_what_is_needed_is_cut_in_its_middle() -> None:
    prompt = "x" * 50 + " name = 1\nuse "
    assert cut_prompt(_question(prompt, 4), 20) == "use "
    assert cut_prompt(_question(prompt, 14), 20) == prompt[-20:]
    with pytest.raises(DataError, match="does not fit into 20 bytes"):
        cut_prompt(_question(prompt, 21), 20)
