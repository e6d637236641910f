"""Near-duplicates against a slow, obvious comparison of all pairs."""

from __future__ import annotations

import random

import pytest

from harness.data.dedup import find_near_duplicates


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def _slow(texts: list[str], similarity: float) -> set[int]:
    removed: set[int] = set()
    for index, text in enumerate(texts):
        mine = _shingles(text)
        for other in set(range(index)) - removed:
            theirs = _shingles(texts[other])
            if len(mine & theirs) >= similarity * len(mine | theirs):
                removed.add(index)
                break
    return removed


@pytest.mark.parametrize("similarity", [0.6, 0.8, 1.0])
def test_the_same_texts_go_as_by_comparing_all_pairs(similarity: float) -> None:
    """Copies of four texts with 0 to 60 of 300 words changed, shuffled together."""
    rng = random.Random(5)
    texts = []
    for _ in range(4):
        words = [f"w{rng.randrange(5000)}" for _ in range(300)]
        for num_changes in range(0, 64, 4):
            edited = list(words)
            for place in rng.sample(range(300), num_changes):
                edited[place] = f"new{rng.randrange(5000)}"
            texts.append(" ".join(edited))
    rng.shuffle(texts)
    removed = find_near_duplicates(texts, similarity)
    assert removed == _slow(texts, similarity)
    assert (len(removed) > 0) == (similarity < 1)


def test_the_first_stays() -> None:
    """Of copies the one that comes first is kept, and texts shorter than a shingle count as wholes."""
    assert find_near_duplicates(["a b c", "x", "a b c", "", "x"], 0.8) == {2, 4}
