"""What a claim asks, and the verdict on it (types only; the arithmetic is in `harness.analysis.claims`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.analysis.results import Interval
from harness.core.readings import Grade
from harness.core.strict_config import STRICT

ClaimMetric = Literal[
    "training_flops",
    "training_tokens",
    "training_seconds",
    "training_energy",
    "training_net_energy",
    "peak_memory",
    "flops_per_task",
    "seconds_per_task",
    "energy_per_task",
    "net_energy_per_task",
    "energy_per_correct",
    "energy_per_token",
    "energy_per_byte",
]
Comparator = Literal["<=", "<", ">=", ">"]
Tag = Literal["P", "S", "D"]
VerdictWord = Literal["supported", "not supported at the tested scale", "inconclusive", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectors:
    """Which studies a claim speaks about; ``any`` asks for nothing.

    `matched_by` is what makes the two families equal. `baseline` and `candidate` are ``dense``, ``sparse`` (told from
    the parameters of the runs) or the name of an arm. `boundary` lists the domains that the energy must cover.
    """

    __pydantic_config__ = STRICT
    matched_by: Literal["any", "loss", "accuracy"] = "any"
    baseline: str = "any"
    candidate: str = "any"
    boundary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSpec:
    """One testable claim as data: ``candidate / baseline <comparator> factor`` for the row that `metric` names.

    `tolerance` is relative and widens the claim in its own favour. `min_n` seeds are needed for a directional verdict.
    `tag` says where the statement is from: P primary, S secondary, D derived.
    """

    __pydantic_config__ = STRICT
    id: str
    statement: str
    source: str
    metric: ClaimMetric
    factor: float
    kind: Literal["counted", "measured", "energy"]
    comparator: Comparator = "<="
    tolerance: float = 0.0
    min_n: int = 3
    tag: Tag = "S"
    selectors: Selectors = field(default_factory=Selectors)

    @property
    def limit(self) -> float:
        """The ratio at which the claim turns: the factor, moved by the tolerance in the claim's favour."""
        widened = 1 + self.tolerance if self.comparator in ("<=", "<") else 1 - self.tolerance
        return self.factor * widened


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimVerdict:
    """The judgement of one claim; `estimate` and `interval` are candidate over baseline.

    For a *not measured* energy claim `modelled_estimate` and `modelled_interval` may stand beside it: a ratio of
    modelled energies, never a verdict. `multiplier` is 1 / estimate for reading convenience. `matched_loss` is ``None``
    where the claim compares at equal accuracy.
    """

    claim: ClaimSpec
    verdict: VerdictWord
    text: str
    estimate: float | None
    interval: Interval | None
    multiplier: float | None
    multiplier_interval: Interval | None
    n: int
    grade: Grade | None
    matched_loss: float | None
    run_ids: tuple[str, ...]
    blocking: tuple[str, ...]
    modelled_estimate: float | None = None
    modelled_interval: Interval | None = None
    upper_bound: float | None = None
