"""Whether a server run counts as finished, and what a reader must know of it.

A run failed where nothing was answered, the server was given up or gone at the end, the run's time was over before its
requests, or more than `MAX_FAILED_SHARE` of the requests failed: the record keeps what there is and says why. Fewer
failures leave it finished, with a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from harness.core.config import RunConfig
from harness.core.inference import ServingStats
from harness.core.readings import Finding
from harness.core.task_config import hide_host
from harness.run.serving.plan import PlannedRequest
from harness.serving.load import LoadResult
from harness.serving.outcome import CONNECTION_CAUSES
from harness.serving.probe import is_reachable
from harness.serving.protocol import Dialect

MAX_FAILED_SHARE = 0.1
# The client's own lateness (99th percentile) of the mean gap between arrivals, and its share of one processor.
MAX_LATENESS = 0.1
MAX_CLIENT_CPU = 0.5


def judge_load(config: RunConfig, result: LoadResult) -> str | None:
    """Return why the run failed, or ``None`` where it finished; asks the server whether it is still there."""
    outcomes = result.outcomes
    failed = [outcome for outcome in outcomes if outcome.cause is not None]
    answered = len(outcomes) - len(failed)
    came = f"{answered} of {result.num_planned} requests were answered"
    causes = _count_text(outcome.cause for outcome in failed)
    last = f", the last: {failed[-1].reason}" if failed else ""
    if result.stopped is not None:
        return f"{result.stopped} ({came}; {causes})" if failed else f"{result.stopped} ({came})"
    if failed and any(outcome.cause in CONNECTION_CAUSES for outcome in failed) and not is_reachable(config.server):
        return f"the server at {hide_host(config.server.base_url)} is gone ({came}; {causes}{last})"
    if answered == 0:
        return f"no request was answered ({causes}{last})"
    if len(failed) > MAX_FAILED_SHARE * len(outcomes):
        return f"{len(failed)} of {len(outcomes)} requests failed, more than {MAX_FAILED_SHARE:.0%} ({causes}{last})"
    return None


def find_load_problems(
    config: RunConfig, result: LoadResult, stats: ServingStats, planned: Sequence[PlannedRequest]
) -> list[Finding]:
    """Return findings about failures, retries, requests that were never sent, and the arrivals of an open loop."""
    findings = []
    outcomes = result.outcomes
    if stats.num_failed:
        text = f"requests failed: {_count_text(outcome.cause for outcome in outcomes if outcome.cause)}"
        findings.append(_warn("requests_failed", text, stats.num_failed / stats.num_sent, MAX_FAILED_SHARE))
    unsent = result.num_planned - len(outcomes)
    if unsent:
        findings.append(_warn("requests_not_sent", f"requests were never sent: {result.stopped}", unsent, 0))
    if stats.num_retries:
        causes = _count_text(cause for outcome in outcomes for cause in outcome.retry_causes)
        findings.append(_warn("requests_retried", f"tries beyond the first, after {causes}", stats.num_retries, 0))
    if any(outcome.answered and not outcome.done_marked for outcome in outcomes):
        text = "the server ends streams without [DONE]; a finish_reason told that an answer was whole"
        findings.append(Finding(code="no_done_mark", severity="info", text=text))
    if any(outcome.answered and outcome.usage is None for outcome in outcomes):
        text = f"tokens of answers: {stats.token_source}"
        findings.append(Finding(code="tokens_counted_by_chunks", severity="warning", text=text))
    is_later_repeat = bool(config.plan_position) and config.plan_position[0] > 0
    if is_later_repeat or any(request.repetition for request in planned[: len(outcomes)]):
        text = (
            f"prompts were asked before, in {'an earlier repeat of the study' if is_later_repeat else 'this run'}; a "
            "server with a prefix cache reads them for almost nothing: switch it off, or start the server anew"
        )
        findings.append(Finding(code="repeated_prompts", severity="info", text=text))
    findings.extend(_find_arrival_problems(config, result, stats))
    return findings


def find_client_problems(dialect: Dialect, cpu_share: float, num_warmup_failed: int) -> list[Finding]:
    """Return findings about this client: what it left out, how busy it was, and its warm-up."""
    findings = []
    missing = [name for name in ("stream_options", "seed") if not getattr(dialect, name)]
    if missing:
        text = f"the server refuses requests with {' and '.join(missing)}; they were left out"
        findings.append(Finding(code="fields_left_out", severity="info", text=text))
    if num_warmup_failed:
        findings.append(_warn("warmup_failed", "requests of the warm-up failed", num_warmup_failed, 0))
    if cpu_share > MAX_CLIENT_CPU:
        text = "of one processor was used by this client, so its latencies may be its own"
        findings.append(_warn("client_busy", text, cpu_share, MAX_CLIENT_CPU))
    return findings


def _find_arrival_problems(config: RunConfig, result: LoadResult, stats: ServingStats) -> list[Finding]:
    rate = config.server.request_rate
    if rate is None or stats.send_lateness_s is None:
        return []
    findings = []
    lateness_s = stats.send_lateness_s.p99
    if lateness_s is not None and lateness_s * rate > MAX_LATENESS:
        text = "of the mean gap between arrivals is how late the client itself was (99th percentile)"
        findings.append(_warn("client_late", text, lateness_s * rate, MAX_LATENESS))
    if result.num_waited:
        text = "requests of the open loop waited for a place (server.concurrency), so they were sent later than planned"
        findings.append(_warn("requests_waited", text, result.num_waited, 0))
    return findings


def _warn(code: str, text: str, value: float, limit: float) -> Finding:
    return Finding(code=code, severity="warning", text=text, value=float(value), limit=float(limit))


def _count_text(causes: Iterable[str | None]) -> str:
    counts = Counter(cause for cause in causes if cause)
    return ", ".join(f"{cause}: {count}" for cause, count in sorted(counts.items()))
