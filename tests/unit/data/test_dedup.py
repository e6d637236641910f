"""Near-duplicates against a slow, obvious comparison of all pairs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from harness.data import dedup
from harness.data.dedup import compare_described, describe_text, find_near_duplicates


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


def test_only_texts_of_proposed_pairs_are_read_again() -> None:
    """Of a hundred texts two share a band; a third one does too, but is ten times as long."""
    rng = random.Random(1)
    texts = [" ".join(f"w{rng.randrange(5000)}" for _ in range(200)) for _ in range(100)]
    texts[70] = texts[20] + " end"
    texts[90] = " ".join([texts[30], *(f"v{number}" for number in range(2000))])
    described = [describe_text(text) for text in texts]
    keys, counts = np.array([keys for keys, _ in described]), np.array([count for _, count in described])
    keys[90] = keys[30]
    read: list[int] = []
    removed = compare_described(keys, counts, lambda index: read.append(index) or texts[index], 0.8)
    assert removed == {70} == find_near_duplicates(texts, 0.8)
    assert sorted(read) == [20, 70]


def test_a_long_text_is_described_like_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words come one by one from a text above the limit of a list; the result is the same."""
    text = " ".join(f"word{number % 97}, and" for number in range(1000))
    keys, count = describe_text(text)
    monkeypatch.setattr(dedup, "_LONG", 10)
    again, same_count = describe_text(text)
    np.testing.assert_array_equal(again, keys)
    assert same_count == count
