"""Figures of one run in one regime from what each repetition gave; an interval is made when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from harness.analysis.correct import explain_few_correct
from harness.analysis.distributions import normal_quantile
from harness.analysis.results import Interval
from harness.analysis.stats import LEVEL, Estimate, estimate_mean, floor_at_zero
from harness.core.records import QualityReading

Metric = Literal[
    "j_per_task",
    "net_j_per_task",
    "j_per_correct",
    "j_per_output_token",
    "j_per_token",
    "prefill_j_per_input_token",
    "decode_j_per_output_token",
    "flops_per_task",
    "s_per_task",
    "output_tokens_per_s",
    "ttft_s",
    "itl_s",
    "prefill_mfu",
    "decode_mfu",
    "prefill_mbu",
    "decode_mbu",
    "peak_memory_bytes",
]

METHOD = "t over repetitions"
CORRECT_METHOD = "log-delta: t over repetitions, binomial error of the accuracy"
ONE_REPETITION = "one repetition gives no interval"
NOT_JUDGED = "nothing is judged in a sweep"
PER_CORRECT: Metric = "j_per_correct"
# A figure of one repetition, or the reason why it has none.
Value = float | str


class RepeatedFigures(Mapping[Metric, Estimate]):
    """Estimates by the name of the figure: means over repetitions with their t interval.

    A page of thousands of runs asks for means alone: `value` gives one without its interval.
    """

    def __init__(self, samples: Mapping[Metric, Sequence[Value]], accuracy: QualityReading | str | None) -> None:
        self._samples = samples
        self._accuracy = accuracy
        self._made: dict[Metric, Estimate] = {}

    def value(self, name: Metric) -> float | None:
        """Return the value of the figure, ``None`` where it is unknown."""
        try:
            known = self._samples[name]
            return math.fsum(known) / len(known)  # type: ignore[arg-type]  # a reason, or no repetition, is met below
        except (KeyError, TypeError, ZeroDivisionError):
            return self[name].value

    def __getitem__(self, name: Metric) -> Estimate:
        """Return the figure with its interval, or the reason why it is unknown."""
        if name not in self._made:
            self._made[name] = (
                per_correct(self._samples["j_per_task"], self._accuracy)
                if name == PER_CORRECT
                else cut_off(name, over_repetitions(self._samples[name]))
            )
        return self._made[name]

    def __iter__(self) -> Iterator[Metric]:
        """Go through the names of the figures, joules per correct answer last."""
        yield from self._samples
        yield PER_CORRECT

    def __len__(self) -> int:
        """Return how many figures there are."""
        return len(self._samples) + 1

    def __repr__(self) -> str:
        """Show the figures as a dict would."""
        return repr(dict(self))


def per_correct(energies: Sequence[Value], accuracy: QualityReading | str | None) -> Estimate:
    """Return joules per correct answer; its interval joins the spread of the energy and the error of the accuracy."""
    if isinstance(accuracy, str):
        return unknown(accuracy)
    if accuracy is None or accuracy.value is None:
        return unknown("the accuracy is unknown")
    correct = round(accuracy.num_samples * accuracy.value)
    if (short := explain_few_correct(correct)) is not None:
        return unknown(short)
    energy = over_repetitions(energies)
    if energy.value is None:
        return energy
    value = energy.value / accuracy.value
    spread = [math.log(e) for e in energies if isinstance(e, float) and e > 0]
    if len(spread) < 2 or accuracy.stderr is None:
        return Estimate(value=value, interval=None, n=energy.n, reason=energy.reason or "no error of the accuracy")
    logs = estimate_mean(spread)
    assert logs.interval is not None  # noqa: S101  # two values give one
    normal = normal_quantile(0.5 + LEVEL / 2)
    half = math.hypot((logs.interval.high - logs.interval.low) / 2, normal * accuracy.stderr / accuracy.value)
    interval = Interval(low=value * math.exp(-half), high=value * math.exp(half), level=LEVEL, method=CORRECT_METHOD)
    return Estimate(value=value, interval=interval, n=energy.n)


def over_repetitions(values: Sequence[Value]) -> Estimate:
    """Return the mean of the known `values` and its t interval; a repetition without a value makes it unknown."""
    reasons = [value for value in values if isinstance(value, str)]
    if reasons or not values:
        return unknown(reasons[0] if reasons else "there is no repetition")
    known = [float(value) for value in values if not isinstance(value, str)]
    estimate = estimate_mean(known, method=METHOD)
    if estimate.n == 1:
        return Estimate(value=estimate.value, interval=None, n=1, reason=ONE_REPETITION)
    return estimate


def cut_off(name: Metric, estimate: Estimate) -> Estimate:
    """Return the estimate within what the figure can be: only net energy falls below zero, where idle power drifts."""
    return estimate if name == "net_j_per_task" else floor_at_zero(estimate)


def unknown(reason: str) -> Estimate:
    """Return an estimate that says only why there is none."""
    return Estimate(value=None, interval=None, n=0, reason=reason)
