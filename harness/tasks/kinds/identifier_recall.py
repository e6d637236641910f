"""A name that was seen shortly before: held-out Python files, cut where the same name follows the same word again.

A cut stands right before the space in front of an identifier, behind a token of the same line that also stood directly
before an earlier use of that identifier (``in items`` ... ``in`` | `` items``). Tokenizers put a space at the start
of a token, so the cut is between two tokens of any of them. The earlier use is within the last `context_bytes` bytes
and, for an engine that takes tokens, its last `context_length` tokens. The answer is the identifier; the first word
that is said counts, whatever follows, so that it does not matter what a token holds beyond its end. Keywords, names of
built-ins, and names in comments or strings are not asked.
"""

from __future__ import annotations

import builtins
import io
import itertools
import keyword
import random
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.errors import ConfigError, DataError
from harness.core.options import build_options, whole_number
from harness.core.task_config import KindConfig
from harness.data.exercises.catalog import require_version
from harness.tasks.kinds.kind import Documents, Encode, Kind
from harness.tasks.line_completion import CHARS_PER_TOKEN
from harness.tasks.questions import Question

TASK_VERSION = 1
_QUESTIONS_PER_FILE = 16
_LEFT_OUT = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self"})
_SILENT = frozenset({tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierRecall:
    """Names have `min_name_chars` to `max_name_chars` letters, digits and underscores."""

    min_name_chars: int = whole_number(4, 2, 64)
    max_name_chars: int = whole_number(12, 2, 64)


@dataclass(frozen=True, slots=True)
class _Word:
    """A token of a file: its text and place, and whether it may be asked for (one space between it and the last)."""

    text: str
    start: int
    end: int
    is_name: bool


def check_kind(kind: KindConfig, where: str) -> None:
    """Check version and options, and that the longest name fits into an answer of bytes.

    Raises:
        ConfigError: what is wrong, and what would be right.
    """
    require_version(kind, TASK_VERSION, where)
    options = build_options(IdentifierRecall, kind.options, f"{where}.options")
    if options.min_name_chars > options.max_name_chars:
        raise ConfigError(f"{where}.options.min_name_chars is {options.min_name_chars}, above max_name_chars.")
    if kind.max_answer_tokens < options.max_name_chars + 2:
        raise ConfigError(
            f"{where}.max_answer_tokens is {kind.max_answer_tokens}; give {options.max_name_chars + 2} or more, so "
            "that the longest name is seen to its end where a token is a byte, or lower options.max_name_chars."
        )


def build_questions(
    name: str,
    kind: KindConfig,
    where: str,
    documents: Documents,
    encode: Encode | None,
) -> list[Question]:
    """Return `kind.num_examples` questions, from all files in turn; with `encode` those that its tokens can show.

    Raises:
        ConfigError: another version, an unknown option, or answers that are cut short.
        DataError: the held-out files do not give as many.
    """
    check_kind(kind, where)
    options = build_options(IdentifierRecall, kind.options, f"{where}.options")
    num_chars = max(CHARS_PER_TOKEN * kind.context_length, kind.context_bytes)
    questions: list[Question] = []
    for text, cut, answer, needed in _choose_places(documents, options, kind.context_bytes):
        prompt = text[max(0, cut - num_chars) : cut]
        if encode is not None and kind.context_length and not _fits(encode, prompt, needed, kind.context_length):
            continue
        index = len(questions)
        questions.append(
            Question(kind=name, index=index, prompt=prompt, answer=answer, scoring="word", needed_chars=needed)
        )
        if len(questions) == kind.num_examples:
            return questions
    raise DataError(
        f"the held-out files give {len(questions)} questions of {where}, {kind.num_examples} were asked for; lower "
        f"{where}.num_examples, {where}.context_bytes or {where}.context_length, or use more Python files."
    )


def _choose_places(
    documents: Documents, options: IdentifierRecall, context_bytes: int
) -> Iterator[tuple[str, int, str, int]]:
    """Yield (text of a file, cut, name, characters needed): one of each file, then a second one, and so on."""
    ordered = sorted(documents)
    random.Random(TASK_VERSION).shuffle(ordered)
    by_file = []
    for path, text in ordered:
        found = [place for place in _places(text, options, context_bytes) if place[0] >= context_bytes]
        rng = random.Random(f"{TASK_VERSION}:{path}")
        by_file.append([(text, *place) for place in rng.sample(found, min(_QUESTIONS_PER_FILE, len(found)))])
    for turn in itertools.zip_longest(*by_file):
        yield from (place for place in turn if place is not None)


def _fits(encode: Encode, prompt: str, needed_chars: int, context_length: int) -> bool:
    """Return whether the prompt fills the context, and the context holds the earlier use."""
    return len(encode(prompt)) >= context_length >= len(encode(prompt[-needed_chars:]))


def _places(text: str, options: IdentifierRecall, visible: int) -> Iterator[tuple[int, str, int]]:
    """Yield (cut, name, characters back to its earlier use with the token before it)."""
    seen: dict[tuple[str, str], int] = {}
    words = _words(text)
    for before, word in itertools.pairwise(words):
        key = before.text, word.text
        earlier = seen.get(key)
        seen[key] = before.start
        if (
            earlier is not None
            and word.is_name
            and word.start == before.end + 1
            and text[before.end] == " "
            and options.min_name_chars <= len(word.text) <= options.max_name_chars
            and len(text[earlier : before.end].encode()) <= visible
        ):
            yield before.end, word.text, before.end - earlier


def _words(text: str) -> list[_Word]:
    """Return the tokens of a Python file with their offsets in `text`; nothing where it cannot be read as Python."""
    line_starts = [0, *itertools.accumulate(len(line) + 1 for line in text.split("\n"))]
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    words = []
    for token in tokens:
        if token.type in _SILENT or not token.string:
            continue
        start, end = (line_starts[row - 1] + column for row, column in (token.start, token.end))
        is_name = token.type == tokenize.NAME and token.string not in _LEFT_OUT
        words.append(_Word(token.string, start, end, is_name and token.string.isascii() and token.string[0].isalpha()))
    return words


KIND = Kind(check_kind, build_questions)
