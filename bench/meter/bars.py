"""From windows to figures, and the bars that they must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

SHORT_S, LONG_S = 2.0, 5.0
ABSURD = 0.2
Row = dict[str, Any]


def judge(trials: Sequence[Row], costs: Row) -> dict[str, Any]:
    """Return statistics per tool, generation and length, and each bar with its figures."""
    rows = [
        {**row, **{k: t[k] for k in ("tool", "generation", "wave", "gpus", "counter", "fault")}}
        for t in trials
        for row in t["rows"]
    ]
    sound = [row for row in rows if not row["fault"]]
    return {
        "bars": list(_bars(sound, rows, costs)),
        "by_length": _group(sound, lambda r: (r["tool"], "counter" if r["counter"] else "no counter", _length(r))),
        "by_wave": _group(
            [r for r in sound if _length(r) >= SHORT_S],
            lambda r: (r["tool"], "counter" if r["counter"] else "no counter", r["generation"], r["wave"]),
        ),
        "by_gpus": _group(
            [r for r in sound if r["gpus"] > 1 and _length(r) >= SHORT_S], lambda r: (r["tool"], r["gpus"])
        ),
        "faults": _faults(rows),
        "costs": costs,
        "cpu_share": {
            tool: float(np.mean([t["cpu_share"] for t in trials if t["tool"] == tool]))
            for tool in dict.fromkeys(t["tool"] for t in trials)
        },
    }


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Return count, bias, p95 of the relative error, coverage of the interval and its mean over the p95 error.

    Energies that are unknown are counted and left out of the rest; relative figures are shares of the true energy.
    """
    known = [row for row in rows if row["energy_j"] is not None]
    result: dict[str, Any] = {"windows": len(rows), "unknown": len(rows) - len(known)}
    result["silent"] = sum(_is_silent(row) for row in rows)
    if not known:
        return result
    truth = np.array([row["truth_j"] for row in known])
    error = np.array([row["energy_j"] for row in known]) - truth
    p95_j = float(np.quantile(np.abs(error), 0.95))
    result |= {"bias": float(error.sum() / truth.sum()), "p95": float(np.quantile(np.abs(error / truth), 0.95))}
    # an interval belongs to one device; GPU i draws (i + 1) times as much, so its joules count for as much less
    parts = [
        (abs(e - t) / (gpu + 1), u / (gpu + 1))
        for row in known
        for gpu, (e, t, u) in enumerate(
            zip(row["per_gpu_j"], row["truth_per_gpu_j"], row["uncertainty_j"], strict=False)
        )
        if u is not None and e is not None
    ]
    if parts:
        errors, halves = (np.array(column) for column in zip(*parts, strict=True))
        result["coverage"] = float(np.mean(errors <= halves))
        result["width"] = float(halves.mean() / max(float(np.quantile(errors, 0.95)), 1e-9))
    else:
        result["p95_j"] = p95_j
    return result


def _bars(sound: Sequence[Row], rows: Sequence[Row], costs: Row) -> Iterable[dict[str, Any]]:
    ours = [row for row in sound if row["tool"] == "isojoule"]
    counted = [row for row in ours if row["counter"]]
    long, longer = (
        summarise([r for r in counted if r["end_s"] - r["begin_s"] >= limit * 0.9]) for limit in (SHORT_S, LONG_S)
    )
    short = summarise([r for r in counted if r["end_s"] - r["begin_s"] < SHORT_S * 0.9])
    yield _bar(
        "windows of 2 s and more: absolute bias at most 0.5%", abs(long["bias"]) <= 0.005, f"{long['bias']:+.3%}"
    )
    yield _bar(
        "windows of 2 s and more: the interval covers at least 95%", long["coverage"] >= 0.95, f"{long['coverage']:.1%}"
    )
    yield _bar(
        "windows of 2 s and more: mean interval at most 2 x the p95 error", long["width"] <= 2, f"{long['width']:.2f} x"
    )
    yield _bar("windows of 5 s and more: the p95 error at most 1%", longer["p95"] <= 0.01, f"{longer['p95']:.3%}")
    yield _bar("short windows: the interval covers at least 93%", short["coverage"] >= 0.93, f"{short['coverage']:.1%}")
    blind = [r for r in ours if not r["counter"] and r["end_s"] - r["begin_s"] >= LONG_S * 0.9]
    without = summarise(blind)
    yield _bar(
        "without a counter, 5 s and more: absolute bias at most 2%",
        abs(without["bias"]) <= 0.02,
        f"{without['bias']:+.2%}",
    )
    silent = sum(_is_silent(row) for row in rows if row["tool"] == "isojoule")
    yield _bar("never 0, negative or more than 20% off without a finding", silent == 0, f"{silent} windows")
    two = [r for r in ours if r["gpus"] == 2]
    gaps = [abs(r["energy_j"] - sum(r["per_gpu_j"])) for r in two if r["energy_j"] is not None]
    yield _bar("two GPUs sum exactly", bool(gaps) and max(gaps) < 1e-6, f"{max(gaps, default=float('nan')):.1e} J")
    locked = [
        r
        for r in counted
        if r["wave"] == "square 10 Hz" and r["generation"] == "A100" and r["end_s"] - r["begin_s"] >= 1.8
    ]
    flagged = float(np.mean(["aliasing" in r["flags"] for r in locked])) if locked else 0.0
    worst = max((abs(r["energy_j"] / r["truth_j"] - 1) for r in locked if r["energy_j"]), default=float("nan"))
    yield _bar(
        "10 Hz load on an A100: counter within 2%, aliasing found",
        flagged > 0.9 and worst < 0.02,
        f"{flagged:.0%} found, worst {worst:.2%}",
    )
    open_ = [r for r in ours if not r["counter"] and r["wave"] == "square 10 Hz" and r["generation"] == "A100"]
    covered = summarise(open_).get("coverage", 0.0)
    yield _bar(
        "10 Hz load on an A100 without a counter: the interval covers the truth", covered >= 0.95, f"{covered:.1%}"
    )
    edges = costs["edges"]
    mine, theirs = (edges[f"{t}_begin"]["median_us"] + edges[f"{t}_end"]["median_us"] for t in ("isojoule", "zeus"))
    yield _bar("begin plus end cost at most ZeusMonitor's", mine <= theirs, f"{mine:.1f} against {theirs:.1f} us")
    slowest = max(edges["isojoule_begin"]["p95_us"], edges["isojoule_end"]["p95_us"])
    yield _bar("begin and end below 50 us each (p95)", slowest < 50, f"{slowest:.1f} us")
    yield _bar(
        "sampler at 20 Hz: at most 1% of a core", costs["cpu"]["cpu_share"] <= 0.01, f"{costs['cpu']['cpu_share']:.2%}"
    )
    loop = costs["loop"]
    text = f"{loop['slowdown']:+.2%}, upper bound {loop['upper_95']:+.2%} over {loop['pairs']} pairs"
    yield _bar("busy training loop slowed by at most 0.5% (95% upper bound)", loop["upper_95"] <= 0.005, text)


def _bar(what: str, passed: object, figures: str) -> dict[str, Any]:
    return {"bar": what, "passed": bool(passed), "figures": figures}


def _is_silent(row: Row) -> bool:
    """Return whether an energy is 0, negative or absurd (farther off than stated and by more than 20%) unflagged."""
    if row["energy_j"] is None:
        return not row["flags"]
    off = abs(row["energy_j"] / row["truth_j"] - 1) > ABSURD
    return (row["energy_j"] <= 0 or off) and not row["flags"]


def _faults(rows: Sequence[Row]) -> dict[str, Any]:
    return _group([row for row in rows if row["fault"]], lambda r: (r["tool"], r["fault"]))


def _length(row: Row) -> float:
    nominal = np.array([0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30])
    return float(nominal[np.argmin(np.abs(np.log(nominal / row["nominal_s"])))])


def _group(rows: Sequence[Row], key: Callable[[Row], tuple[Any, ...]]) -> dict[str, Any]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {
        " | ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in k): summarise(v)
        for k, v in sorted(groups.items())
    }
