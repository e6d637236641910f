"""Finished runs that stand on no frontier: those that diverged, and cells that have several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.divergence import has_diverged
from harness.analysis.results import FrontierPoint
from harness.core.readings import Finding
from harness.core.records import RunRecord


@dataclass(frozen=True, slots=True)
class Screened:
    """Points that can be compared; `left_out` holds (run id, reason) of the others, and `findings` say so."""

    points: list[FrontierPoint]
    left_out: list[tuple[str, str]]
    findings: list[Finding]


def screen_points(points: Sequence[FrontierPoint], records: Mapping[str, RunRecord]) -> Screened:
    """Leave out runs that diverged, and every run of a cell (arm, size, seed, tokens) that has several.

    Of two runs of one cell the better would win a frontier by a second try, and nothing says which is the real one.
    """
    left_out: list[tuple[str, str]] = []
    findings: list[Finding] = []
    sound = []
    for point in points:
        reason = has_diverged(records[point.run_id])
        if reason is None:
            sound.append(point)
        else:
            left_out.append((point.run_id, f"diverged: {reason}"))
    if left_out:
        text = f"{len(left_out)} runs diverged and stand on no frontier: {_list([run for run, _ in left_out])}"
        findings.append(Finding(code="diverged_runs", severity="warning", text=text))
    cells: dict[tuple[str, str, int, int], list[FrontierPoint]] = {}
    for point in sound:
        cells.setdefault((point.arm, point.size, point.seed, point.tokens), []).append(point)
    kept = [point for point in sound if len(cells[point.arm, point.size, point.seed, point.tokens]) == 1]
    repeated = [point for point in sound if len(cells[point.arm, point.size, point.seed, point.tokens]) > 1]
    if repeated:
        run_ids = sorted(point.run_id for point in repeated)
        left_out += [(run, "another run has the same arm, size, seed and tokens; neither counts") for run in run_ids]
        text = f"cells (arm, size, seed, tokens) with several runs are left out: {_list(run_ids)}"
        findings.append(Finding(code="repeated_cells", severity="warning", text=text))
    return Screened(kept, left_out, findings)


def _list(run_ids: Sequence[str]) -> str:
    shown = ", ".join(sorted(run_ids)[:4])
    return shown + (f" and {len(run_ids) - 4} more" if len(run_ids) > 4 else "")
