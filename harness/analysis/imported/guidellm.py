"""Reports of GuideLLM (``benchmarks.json``), with one row for each benchmark of a sweep.

Fields as in ``src/guidellm/benchmark/schemas/generative/`` (``report.py``, ``benchmark.py``, ``metrics.py``) and
``src/guidellm/schemas/`` (``statistics.py``, ``request_stats.py``) of v0.4 to v0.8 (tried with a file of v0.8.1);
before v0.4 totals and model stood elsewhere (``request_totals``, ``run_stats.requests_made``,
``worker.backend_model``). Every metric is a distribution by status; those of ``successful`` requests are read. Names
that mislead: ``inter_token_latency_ms`` is a request's (last - first token) / (output tokens - 1), weighted by its
tokens: our TPOT; ``time_per_output_token_ms`` counts the first token too and fits no name of ours; single gaps are not
kept. ``request_latency`` is in seconds. A value that GuideLLM could not tell is written as 0, so a latency of 0 is
unknown here.

Configurations in these files may hold keys of servers: nothing is read but what is named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analysis.imported.results import Latency, ServingResult
from harness.analysis.imported.values import divide, read_at, read_count, read_number, read_text, to_seconds
from harness.core.errors import DataError

_MS = 1e-3
_NO_TOKENS = "GuideLLM wrote 0 or nothing: the server did not tell, or nothing was answered"
_NOT_STREAMED = "GuideLLM wrote 0: it could not tell (answers were not streamed)"
_TPOT_NOTE = "GuideLLM's inter_token_latency_ms: (last - first token) / (output tokens - 1), weighted by tokens"


def is_report(document: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a report of GuideLLM."""
    found = document.get("benchmarks")
    if not isinstance(found, list):
        return False
    return read_at(document, "metadata", "guidellm_version") is not None or any(
        isinstance(part, Mapping) and "metrics" in part for part in found
    )


def read_report(document: Mapping[str, Any], file: str) -> list[ServingResult]:
    """Return the benchmarks of a report for which `is_report` holds.

    Raises:
        DataError: it holds none.
    """
    benchmarks = [part for part in document["benchmarks"] if isinstance(part, Mapping) and "metrics" in part]
    if not benchmarks:
        raise DataError(f"'{file}' is a report of GuideLLM without any benchmark in it; nothing was measured.")
    version = read_text(read_at(document, "metadata", "guidellm_version"))
    return [_read_benchmark(part, document, file, index, version) for index, part in enumerate(benchmarks)]


def _read_benchmark(
    part: Mapping[str, Any], document: Mapping[str, Any], file: str, index: int, version: str | None
) -> ServingResult:
    totals = _find_totals(part)
    answered = read_count(totals.get("successful"))
    duration_s = read_number(part.get("duration"))
    reasons: dict[str, str] = {}
    if duration_s is None:
        begin_s, end_s = read_number(part.get("start_time")), read_number(part.get("end_time"))
        duration_s = None if begin_s is None or end_s is None else end_s - begin_s
    if version is None:
        reasons["tool_version"] = "GuideLLM names its version from v0.4 on"
    model = _find_model(part, document)
    if model is None:
        reasons["model"] = "the report does not name it"
    counts = {
        "num_answered": answered,
        "num_failed": read_count(totals.get("errored")),
        "num_incomplete": read_count(totals.get("incomplete")),
        "num_input_tokens": _read_total(part, "prompt_token_count", answered),
        "num_output_tokens": _read_total(part, "output_token_count", answered),
    }
    output = counts["num_output_tokens"]
    if duration_s is None:
        reasons["duration_s"] = "the report has neither a duration nor begin and end"
    for name, count in counts.items():
        if count is None:
            reasons[name] = _NO_TOKENS if name.endswith("tokens") else "the report does not tell it"
    return ServingResult(
        file=file,
        index=index,
        tool="guidellm",
        tool_version=version,
        model=model,
        load=_describe_load(part),
        num_answered=answered,
        num_failed=counts["num_failed"],
        num_incomplete=counts["num_incomplete"],
        duration_s=duration_s,
        num_input_tokens=counts["num_input_tokens"],
        num_output_tokens=output,
        requests_per_s=divide(answered, duration_s),
        output_tokens_per_s=divide(output, duration_s),
        ttft_s=_read_latency(part, "time_to_first_token_ms", _MS),
        tpot_s=_read_latency(part, "inter_token_latency_ms", _MS, _TPOT_NOTE),
        itl_s=Latency(reason="GuideLLM keeps no single gaps; the mean gap of a request stands under TPOT"),
        e2e_s=_read_latency(part, "request_latency", 1.0),
        reasons=reasons,
    )


def _find_totals(part: Mapping[str, Any]) -> Mapping[str, Any]:
    for path in (("metrics", "request_totals"), ("request_totals",), ("run_stats", "requests_made")):
        found = read_at(part, *path)
        if isinstance(found, Mapping):
            return found
    return {}


def _find_model(part: Mapping[str, Any], document: Mapping[str, Any]) -> str | None:
    places = (
        read_at(part, "config", "backend", "model"),
        read_at(document, "args", "backend_kwargs", "model"),
        read_at(part, "worker", "backend_model"),
        read_at(document, "args", "model"),
    )
    return next((text for place in places if (text := read_text(place)) is not None), None)


def _read_total(part: Mapping[str, Any], metric: str, answered: int | None) -> int | None:
    """Return the sum of a count over answered requests; a sum of 0 is one that the server did not report."""
    total = read_number(read_at(part, "metrics", metric, "successful", "total_sum"))
    return round(total) if total and answered else None


def _read_latency(part: Mapping[str, Any], metric: str, factor: float, note: str | None = None) -> Latency:
    found = read_at(part, "metrics", metric, "successful")
    if not isinstance(found, Mapping):
        return Latency(reason=f"the report has no {metric}")
    if not read_count(found.get("count")):
        return Latency(reason="no request was answered")
    mean = read_number(found.get("mean"))
    if not mean:
        return Latency(reason=_NOT_STREAMED)
    percentiles = {
        p: to_seconds(read_number(read_at(found, "percentiles", p)), factor) for p in ("p50", "p90", "p95", "p99")
    }
    missing = [p for p, value in percentiles.items() if value is None]
    return Latency(
        mean=mean * factor,
        **percentiles,
        reason=f"no {', '.join(missing)} in the report" if missing else None,
        note=note,
    )


def _describe_load(part: Mapping[str, Any]) -> str | None:
    strategy = read_at(part, "config", "strategy") or read_at(part, "args", "strategy")
    kind = read_text(read_at(strategy, "type_"))
    if kind is None:
        return None
    rate, streams = read_number(read_at(strategy, "rate")), read_count(read_at(strategy, "streams"))
    size = f", {rate:g} requests/s" if rate is not None else f", {streams} at once" if streams is not None else ""
    return kind + size
