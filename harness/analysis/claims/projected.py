"""What a fitted model says beyond the tested scale: grade D, apart from verdicts and from published arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.analysis.results import MatchResult

NO_PROJECTION = "no projection"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedRow:
    """One projected figure: what it is about, the sentence that tells it, and its numbers by name."""

    id: str
    text: str
    values: Mapping[str, float | str | None]
    grade: Literal["D"] = "D"


def projected_rows(match: MatchResult | None = None) -> tuple[tuple[ProjectedRow, ...], str | None]:
    """Return the rows that a model projects from `match`, or none and the reason; nothing is projected yet."""
    del match
    return (), NO_PROJECTION
