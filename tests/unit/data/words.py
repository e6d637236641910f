"""A small corpus of random words."""

from __future__ import annotations

import random
from pathlib import Path

from harness.core.config import DataConfig

WORDS = [f"word{i:03d}" for i in range(400)]


def random_text(seed: int, num_words: int = 400) -> str:
    """Return lines of eight words."""
    rng = random.Random(seed)
    return "\n".join(" ".join(rng.choices(WORDS, k=8)) for _ in range(num_words // 8)) + "\n"


def write_corpus(folder: Path, number: int = 80) -> DataConfig:
    """Write files of about 2.8 kB under `folder`/text and return their configuration."""
    for index in range(number):
        path = folder / "text" / f"{index % 4}" / f"{index:02d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(random_text(index))
    return DataConfig(
        corpus="text_files", globs=[f"{folder}/text/**/*.txt"], validation_fraction=0.2, test_fraction=0.2
    )
