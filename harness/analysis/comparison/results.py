"""What a comparison of studies says (types only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.analysis.comparison.load import JudgedStore
from harness.analysis.results import Interval, Multiplier
from harness.analysis.stats import Estimate
from harness.core.readings import Grade

Group = Literal["training", "task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One study of the comparison under a letter; `facts` maps a key to its distinct values, none where unknown.

    `seeds` are those of finished runs; `num_missing` counts planned runs without a record, ``None`` without a plan.
    """

    letter: str
    name: str
    judged: JudgedStore
    facts: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    num_finished: int
    num_failed: int
    num_missing: int | None

    @property
    def label(self) -> str:
        """Letter and name, as tables head their columns."""
        return f"{self.letter}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRatio:
    """One ratio of one study as that study gives it: a multiplier at its matched loss, or candidate over baseline."""

    letter: str
    group: Group
    code: str
    loss: float | None
    estimate: float | None
    interval: Interval | None
    n: int
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]
    lower_bound: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """Whether one quantity of two studies may be held against each other, and whether it may be pooled.

    `against_comparing` and `against_pooling` list why not; what may not be compared may not be pooled either.
    """

    letters: tuple[str, str]
    code: str
    title: str
    against_comparing: tuple[str, ...]
    against_pooling: tuple[str, ...]
    note: str = ""

    @property
    def may_compare(self) -> bool:
        """Whether the quantity means the same in both studies."""
        return not self.against_comparing

    @property
    def may_pool(self) -> bool:
        """Whether both studies may be read as one for this quantity."""
        return self.may_compare and not self.against_pooling


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far one ratio of two studies lies apart: that of the second over that of the first, both read off at `loss`.

    `first` and `second` are the studies' own ratios there. `ratio` has no value where `reason` stands.
    """

    letters: tuple[str, str]
    group: Group
    code: str
    loss: float | None
    first: float | None
    second: float | None
    ratio: Estimate
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """A counted multiplier over the runs of both studies, or the `reason` why there is none."""

    letters: tuple[str, str]
    code: str
    multiplier: Multiplier | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting that differs: its values by letter, for the arms named; ``None`` where a study does not record it."""

    name: str
    arms: tuple[str, ...]
    values: dict[str, tuple[str, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyComparison:
    """Two or more studies side by side."""

    sides: tuple[Side, ...]
    ratios: tuple[SideRatio, ...]
    pooling: tuple[Pooling, ...]
    differences: tuple[Difference, ...]
    pooled: tuple[Pooled, ...]
    settings: tuple[Setting, ...]
