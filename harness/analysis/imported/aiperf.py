"""Results of AIPerf: ``profile_export_aiperf.json`` or the same as ``.csv``.

Fields as in ``docs/reference/json-export-schema.md`` (schema 1.0 to 1.5; tried with files of v0.13) and
``src/aiperf/metrics/types/`` of ai-dynamo/aiperf: each metric is an object with ``unit``, ``avg``, ``p50`` and so on;
single values stand in ``avg``; the unit is authoritative. In the CSV
(``src/aiperf/exporters/metrics_csv_exporter.py``) a metric is a row named ``Header (unit)``, rounded to two digits.
Names that mislead: ``inter_token_latency`` is a request's
(latency - TTFT) / (output tokens - 1): our TPOT; the single gaps are ``inter_chunk_latency``. ``request_count`` counts
answered requests; ``error_request_count`` is left out where nothing failed, and ``error_summary`` is then empty.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Mapping
from typing import Any

from harness.analysis.imported.results import Latency, ServingResult
from harness.analysis.imported.values import divide, read_at, read_count, read_number, read_text, to_seconds
from harness.core.errors import DataError

_UNITS_S = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_STATS = ("p50", "p90", "p95", "p99")
_TPOT_NOTE = "AIPerf's inter_token_latency: (latency - TTFT) / (output tokens - 1)"
_ITL_NOTE = "AIPerf's inter_chunk_latency: gaps between chunks of a stream"
_ROW = re.compile(r"(?P<name>.*?)\s*(?:\((?P<unit>[^()]*)\))?\s*")
Metrics = Mapping[str, Mapping[str, Any]]


def is_export(document: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is AIPerf's export of a run."""
    latency = document.get("request_latency")
    return isinstance(latency, Mapping) and "unit" in latency and "avg" in latency


def is_csv(text: str) -> bool:
    """Return whether a text is AIPerf's export as CSV."""
    return text.startswith("Metric,avg,")


def read_export(document: Mapping[str, Any], file: str) -> ServingResult:
    """Return the result in a JSON object for which `is_export` holds."""
    metrics = {name: value for name, value in document.items() if isinstance(value, Mapping) and "avg" in value}
    version = read_text(document.get("aiperf_version"))
    result = _read_metrics(metrics, file, version, _find_model(document), document.get("error_summary"))
    if document.get("was_cancelled") is not True:
        return result
    return dataclasses.replace(result, notes=("the run was interrupted: it holds only what was answered before that",))


def read_csv(text: str, file: str) -> ServingResult:
    """Return the result in a text for which `is_csv` holds.

    Raises:
        DataError: it has no request latency.
    """
    metrics: dict[str, dict[str, Any]] = {}
    header: list[str] = []
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise DataError(f"'{file}' is no readable CSV file: {error}.") from error
    for row in rows:
        if not row or row[0] in {"Metric", "Endpoint"}:
            header = row if row and row[0] == "Metric" else []
            continue
        found = _ROW.fullmatch(row[0])
        if not header or found is None:
            continue  # telemetry of GPUs stands in tables of its own
        name = found["name"].lower().replace(" ", "_")
        cells = {
            "avg" if key == "Value" else key: _to_number(cell) for key, cell in zip(header[1:], row[1:], strict=False)
        }
        metrics[name] = {"unit": found["unit"] or "", **cells}
    if "request_latency" not in metrics:
        raise DataError(f"'{file}' is no export of AIPerf: it has no row 'Request Latency'.")
    renamed = {"total_input_sequence_length": "total_isl", "total_output_sequence_length": "total_osl"}
    return _read_metrics({renamed.get(name, name): value for name, value in metrics.items()}, file, None, None, None)


def _find_model(document: Mapping[str, Any]) -> str | None:
    names = read_at(document, "input_config", "endpoint", "model_names")
    if isinstance(names, list) and names:
        return read_text(names[0])
    items = read_at(document, "input_config", "models", "items")
    return read_text(read_at(items[0], "name")) if isinstance(items, list) and items else None


def _read_metrics(metrics: Metrics, file: str, version: str | None, model: str | None, errors: Any) -> ServingResult:
    reasons: dict[str, str] = {"num_incomplete": "AIPerf does not tell requests that it cut off from failed ones"}
    if version is None:
        reasons["tool_version"] = "the file does not name it"
    if model is None:
        reasons["model"] = "the file does not name it"
    answered = read_count(read_at(metrics, "request_count", "avg"))
    output = _read_tokens(metrics, "output", answered, reasons)
    return ServingResult(
        file=file,
        index=0,
        tool="aiperf",
        tool_version=version,
        model=model,
        load=None,
        num_answered=answered,
        num_failed=_read_failed(metrics, errors, reasons),
        num_incomplete=None,
        duration_s=_read_duration(metrics, answered, reasons),
        num_input_tokens=_read_tokens(metrics, "input", answered, reasons),
        num_output_tokens=output,
        requests_per_s=read_number(read_at(metrics, "request_throughput", "avg")),
        output_tokens_per_s=read_number(read_at(metrics, "output_token_throughput", "avg")),
        ttft_s=_read_latency(metrics, "time_to_first_token"),
        tpot_s=_read_latency(metrics, "inter_token_latency", _TPOT_NOTE),
        itl_s=_read_latency(metrics, "inter_chunk_latency", _ITL_NOTE),
        e2e_s=_read_latency(metrics, "request_latency"),
        reasons={**reasons, "load": "the load is not in the result's metrics"},
    )


def _read_failed(metrics: Metrics, errors: Any, reasons: dict[str, str]) -> int | None:
    """Return the failed requests: the count, else those of the summary of errors, whose empty list says none."""
    counted = read_count(read_at(metrics, "error_request_count", "avg"))
    if counted is not None:
        return counted
    if isinstance(errors, list):
        counts = [read_count(read_at(error, "count")) for error in errors]
        known = [count for count in counts if count is not None]
        if len(known) == len(counts):
            return sum(known)
    reasons["num_failed"] = "the file has neither error_request_count nor error_summary"
    return None


def _read_tokens(metrics: Metrics, side: str, answered: int | None, reasons: dict[str, str]) -> int | None:
    """Return the tokens of all answered requests: the total, else the sum or the mean of a request's length.

    Lengths of the output include tokens of reasoning, which cost the same as others.
    """
    total = read_number(read_at(metrics, "total_isl" if side == "input" else "total_osl", "avg"))
    length = read_at(metrics, f"{side}_sequence_length")
    if total is None:
        total = read_number(read_at(length, "sum"))
    mean = read_number(read_at(length, "avg"))
    if total is None and mean is not None and answered is not None:
        total = mean * answered
    if total is None:
        reasons[f"num_{side}_tokens"] = f"the file has no {side} sequence length"
    return None if total is None else round(total)


def _read_duration(metrics: Metrics, answered: int | None, reasons: dict[str, str]) -> float | None:
    found = metrics.get("benchmark_duration")
    seconds = None if found is None else _to_seconds(found.get("avg"), found.get("unit"))
    if seconds is None:  # older exports leave it out
        seconds = divide(answered, read_number(read_at(metrics, "request_throughput", "avg")))
    if seconds is None:
        reasons["duration_s"] = "the file has neither benchmark_duration nor request_throughput"
    return seconds


def _read_latency(metrics: Metrics, name: str, note: str | None = None) -> Latency:
    found = metrics.get(name)
    if found is None:
        return Latency(reason=f"no {name} in the file (it is told of streamed answers)")
    unit = found.get("unit")
    if not isinstance(unit, str) or unit not in _UNITS_S:
        return Latency(reason=f"{name} has the unit '{unit}', which is no unit of time that is known")
    values = {"mean": found.get("avg"), **{p: found.get(p) for p in _STATS}}
    seconds = {key: _to_seconds(value, unit) for key, value in values.items()}
    missing = [key for key, value in seconds.items() if value is None]
    reason = f"no {', '.join(missing)} in the file" if missing else None
    return Latency(**seconds, reason=reason, note=note)


def _to_seconds(value: Any, unit: Any) -> float | None:
    factor = _UNITS_S.get(unit) if isinstance(unit, str) else None
    return None if factor is None else to_seconds(read_number(value), factor)


def _to_number(cell: str) -> float | None:
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return None
