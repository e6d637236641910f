"""Bars and tables of the bench of statistics, from its figures."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- stats: begin -->", "<!-- stats: end -->"
COVERAGE = (0.93, 0.97)
FIT_COVERAGE = (0.92, 0.98)
MEDIAN_ERROR = 0.02
FALSE_SUPPORT = 0.025
POWER = 0.8
ANALYSIS_S = 75.0


def judge(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every bar with its figures and whether it is met."""
    bars = []
    for pairing in ("paired", "two_sample"):
        own = [s for s in result["studies"] if s["pairing"] == pairing]
        covered = [s for s in own if s["name"].startswith("coverage")]
        bars += [
            _bar(
                f"{pairing}: the 95% interval covers the truth in 93 to 97% of studies (2, 3, 5 seeds; five designs)",
                [f"{s['coverage']:.1%}" for s in covered] + [f"standard error {covered[0]['coverage_stderr']:.1%}"],
                passed=all(COVERAGE[0] <= s["coverage"] <= COVERAGE[1] for s in covered),
            ),
            _bar(
                f"{pairing}: the median estimate is within 2% of the truth",
                [f"{s['median_error']:+.2%}" for s in covered],
                passed=all(abs(s["median_error"]) <= MEDIAN_ERROR for s in covered),
            ),
        ]
        for steps, rule in itertools.product((False, True), ("lowest_common", "middle_common")):
            label = f"{pairing}, {rule}, {'steps counted as noise' if steps else 'typical noise'}"
            rows = [s for s in own if s["rule"] == rule and ("steps" in s["name"]) == steps]
            edge = [s for s in rows if s["name"].startswith("boundary")]
            bars.append(
                _bar(
                    f"{label}: truth on the boundary is supported in at most 2.5% plus 2 standard errors",
                    [f"claim {s['factor']:g}: {s['supported']:.1%} ± {s['supported_stderr']:.1%}" for s in edge],
                    passed=all(s["supported"] <= FALSE_SUPPORT + 2 * s["supported_stderr"] for s in edge),
                )
            )
            inside = [s for s in rows if s["name"].startswith("power")]
            bars.append(
                _bar(
                    f"{label}: truth 25% inside is supported in at least 80% at 3 seeds",
                    [f"claim {s['factor']:g}: {s['supported']:.1%}" for s in inside],
                    passed=all(s["supported"] >= POWER for s in inside),
                )
            )
    fit = result["fits"]
    bars.append(
        _bar(
            f"L(N, D), {fit['num_sets']} sets of {fit['design']}: each parameter covered in 92 to 98%",
            [f"{name} {share:.1%}" for name, share in fit["coverage"].items()],
            passed=all(FIT_COVERAGE[0] <= share <= FIT_COVERAGE[1] for share in fit["coverage"].values()),
        )
    )
    laws = result["law_multipliers"]
    bars.append(
        _bar(
            f"multiplier from fitted laws, {laws[0]['num_studies']} studies a design: covered in 93 to 97%",
            [f"{row['design']}: {row['coverage']:.1%} ± {row['coverage_stderr']:.1%}" for row in laws],
            passed=all(COVERAGE[0] <= row["coverage"] <= COVERAGE[1] for row in laws),
        )
    )
    last = result["scaling"][-1]
    bars.append(
        _bar(
            f"analysis of {last['num_records']} records with {last['resamples']} resamples in about a minute",
            [f"{last['total_s']:.0f} s (at most {ANALYSIS_S:.0f})"],
            passed=last["total_s"] <= ANALYSIS_S,
        )
    )
    return bars


def _bar(text: str, figures: Sequence[str], *, passed: bool) -> dict[str, Any]:
    return {"bar": text, "figures": ", ".join(figures), "passed": bool(passed)}


def render(result: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    lines = ["| bar | figures | |", "|---|---|---|"]
    lines += [f"| {b['bar']} | {b['figures']} | {'pass' if b['passed'] else '**FAIL**'} |" for b in result["bars"]]
    noise = result["noise"]
    lines += [
        "",
        "Noise of the committed studies, bits per byte: "
        + "; ".join(
            f"{name} {math.hypot(n['trunk'], n['branch']):.4f} (trunk {n['trunk']:.4f}, branch {n['branch']:.4f})"
            for name, n in (("without steps", noise["typical"]), ("with them", noise["with_steps"]))
        ),
        "",
        (
            "| simulated studies | seeds make intervals by | loss | studies | covered | supported | not supported "
            "| median error | half-width of ln m |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s['name']} | {s['pairing']} | {s['rule'].partition('_')[0]} "
        f"| {s['num_matched']} | {s['coverage']:.1%} | {s['supported']:.1%} "
        f"| {s['not_supported']:.1%} | {s['median_error']:+.2%} | {s['half_width']:.3f} |"
        for s in result["studies"]
    ]
    lines += [
        "",
        "| records | load | match | claims | laws | total, s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['num_records']} | {r['load_s']:.1f} | {r['match_s']:.1f} | {r['claims_s']:.2f} | {r['laws_s']:.1f} "
        f"| {r['total_s']:.1f} |"
        for r in result["scaling"]
    ]
    return "\n".join(lines)


def write(readme: Path, result: dict[str, Any]) -> None:
    """Put the tables between the marks in the README."""
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    readme.write_text(f"{head}{BEGIN}\n{render(result)}\n{END}{tail}")


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
