"""Line completion as a kind of the suite: the questions of `harness.tasks.line_completion`, as text."""

from __future__ import annotations

from harness.core.errors import DataError
from harness.core.options import NoOptions, build_options
from harness.core.task_config import KindConfig
from harness.data.exercises.catalog import require_version
from harness.tasks.kinds.kind import Documents, Encode, Kind
from harness.tasks.line_completion import CHARS_PER_TOKEN, TASK_VERSION, choose_cuts
from harness.tasks.questions import Question


def check_kind(kind: KindConfig, where: str) -> None:
    """Check the version, and that there are no options.

    Raises:
        ConfigError: another version, or an option.
    """
    require_version(kind, TASK_VERSION, where)
    build_options(NoOptions, kind.options, f"{where}.options")


def build_questions(
    name: str,
    kind: KindConfig,
    where: str,
    documents: Documents,
    encode: Encode | None,
) -> list[Question]:
    """Return `kind.num_examples` questions; with `encode` those that are asked outside a suite, in the same order.

    Raises:
        ConfigError: another version, or an option.
        DataError: the held-out files do not give as many.
    """
    check_kind(kind, where)
    num_tokens = kind.context_length
    num_chars = max(CHARS_PER_TOKEN * num_tokens, kind.context_bytes)
    questions: list[Question] = []
    for text, cut, answer in choose_cuts(documents, 2 * num_tokens):
        if encode is not None and num_tokens:
            is_long = len(encode(text[max(0, cut - CHARS_PER_TOKEN * num_tokens) : cut])) >= num_tokens
        else:
            is_long = cut >= kind.context_bytes
        if is_long:
            prompt = text[max(0, cut - num_chars) : cut]
            questions.append(
                Question(kind=name, index=len(questions), prompt=prompt, answer=answer, scoring="verbatim")
            )
        if len(questions) == kind.num_examples:
            return questions
    length = "context_length" if encode is not None and num_tokens else "context_bytes"
    raise DataError(
        f"the held-out files give {len(questions)} questions of {where}, {kind.num_examples} were asked for; lower "
        f"{where}.num_examples or {where}.{length}, or use a larger corpus."
    )


KIND = Kind(check_kind, build_questions)
