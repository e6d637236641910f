"""What servers did under load, arm by arm: latencies, goodput, failures, joules per request whole run and steady."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.analysis.boundary import sum_boundary
from harness.analysis.inference.results import ServingSide
from harness.analysis.phases import sum_phase
from harness.analysis.stats import Estimate, estimate_mean, floor_at_zero
from harness.core.answers import TaskResult
from harness.core.inference import Percentiles, ServingStats
from harness.core.readings import Grade, worst_grade
from harness.core.records import RunRecord, WindowRecord
from harness.core.units import format_si

METHOD = "t over repeats"
LATENCIES = ("ttft_s", "tpot_s", "itl_s", "e2e_s")
PERCENTILES = ("mean", "p50", "p90", "p95", "p99")
SUM_TOLERANCE = 1e-6
ONE_REPEAT = "one repeat gives no interval"
Value = float | str


def summarise_serving(
    records: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]]
) -> tuple[ServingSide, ...]:
    """Return what the servers of each arm did, means over its repeats; a failed run stands by itself.

    Runs of another load, API or model are no repeats of each other: an arm that was swept by its load has several rows,
    each named by its load.
    """
    groups: dict[tuple[str, str, str, str], list[RunRecord]] = {}
    for record in records:
        if (stats := record.serving) is not None:
            failed = f"{record.arm}, failed repeat {record.seed}" if record.status == "failed" else record.arm
            groups.setdefault((failed, _describe_load(stats), stats.server_model, stats.api), []).append(record)
    names = Counter(arm for arm, *_ in groups)
    return tuple(
        _summarise(", ".join((arm, *parts)) if names[arm] > 1 else arm, runs, answers)
        for (arm, *parts), runs in sorted(groups.items())
    )


def _summarise(arm: str, runs: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]]) -> ServingSide:
    served = [record.serving for record in runs if record.serving is not None]
    failures: dict[str, int] = {}
    for stats in served:
        for cause, count in stats.failures.items():
            failures[cause] = failures.get(cause, 0) + count
    values = [_figures(record, stats) for record, stats in zip(runs, served, strict=True)]
    boundary = [sum_boundary(window.energy) for record in runs for window in record.windows_of("serve")]
    grades: list[Grade] = [energy.grade for energy in boundary if energy.grade is not None]
    return ServingSide(
        arm=arm,
        server_model=served[0].server_model,
        api=served[0].api,
        load=_describe_load(served[0]),
        num_sent=sum(stats.num_sent for stats in served),
        num_answered=sum(stats.num_answered for stats in served),
        num_failed=sum(stats.num_failed for stats in served),
        num_retries=sum(stats.num_retries for stats in served),
        failures=dict(sorted(failures.items())),
        token_source=_join(stats.token_source for stats in served),
        figures={name: _over_repeats([each[name] for each in values]) for name in values[0]},
        grade=worst_grade(*grades) if grades else None,
        simulated=any(energy.simulated for energy in boundary),
        additivity_text=_check_shares(runs, answers),
        run_ids=tuple(sorted(record.run_id for record in runs)),
    )


def _figures(record: RunRecord, stats: ServingStats) -> dict[str, Value]:
    figures: dict[str, Value] = {}
    for latency in LATENCIES:
        found: Percentiles = getattr(stats, latency)
        for name in PERCENTILES:
            value = getattr(found, name)
            figures[f"{latency.removesuffix('_s')}_{name}_s"] = value if value is not None else "no request has one"
    figures["requests_per_s"] = _or(stats.requests_per_s, "no request was answered")
    figures["output_tokens_per_s"] = _or(stats.output_tokens_per_s, "the server's tokens are unknown")
    figures["goodput_per_s"] = _or(stats.goodput_per_s, stats.goodput_reason or "no latency limit is configured")
    for phase, prefix, why in (
        ("serve", "", "there is no window over the run"),
        ("serve_steady", "steady_", stats.steady_reason or "there is no window of full load"),
    ):
        windows = record.windows_of(phase)
        whole = sum_phase(windows)
        figures[f"{prefix}j_per_request"] = whole.per_task("energy_j") if windows else why
        figures[f"{prefix}net_j_per_request"] = whole.per_task("net_j") if windows else why
        figures[f"{prefix}j_per_output_token"] = _per_token(windows) if windows else why
    return figures


def _per_token(windows: Sequence[WindowRecord]) -> Value:
    whole = sum_phase(windows)
    if isinstance(whole.energy_j, str) or isinstance(whole.num_output_tokens, str):
        return whole.energy_j if isinstance(whole.energy_j, str) else str(whole.num_output_tokens)
    return whole.energy_j / whole.num_output_tokens if whole.num_output_tokens > 0 else "no token was counted"


def _check_shares(runs: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]]) -> str:
    """Say whether the energies of the requests add up to the run's (of the headline boundary), in words."""
    worst, told = 0.0, 0
    for record in runs:
        shares = [row.energy_j for row in answers.get(record.run_id, ()) if row.energy_j is not None]
        whole = sum_phase(record.windows_of("serve")).energy_j
        if not shares or isinstance(whole, str) or whole <= 0:
            continue
        told += 1
        gap = math.fsum(shares) / whole - 1
        if abs(gap) >= abs(worst):
            worst = gap
    if not told:
        return "unknown: no run has energies of its requests beside that of the run"
    words = "add up to the run's" if abs(worst) <= SUM_TOLERANCE else "do NOT add up to the run's"
    return f"energies of requests {words} ({told} of {len(runs)} runs, largest gap {worst:+.2g})"


def _describe_load(stats: ServingStats) -> str:
    if stats.request_rate_per_s is None:
        return f"closed loop, {stats.concurrency} under way"
    shape = "" if stats.burstiness in (None, 1.0) else f", burstiness {stats.burstiness:g}"
    cap = f", at most {stats.concurrency} under way" if stats.concurrency else ""
    return f"open loop, {format_si(stats.request_rate_per_s, 'requests/s')}{shape}{cap}"


def _over_repeats(values: Sequence[Value]) -> Estimate:
    reasons = [value for value in values if isinstance(value, str)]
    if reasons:
        return Estimate(value=None, interval=None, n=0, reason=reasons[0])
    known = [float(value) for value in values if not isinstance(value, str)]
    estimate = floor_at_zero(estimate_mean(known, method=METHOD))
    reason = ONE_REPEAT if estimate.n == 1 else estimate.reason
    return Estimate(value=estimate.value, interval=estimate.interval, n=estimate.n, reason=reason)


def _or(value: float | None, reason: str) -> Value:
    return value if value is not None else reason


def _join(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
