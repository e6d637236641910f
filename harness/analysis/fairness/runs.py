"""Fairness of which runs stand there: none diverged, none twice, how far each ladder goes and what memory it took."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.divergence import has_diverged
from harness.analysis.multipliers import Pair
from harness.analysis.results import Check, FrontierPoint
from harness.core.records import RunRecord

# How far the dense ladder would have to go to test one tenth of the computing power without extrapolating.
WANTED_EXTENT = 10.0


def check_runs(
    records: Sequence[RunRecord], runs: Sequence[RunRecord], points: Sequence[FrontierPoint], pair: Pair
) -> tuple[Check, ...]:
    """Return the checks on the set of runs; `runs` are those of `records` that stand on the frontier."""
    return (
        check_divergence([record for record in records if record.arm in pair.arms]),
        check_duplicates([point for point in points if point.arm in pair.arms]),
        check_extent(points, pair),
        check_peak_memory(runs, pair),
    )


def check_divergence(records: Sequence[RunRecord]) -> Check:
    """Check that no run of either arm diverged, trunks and failed runs included."""
    code, title = "diverged", "No run diverged"
    found = {record.run_id: reason for record in records if (reason := has_diverged(record)) is not None}
    if found:
        shown = "; ".join(f"'{run_id}': {reason}" for run_id, reason in sorted(found.items())[:3])
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        return Check(code=code, title=title, outcome="fail", text=shown + more)
    finished = [record for record in records if record.status == "finished"]
    blind = [record for record in finished if not record.loss_curve]
    if blind or not finished:
        text = f"{len(blind)} of {len(finished)} runs have no training curve"
        return Check(code=code, title=title, outcome="unknown", text=text)
    return Check(code=code, title=title, outcome="pass", text=f"{len(finished)} training curves end near their lowest")


def check_duplicates(points: Sequence[FrontierPoint]) -> Check:
    """Check that every cell (arm, size, seed, tokens) has one run: the better of two would be taken in silence."""
    code, title = "duplicate_records", "One run for each arm, size, seed and budget"
    cells: dict[tuple[str, str, int, int], list[str]] = {}
    for point in points:
        cells.setdefault((point.arm, point.size, point.seed, point.tokens), []).append(point.run_id)
    doubled = [sorted(run_ids) for run_ids in cells.values() if len(run_ids) > 1]
    if doubled:
        shown = "; ".join(" and ".join(map(repr, run_ids)) for run_ids in sorted(doubled)[:3])
        text = f"{len(doubled)} of {len(cells)} cells have several runs: {shown}"
        return Check(code=code, title=title, outcome="fail", text=text)
    if not cells:
        return Check(code=code, title=title, outcome="unknown", text="there is no run")
    return Check(code=code, title=title, outcome="pass", text=f"{len(cells)} cells, one run each")


def check_extent(points: Sequence[FrontierPoint], pair: Pair) -> Check:
    """Disclose how far the baseline's ladder goes: a multiplier above that ratio could not be seen, only bounded."""
    code, title = "dense_extent", f"Ladder of {pair.baseline} reaches as far as that of {pair.candidate}"
    largest = {arm: max((p.flops for p in points if p.arm == arm), default=0.0) for arm in pair.arms}
    if not all(largest.values()):
        missing = ", ".join(arm for arm, flops in largest.items() if not flops)
        return Check(code=code, title=title, outcome="unknown", text=f"no run of {missing}", blocking=False)
    ratio = largest[pair.baseline] / largest[pair.candidate]
    text = (
        f"the largest budget of {pair.baseline} is {ratio:.3g} times that of {pair.candidate}: a multiplier up to "
        f"{ratio:.3g} can be read off at its end"
    )
    if ratio < WANTED_EXTENT:
        text += f", a larger one only be bounded (one tenth would take {WANTED_EXTENT:g} times)"
    return Check(code=code, title=title, outcome="pass" if ratio >= 1 else "fail", text=text, blocking=False)


def check_peak_memory(runs: Sequence[RunRecord], pair: Pair) -> Check:
    """Disclose the peak memory of training of both arms: experts that lie idle still have to be held."""
    code, title = "peak_memory", "Peak memory of both families disclosed"
    parts = []
    for arm in pair.arms:
        own = [record for record in runs if record.arm == arm]
        peaks = [r.path.peak_memory_bytes for r in own if r.path is not None and r.path.peak_memory_bytes is not None]
        if not own or len(peaks) < len(own):
            return Check(code=code, title=title, outcome="unknown", text=f"unknown for {arm}", blocking=False)
        parts.append(f"{arm} {min(peaks) / 2**20:.4g} to {max(peaks) / 2**20:.4g} MiB")
    text = "; ".join(parts)
    if any(record.environment is not None and record.environment.device == "cpu" for record in runs):
        text += " (on a CPU of the whole process, libraries included)"
    return Check(code=code, title=title, outcome="pass", text=text, blocking=False)
