"""Results of ``vllm bench serve --save-result``: one JSON object, or one a line with ``--append-result``.

Fields as written by ``vllm/benchmarks/serve.py`` (function ``benchmark`` and the end of ``main_async``; v0.9 to the
state of autumn 2026): counts ``completed``, ``failed`` (newer versions), ``num_prompts``; ``duration`` in seconds;
``total_input_tokens``, ``total_output_tokens`` of answered requests; latencies in milliseconds as ``mean_``,
``median_`` and ``p<percentile>_`` with ``ttft``, ``tpot``, ``itl``, ``e2el``, for the metrics and percentiles that
the benchmark was asked for (by default the 99th, without ``e2el``). With no answered request it writes 0 for a mean.
Definitions: TPOT = (E2E - TTFT) / (output tokens - 1); ITL over single gaps: both as ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analysis.imported.results import Latency, ServingResult
from harness.analysis.imported.values import read_count, read_number, read_text, to_seconds

_MS = 1e-3
_MARKS = ("completed", "duration", "request_throughput")


def is_result(document: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a result of vLLM's serving benchmark."""
    return all(mark in document for mark in _MARKS) and ("backend" in document or "endpoint_type" in document)


def read_result(document: Mapping[str, Any], file: str, index: int = 0) -> ServingResult:
    """Return the result in a JSON object for which `is_result` holds."""
    answered = read_count(document.get("completed"))
    reasons: dict[str, str] = {
        "num_incomplete": "vLLM's benchmark waits for every request",
        "tool_version": "vLLM's result file does not name the version",
    }
    return ServingResult(
        file=file,
        index=index,
        tool="vllm",
        tool_version=None,
        model=read_text(document.get("model_id")),
        load=_describe_load(document),
        num_answered=answered,
        num_failed=_read_failed(document, answered, reasons),
        num_incomplete=None,
        duration_s=read_number(document.get("duration")),
        num_input_tokens=read_count(document.get("total_input_tokens")),
        num_output_tokens=_read_output(document, reasons),
        requests_per_s=read_number(document.get("request_throughput")),
        output_tokens_per_s=read_number(document.get("output_throughput")),
        ttft_s=_read_latency(document, "ttft", answered),
        tpot_s=_read_latency(document, "tpot", answered),
        itl_s=_read_latency(document, "itl", answered),
        e2e_s=_read_latency(document, "e2el", answered),
        reasons=reasons,
    )


def _read_failed(document: Mapping[str, Any], answered: int | None, reasons: dict[str, str]) -> int | None:
    failed = read_count(document.get("failed"))
    sent = read_count(document.get("num_prompts"))
    if failed is not None:
        return failed
    if sent is None or answered is None or sent < answered:
        reasons["num_failed"] = "this version of vLLM does not write it, and it does not follow from num_prompts"
        return None
    return sent - answered  # before v0.12 failures are told by what is missing of the prompts


def _read_output(document: Mapping[str, Any], reasons: dict[str, str]) -> int | None:
    tokens = read_count(document.get("total_output_tokens"))
    if tokens is None:
        reasons["num_output_tokens"] = "the benchmark generated no text (embedding or ranking)"
    return tokens


def _read_latency(document: Mapping[str, Any], name: str, answered: int | None) -> Latency:
    if not answered:
        return Latency(reason="no request was answered")
    if f"mean_{name}_ms" not in document:
        return Latency(reason=f"not in the file; ask for it with --percentile-metrics ttft,tpot,itl,{name}")
    values = {
        "mean": document.get(f"mean_{name}_ms"),
        "p50": document.get(f"median_{name}_ms", document.get(f"p50_{name}_ms")),
        **{p: document.get(f"{p}_{name}_ms") for p in ("p90", "p95", "p99")},
    }
    seconds = {key: to_seconds(read_number(value), _MS) for key, value in values.items()}
    missing = [key for key, value in seconds.items() if value is None]
    reason = f"no {', '.join(missing)}; ask for them with --metric-percentiles 50,90,95,99" if missing else None
    return Latency(**seconds, reason=reason)  # type: ignore[arg-type]


def _describe_load(document: Mapping[str, Any]) -> str | None:
    rate, limit = document.get("request_rate"), read_count(document.get("max_concurrency"))
    at_once = "" if limit is None else f", at most {limit} at once"
    number = read_number(rate)
    if number is not None:
        return f"{number:g} requests/s{at_once}"
    return f"all at once{at_once}" if rate == "inf" else None
