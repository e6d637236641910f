"""A budget for a whole study: seconds, joules or training FLOPs, after which it stops before the next run.

Spent is what the records of the study's runs say, over all times it was started: seconds of every run (its windows and
what lies between them; a failed run's from its start to its end) with the start of its process, joules of all
windows, every device once, and FLOPs of training, a trunk's once. Work that a killed process took with it, and energy
and FLOPs of failed runs, stand in no record and are not in it. Runs side by side count each in full.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.core.errors import ConfigError
from harness.core.readings import Grade, worst_grade
from harness.core.strict_config import STRICT
from harness.core.units import format_duration, format_si
from harness.run.estimate import Estimate
from harness.run.run_figures import RunFigures

LIMITS = ("seconds", "joules", "flops")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyBudget:
    """The most that a study may spend; ``None`` is no limit. No part of what the study promises: it may be raised."""

    __pydantic_config__ = STRICT
    seconds: float | None = None
    joules: float | None = None
    flops: float | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in LIMITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the records of a study add up to; `num_failed` failed runs are in the seconds alone.

    `joules` is the sum of what is known; `unknown_joules` are finished runs without it, and `grade` the worst of its
    parts. `num_untimed` failed runs are not in the seconds either.
    """

    seconds: float = 0.0
    joules: float | None = None
    flops: float = 0.0
    grade: Grade | None = None
    num_finished: int = 0
    num_failed: int = 0
    num_untimed: int = 0
    unknown_joules: tuple[str, ...] = ()
    energy_reason: str | None = None


def validate_budget(budget: StudyBudget) -> None:
    """Check that every limit is above zero.

    Raises:
        ConfigError: one is not.
    """
    for name in LIMITS:
        limit = getattr(budget, name)
        if limit is not None and not (limit > 0 and math.isfinite(limit)):
            raise ConfigError(f"sweep.budget.{name} is {limit:g}; give a number above 0, or null.")


def add_up(figures: Iterable[RunFigures], between_s: float | None) -> Spent:
    """Return what the runs of `figures` spent; `between_s` is what the start of each took beside its windows."""
    runs = list(figures)
    finished = [one for one in runs if one.status == "finished"]
    failed = [one for one in runs if one.status == "failed"]
    seconds = sum(one.seconds or 0.0 for one in runs) + (between_s or 0.0) * len(finished)
    known = [one.joules for one in finished if one.joules is not None]
    grades: list[Grade] = [one.grade for one in finished if one.grade is not None and one.joules is not None]
    unknown = [one for one in finished if one.joules is None]
    return Spent(
        seconds=seconds,
        joules=sum(known) if known or not finished else None,
        flops=sum(one.train_flops for one in finished),
        grade=worst_grade(*grades) if grades else None,
        num_finished=len(finished),
        num_failed=len(failed),
        num_untimed=sum(one.failed_s is None for one in failed),
        unknown_joules=tuple(one.run_id for one in unknown),
        energy_reason=unknown[0].energy_reason if unknown else None,
    )


def why_stop(budget: StudyBudget, spent: Spent, next_run: str, estimate: Estimate, train_flops: float) -> str | None:
    """Return why the study must stop before `next_run`, in words, or ``None`` where it fits or is not known not to."""
    if budget.joules is not None and spent.unknown_joules:
        return (
            f"sweep.budget.joules cannot be followed: the energy of {spent.unknown_joules[0]} is unknown "
            f"({spent.energy_reason})"
        )
    needs = {"seconds": estimate.seconds, "joules": estimate.joules, "flops": train_flops}
    for name in LIMITS:
        limit, used, more = getattr(budget, name), getattr(spent, name) or 0.0, needs[name]
        if limit is None:
            continue
        said = f"{format_limit(name, used)} of {format_limit(name, limit)} are spent"
        if used >= limit:
            return f"sweep.budget.{name} is used up: {said}"
        if more is not None and used + more > limit:
            about = "" if name == "flops" else "about "
            source = "" if name == "flops" else f" (estimated from {estimate.source})"
            return (
                f"sweep.budget.{name}: {said}, and the next run, {next_run}, needs {about}"
                f"{format_limit(name, more)}{source}, more than the {format_limit(name, limit - used)} left"
            )
    return None


def format_limit(name: str, value: float | None) -> str:
    """Return an amount of `name` (seconds, joules or flops) as people read it."""
    if name == "seconds":
        return format_duration(value)
    return format_si(value, "J" if name == "joules" else "FLOP")


def budget_to_json(budget: StudyBudget) -> dict[str, float | None]:
    """Return the limits as JSON."""
    return dataclasses.asdict(budget)
