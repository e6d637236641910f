"""Latencies, throughput and goodput of a run by the field's formulas (those of vLLM's benchmark)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.core.inference import Percentiles, ServingStats
from harness.core.task_config import ServerConfig
from harness.serving.load import LoadResult
from harness.serving.outcome import Outcome
from harness.serving.steady import SteadyStretch

BY_USAGE = "usage of the server"
BY_CHUNKS = "chunks with output, counted here (the server reports no usage); prompts unknown"


def summarise(
    result: LoadResult, server: ServerConfig, model: str, steady: SteadyStretch, origin_s: float
) -> ServingStats:
    """Return the statistics of a run; times of the record count from `origin_s` on the monotonic clock."""
    answered = [outcome for outcome in result.outcomes if outcome.answered]
    failures = Counter(outcome.cause for outcome in result.outcomes if outcome.cause is not None)
    usages = [outcome.usage for outcome in answered if outcome.usage is not None]
    num_output_tokens = sum(outcome.num_output_tokens for outcome in answered)
    duration_s = measure_duration(result)
    goodput_per_s, goodput_reason = count_goodput(answered, server, duration_s)
    is_open = server.request_rate is not None
    return ServingStats(
        server_model=model,
        api=server.api,
        concurrency=server.concurrency or None,
        request_rate_per_s=server.request_rate,
        burstiness=server.burstiness if is_open else None,
        num_sent=len(result.outcomes),
        num_answered=len(answered),
        num_failed=sum(failures.values()),
        num_retries=sum(max(0, outcome.num_tries - 1) for outcome in result.outcomes),
        failures=dict(sorted(failures.items())),
        duration_s=duration_s,
        num_input_tokens=sum(usage.input_tokens for usage in usages) if len(usages) == len(answered) else None,
        num_output_tokens=num_output_tokens,
        token_source=describe_tokens(answered),
        ttft_s=percentiles([outcome.ttft_s for outcome in answered]),
        itl_s=percentiles([gap for outcome in answered for gap in outcome.itl_s]),
        tpot_s=percentiles([outcome.tpot_s for outcome in answered]),
        e2e_s=percentiles([outcome.e2e_s for outcome in answered]),
        requests_per_s=len(answered) / duration_s if duration_s > 0 else None,
        output_tokens_per_s=num_output_tokens / duration_s if duration_s > 0 else None,
        goodput_per_s=goodput_per_s,
        goodput_reason=goodput_reason,
        steady_begin_s=None if steady.begin_s is None else steady.begin_s - origin_s,
        steady_end_s=None if steady.end_s is None else steady.end_s - origin_s,
        steady_reason=steady.reason,
        max_in_flight=result.max_in_flight,
        send_lateness_s=percentiles(result.lateness_s) if is_open else None,
    )


def percentiles(values: Sequence[float | None]) -> Percentiles:
    """Return mean and percentiles (linear between ranks) of the values that are known, in seconds."""
    known = np.array([value for value in values if value is not None], dtype=float)
    if known.size == 0:
        return Percentiles(n=0, mean=None, p50=None, p90=None, p95=None, p99=None, maximum=None)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(known, (50, 90, 95, 99)))
    return Percentiles(
        n=int(known.size), mean=float(known.mean()), p50=p50, p90=p90, p95=p95, p99=p99, maximum=float(known.max())
    )


def measure_duration(result: LoadResult) -> float:
    """Return the seconds from the first sending to the last end of a request."""
    if not result.outcomes:
        return 0.0
    ends = [outcome.end_s if outcome.end_s is not None else result.end_s for outcome in result.outcomes]
    return max(ends) - min(outcome.sent_s for outcome in result.outcomes)


def count_goodput(
    answered: Sequence[Outcome], server: ServerConfig, duration_s: float
) -> tuple[float | None, str | None]:
    """Return answers a second that kept every limit of `server`, or ``None`` and why.

    As in vLLM's benchmark an answer of one token has a TPOT of 0; one without any output keeps no limit on TTFT.
    """
    limits = {"ttft": server.max_ttft_s, "tpot": server.max_tpot_s, "e2e": server.max_e2e_s}
    if all(limit is None for limit in limits.values()):
        return None, "no limit is set (server.max_ttft_s, server.max_tpot_s, server.max_e2e_s)"
    if duration_s <= 0:
        return None, "nothing was sent"
    good = 0
    for outcome in answered:
        values = {"ttft": outcome.ttft_s, "tpot": outcome.tpot_s, "e2e": outcome.e2e_s}
        if values["tpot"] is None and outcome.output_times_s:
            values["tpot"] = 0.0
        good += all(
            limit is None or ((value := values[name]) is not None and value <= limit) for name, limit in limits.items()
        )
    return good / duration_s, None


def describe_tokens(answered: Sequence[Outcome]) -> str:
    """Return where the counts of tokens come from."""
    with_usage = sum(outcome.usage is not None for outcome in answered)
    if with_usage == len(answered) and answered:
        return BY_USAGE
    if with_usage == 0:
        return BY_CHUNKS if answered else "nothing was answered"
    return f"{BY_USAGE} for {with_usage} of {len(answered)} answers; {BY_CHUNKS.partition(' (')[0]} for the others"
