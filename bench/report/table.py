"""Bars and tables of the bench of the report, from its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- report: begin -->", "<!-- report: end -->"
SMALL_RUNS, LARGE_RUNS = 200, 10_000
SMALL_BYTES, LARGE_BYTES = 600_000, 3_000_000
BUILD_S = 20.0
OPEN_S = 2.2  # "about 2 s" leaves a tenth
SORT_S = 0.2
# Seconds per tenfold of runs grow at most by 10 to this power.
MAX_EXPONENT = 1.1


def judge(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every bar with its figures and whether it is met; a size that was not built is not judged."""
    bars = []
    small = [row for row in result["rows"] if row["num_runs"] <= SMALL_RUNS]
    large = _at(result, LARGE_RUNS)
    if small:
        bars.append(
            _bar(
                f"up to {SMALL_RUNS} runs: page at most 600 KB",
                small,
                "page_bytes",
                SMALL_BYTES,
                lambda v: f"{v / 1e3:.0f} KB",
            )
        )
    if large:
        name = f"{LARGE_RUNS} runs"
        bars += [
            _bar(f"{name}: page at most 3 MB", large, "page_bytes", LARGE_BYTES, lambda v: f"{v / 1e6:.2f} MB"),
            _bar(f"{name}: built within 20 s", large, "build_s", BUILD_S, lambda v: f"{v:.1f} s"),
            _bar(f"{name}: opened in about 2 s", large, "open_s", OPEN_S, lambda v: f"{v:.2f} s"),
            _bar(f"{name}: sorted within {SORT_S} s", large, "sort_s", SORT_S, lambda v: f"{v:.3f} s"),
        ]
    exponents = {design: exponent for design, exponent in _exponents(result).items() if exponent is not None}
    if exponents:
        bars.append(
            {
                "bar": f"from 1000 runs on the build grows about linearly (exponent at most {MAX_EXPONENT})",
                "figures": ", ".join(f"{design} {exponent:.2f}" for design, exponent in exponents.items()),
                "passed": all(exponent <= MAX_EXPONENT for exponent in exponents.values()),
            }
        )
    return bars


def _at(result: dict[str, Any], num_runs: int) -> list[dict[str, Any]]:
    return [row for row in result["rows"] if row["num_runs"] == num_runs]


def _bar(text: str, rows: Sequence[dict[str, Any]], name: str, limit: float, show: Any) -> dict[str, Any]:
    several = len({row["num_runs"] for row in rows}) > 1
    names = [f"{row['design']} {row['num_runs']}:" if several else row["design"] for row in rows]
    return {
        "bar": text,
        "figures": ", ".join(f"{label} {show(row[name])}" for label, row in zip(names, rows, strict=True)),
        "passed": all(row[name] <= limit for row in rows),
    }


def _exponents(result: dict[str, Any]) -> dict[str, float | None]:
    """Return by design the exponent of CPU seconds over runs between 1000 and the most that were built."""
    found: dict[str, float | None] = {}
    for design in dict.fromkeys(row["design"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["design"] == design and row["num_runs"] >= 1000]
        first, last = (rows[0], rows[-1]) if len(rows) > 1 else (None, None)
        found[design] = (
            math.log(last["cpu_s"] / first["cpu_s"]) / math.log(last["num_runs"] / first["num_runs"])
            if first is not None and last is not None
            else None
        )
    return found


def render(result: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    lines = ["| bar | figures | |", "|---|---|---|"]
    lines += [f"| {b['bar']} | {b['figures']} | {'pass' if b['passed'] else '**FAIL**'} |" for b in result["bars"]]
    lines += [
        "",
        "| design, runs | records, MB | build, s | CPU, s | peak memory, MB | page, KB | verdicts.json, KB |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['design']}, {row['num_runs']} | {row['record_bytes'] / 1e6:.1f} | {row['build_s']:.1f} "
        f"| {row['cpu_s']:.1f} | {row['peak_rss_bytes'] / 1e6:.0f} | {row['page_bytes'] / 1e3:.0f} "
        f"| {row['verdicts_bytes'] / 1e3:.0f} |"
        for row in result["rows"]
    ]
    lines += [
        "",
        (
            "| design, runs | first paint, s | open, s | table there, s | sort, s | filter, s | elements "
            "| bytes over pandas | build over pandas | open over pandas |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['design']}, {row['num_runs']} | {_seconds(row['paint_s'])} | {row['open_s']:.2f} "
        f"| {row['table_s']:.2f} | {row['sort_s']:.3f} | {row['filter_s']:.3f} | {row['elements']:.0f} "
        f"| {row['page_bytes'] / row['peer_bytes']:.2f} | {row['build_s'] / row['peer_build_s']:.2f} "
        f"| {row['open_s'] / row['peer_open_s']:.2f} |"
        for row in result["rows"]
    ]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def write(readme: Path, result: dict[str, Any]) -> None:
    """Put the tables between the marks in the README."""
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    readme.write_text(f"{head}{BEGIN}\n{render(result)}\n{END}{tail}")
