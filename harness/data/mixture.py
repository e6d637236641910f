"""Exercises mixed into the training text: documents of one kind each, up to an asked share of the bytes."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.data.exercises.catalog import Exercises, build_exercises, draw_for_training

# Several exercises stand one after the other, as before a question that is asked.
_DOCUMENT_BYTES = 2_000


def validate_mixture(config: DataConfig) -> None:
    """Check the share and the kinds of exercises.

    Raises:
        ConfigError: a kind that is not generated, another version, or an unknown option.
        DataError: a share without kinds, kinds without a share, or a share that leaves no room for source text.
    """
    if config.kinds and not 0 < config.kinds_share < 1:
        raise DataError(f"data.kinds_share is {config.kinds_share}; with data.kinds give more than 0 and less than 1.")
    if config.kinds_share and not config.kinds:
        raise DataError(
            f"data.kinds_share is {config.kinds_share} without data.kinds; use data=python_and_tasks, or give 0."
        )
    _build_kinds(config)


def iterate_exercise_documents(config: DataConfig, source_bytes: int) -> Iterator[tuple[str, str]]:
    """Yield documents (name, text) of exercises that are never asked, none without `config.kinds`.

    With the `source_bytes` of the training text, separators included, they make up `config.kinds_share` of all bytes,
    each kind as much as the others, to within one exercise a kind.

    Raises:
        ConfigError, DataError: as `validate_mixture`, or options that leave nothing to train on.
    """
    number = 0
    for name, exercises in _build_kinds(config).items():
        kind = config.kinds[name].name
        wanted = source_bytes * config.kinds_share / (1 - config.kinds_share) / len(config.kinds)
        rng = random.Random(f"training:{name}:{kind}:{exercises.version}")
        written = 0
        while written < wanted:
            text = _write_document(exercises, rng, min(_DOCUMENT_BYTES, wanted - written), f"data.kinds.{name}")
            yield f"exercises/{name}/{number:07d}", text
            number += 1
            written += len(text.encode()) + 1


def mix_hash(source_sha256: str, documents: Iterable[tuple[str, str]], config: DataConfig) -> str:
    """Return the hash of source text and exercises together: their text, versions, options and share."""
    kinds = {
        name: [config.kinds[name].name, exercises.version, config.kinds[name].options]
        for name, exercises in _build_kinds(config).items()
    }
    head = json.dumps([source_sha256, kinds, config.kinds_share], sort_keys=True)
    digest = hashlib.sha256(head.encode())
    for name, text in documents:
        digest.update(f"\0{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()


def _build_kinds(config: DataConfig) -> dict[str, Exercises]:
    return {name: build_exercises(kind, f"data.kinds.{name}") for name, kind in sorted(config.kinds.items())}


def _write_document(exercises: Exercises, rng: random.Random, num_bytes: float, where: str) -> str:
    lines: list[str] = []
    length = 0
    while length < num_bytes:
        lines.append(draw_for_training(exercises, rng, where).line)
        length += len(lines[-1])
    return "".join(lines)
