"""What is asked, and whether an answer is right: text only, so that any engine, library or server can be asked."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Scoring = Literal["exact", "regex", "choice", "word", "verbatim"]
STOP = "\n"
_FIRST_WORD = re.compile(r"\s*(\w+)")


@dataclass(frozen=True, slots=True)
class Question:
    """One held-out example of a kind.

    `prompt` holds at least as much text as any engine takes of its end. The answer that is judged is the text up to the
    first `stop`, spaces at its ends left out. With ``exact`` it must be `answer`, with ``regex`` match it as a whole,
    with ``choice`` be one of `choices`, and `answer` is the right one. With ``word`` its first word (letters, digits,
    underscores) must be `answer`, whatever follows; with ``verbatim`` spaces at its start count. `choices` of another
    scoring are answers that a guess would be drawn from (the values of a line of pairs). Without the last
    `needed_chars` characters of the prompt nobody can answer, so they are never cut away.
    """

    kind: str
    index: int
    prompt: str
    answer: str
    scoring: Scoring = "exact"
    choices: tuple[str, ...] = ()
    stop: str = STOP
    needed_chars: int = 0

    @property
    def prompt_sha256(self) -> str:
        """Return the hash that names the prompt in a file of answers."""
        return hashlib.sha256(self.prompt.encode(errors="surrogateescape")).hexdigest()


def cut_answer(question: Question, text: str) -> str:
    """Return what is judged of `text`: up to the first stop, without the spaces that its scoring leaves out."""
    before = text.split(question.stop, 1)[0] if question.stop else text
    if question.scoring == "verbatim":
        return before.rstrip()
    if question.scoring == "word":
        word = _FIRST_WORD.match(before)
        return word.group(1) if word else ""
    return before.strip()


def is_correct(question: Question, text: str) -> bool:
    """Return whether the generated `text` answers `question`."""
    given = cut_answer(question, text)
    if question.scoring == "regex":
        return re.fullmatch(question.answer, given) is not None
    return given == (question.answer if question.scoring == "verbatim" else question.answer.strip())


def estimate_chance(questions: Sequence[Question]) -> float | None:
    """Return the share that a blind answerer gets right: the commonest answer to all, or one of the choices at random.

    ``None`` where the answers are regular expressions, which have no commonest text.
    """
    if not questions or any(question.scoring == "regex" for question in questions):
        return None
    commonest = Counter(question.answer for question in questions).most_common(1)[0][1] / len(questions)
    shares = [1 / len(question.choices) for question in questions if question.choices]
    return max(commonest, math.fsum(shares) / len(questions))
