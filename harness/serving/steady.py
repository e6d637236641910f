"""The stretch of a closed loop in which the load was full, as ML.ENERGY's benchmark takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.serving.load import LoadResult
from harness.serving.outcome import Outcome

MIN_STEADY_S = 10.0
MIN_SENSOR_PERIODS = 100
# Mean number of requests under way, of `concurrency`: less means that requests waited between tries.
MIN_FULLNESS = 0.95


@dataclass(frozen=True, slots=True)
class SteadyStretch:
    """Bounds on the monotonic clock, or ``None`` and `reason`."""

    begin_s: float | None
    end_s: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SteadyWork:
    """What a server did in a stretch: `num_finished` answers ended in it, tokens were put out in it."""

    num_finished: int
    num_output_tokens: float
    num_input_tokens: float | None


def find_steady(result: LoadResult, concurrency: int, sensor_period_s: float | None) -> SteadyStretch:
    """Return the stretch from the first token of the first `concurrency` requests until fewer than that remain.

    Refused, with a reason, where it is shorter than `MIN_STEADY_S` or `MIN_SENSOR_PERIODS` periods of the sensors, or
    where the load was not full in it after all.
    """
    outcomes = result.outcomes
    if len(outcomes) < 2 * concurrency:
        text = f"{len(outcomes)} requests are fewer than twice the concurrency of {concurrency}"
        return SteadyStretch(None, None, f"{text}: there is no full load between filling and draining")
    begin_s = max(_begin_of_output(outcome) for outcome in outcomes[:concurrency])
    ends = sorted(_end_of(outcome, result.end_s) for outcome in outcomes)
    end_s = ends[len(outcomes) - concurrency]  # with this end fewer than `concurrency` are left
    if end_s <= begin_s:
        return SteadyStretch(None, None, "the first requests had no first token before the load went down")
    needed_s = max(MIN_STEADY_S, MIN_SENSOR_PERIODS * (sensor_period_s or 0.0))
    if end_s - begin_s < needed_s:
        text = f"the load was full for {end_s - begin_s:.2f} s, {needed_s:.3g} s are needed"
        why = f"{MIN_STEADY_S:g} s, and {MIN_SENSOR_PERIODS} periods of the slowest sensor"
        return SteadyStretch(None, None, f"{text} ({why}); ask more with server.num_requests or task.repetitions")
    fullness = _mean_in_flight(outcomes, result.end_s, begin_s, end_s) / concurrency
    if fullness < MIN_FULLNESS:
        text = f"{fullness:.0%} of the load was under way on average: requests failed or waited between tries"
        return SteadyStretch(None, None, text)
    return SteadyStretch(begin_s, end_s)


def count_steady_work(outcomes: Sequence[Outcome], begin_s: float, end_s: float) -> SteadyWork:
    """Return what was done between the bounds; a chunk of an answer stands for its share of the answer's tokens.

    Prompts count where their first output came. They are ``None`` where a server does not tell their tokens.
    """
    num_finished, output_tokens, input_tokens = 0, 0.0, 0.0
    knows_inputs = True
    for outcome in outcomes:
        inside = sum(begin_s <= time_s < end_s for time_s in outcome.output_times_s)
        if inside:
            output_tokens += outcome.num_output_tokens * inside / len(outcome.output_times_s)
        if outcome.output_times_s and begin_s <= outcome.output_times_s[0] < end_s:
            knows_inputs = knows_inputs and outcome.usage is not None
            input_tokens += outcome.usage.input_tokens if outcome.usage is not None else 0
        num_finished += outcome.answered and outcome.end_s is not None and begin_s <= outcome.end_s < end_s
    return SteadyWork(num_finished, output_tokens, input_tokens if knows_inputs else None)


def _begin_of_output(outcome: Outcome) -> float:
    if outcome.output_times_s:
        return outcome.output_times_s[0]
    return outcome.end_s if outcome.end_s is not None else outcome.sent_s


def _end_of(outcome: Outcome, run_end_s: float) -> float:
    return run_end_s if outcome.end_s is None else outcome.end_s


def _mean_in_flight(outcomes: Sequence[Outcome], run_end_s: float, begin_s: float, end_s: float) -> float:
    """Return how many requests were under way on average, waits between tries left out."""
    busy_s = 0.0
    for outcome in outcomes:
        busy_s += _overlap(outcome.sent_s, _end_of(outcome, run_end_s), begin_s, end_s)
        busy_s -= sum(_overlap(*wait, begin_s, end_s) for wait in outcome.waits_s)
    return busy_s / (end_s - begin_s)


def _overlap(first_s: float, last_s: float, begin_s: float, end_s: float) -> float:
    return max(0.0, min(last_s, end_s) - max(first_s, begin_s))
