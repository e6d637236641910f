"""Imported results for the terminal and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from harness.analysis.imported.results import EnergyBeside, ImportedRow, Latency, ServingResult
from harness.core.units import format_digits, format_duration, format_si

SCHEMA_VERSION = 1
_TOOLS = {"vllm": "vLLM", "guidellm": "GuideLLM", "aiperf": "AIPerf"}
_LATENCIES = (("TTFT", "ttft_s"), ("TPOT", "tpot_s"), ("ITL", "itl_s"), ("E2E", "e2e_s"))
_STATS = ("mean", "p50", "p90", "p95", "p99")


def imported_to_json(rows: Sequence[ImportedRow]) -> dict[str, Any]:
    """Return all rows as plain data; unknown numbers are ``None``, with the reason beside them."""
    content = json.loads(json.dumps([dataclasses.asdict(row) for row in rows], allow_nan=False))
    return {"schema_version": SCHEMA_VERSION, "results": content}


def imported_to_text(rows: Sequence[ImportedRow]) -> str:
    """Return one block a benchmark: counts, a table of latencies in seconds, energy, and why what is unknown is so."""
    return "\n\n".join("\n".join(_describe(row)) for row in rows)


def _describe(row: ImportedRow) -> list[str]:
    result = row.result
    version = f" {result.tool_version}" if result.tool_version else ""
    place = f"{result.file} [{result.index}]" if result.index else result.file
    load = f", {result.load}" if result.load else ""
    lines = [f"{place}: {_TOOLS[result.tool]}{version}, model {result.model or 'unknown'}{load}"]
    lines.append(f"  {_describe_counts(result)}")
    lines.append(f"  {_count(result.num_input_tokens)} input and {_count(result.num_output_tokens)} output tokens")
    lines.append(
        f"  {_number(result.requests_per_s)} requests/s, {_number(result.output_tokens_per_s)} output tokens/s"
    )
    lines.append("  " + f"{'seconds':<8}" + "".join(f"{name:>11}" for name in _STATS))
    notes = list(result.notes)
    for label, name in _LATENCIES:
        latency: Latency = getattr(result, name)
        cells = "".join(f"{_short(getattr(latency, stat)):>11}" for stat in _STATS)
        lines.append(f"  {label:<8}{cells}")
        notes += [f"{label}: {text}" for text in (latency.note, latency.reason) if text]
    if row.energy is not None:
        lines += _describe_energy(row.energy)
    notes += [f"{name}: {reason}" for name, reason in sorted(result.reasons.items())]
    return lines + [f"  - {note}" for note in notes]


def _describe_counts(result: ServingResult) -> str:
    parts = [f"{_count(result.num_answered)} answered", f"{_count(result.num_failed)} failed"]
    if result.num_incomplete is not None:
        parts.append(f"{result.num_incomplete} cut off at the end")
    return f"requests: {', '.join(parts)} in {format_duration(result.duration_s)}"


def _describe_energy(energy: EnergyBeside) -> list[str]:
    grade = "" if energy.grade is None else f", grade {energy.grade}"
    sensors = ", ".join(energy.sensors) or "no sensor"
    total = f"energy {format_si(energy.energy_j, 'J')} ({energy.kind}{grade}: {sensors})"
    shares = (
        f"{format_si(energy.j_per_request, 'J')} a request, {format_si(energy.j_per_output_token, 'J')} an output token"
    )
    return [f"  {total}: {shares}", *(f"  - energy: {text}" for text in (energy.note, energy.reason) if text)]


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _number(value: float | None) -> str:
    return format_digits(value)


def _short(value: float | None) -> str:
    return "unknown" if value is None else format_digits(value, 4)
