"""Line completion on held-out source files: the context and the start of a line are given, the rest is asked for.

An example is a cut inside a line at a word or punctuation boundary; the answer is what stands between the cut and the
end of that line. The prompt is the last `context_length` tokens before the cut, so all prompts are equally long.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Iterator

from harness.core.errors import ConfigError
from harness.core.task_config import TaskConfig

TASK_NAME = "line_completion"
TASK_VERSION = 1
MIN_ANSWER_CHARS = 2
MAX_ANSWER_CHARS = 24
# More text than the tokens of a context ever need: what is cut off there is never seen.
CHARS_PER_TOKEN = 12
_EXAMPLES_PER_FILE = 8
_PIECE = re.compile(r"\s?\w+|\s?[^\s\w]+")


def require_task_version(task: TaskConfig) -> None:
    """Check that this is the version of the task that the configuration asks for.

    Raises:
        ConfigError: it is another.
    """
    if task.answer and task.version != TASK_VERSION:
        raise ConfigError(f"task.version is {task.version}; this isojoule has {TASK_NAME} {TASK_VERSION}.")


def choose_cuts(documents: Iterable[tuple[str, str]], min_chars: int) -> Iterator[tuple[str, int, str]]:
    """Yield (text of a file, where it is cut, rest of the line), at least `min_chars` characters before the cut."""
    ordered = sorted(documents)
    random.Random(TASK_VERSION).shuffle(ordered)
    for path, text in ordered:
        rng = random.Random(f"{TASK_VERSION}:{path}")
        cuts = [cut for cut in _cuts(text) if cut[0] >= min_chars]
        for cut, answer in rng.sample(cuts, min(_EXAMPLES_PER_FILE, len(cuts))):
            yield text, cut, answer


def _cuts(text: str) -> list[tuple[int, str]]:
    """Return (offset, rest of the line) for every allowed cut of `text`."""
    found = []
    start = 0
    for line in text.split("\n"):
        stripped = line.rstrip()
        for piece in list(_PIECE.finditer(stripped))[1:]:
            answer = stripped[piece.start() :]
            if len(answer.strip()) >= MIN_ANSWER_CHARS and len(answer) <= MAX_ANSWER_CHARS:
                found.append((start + piece.start(), answer))
        start += len(line) + 1
    return found


def binomial_stderr(num_correct: int, num_samples: int) -> float:
    """Return the standard error of a share, with the Agresti-Coull correction so that 0 of n is not certain."""
    share = (num_correct + 2) / (num_samples + 4)
    return math.sqrt(share * (1 - share) / (num_samples + 4))
