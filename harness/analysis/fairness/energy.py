"""Fairness of the joules: one power limit, one boundary, and windows whose own edges leave little open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from harness.analysis.boundary import select_boundary
from harness.analysis.multipliers import Pair
from harness.analysis.results import Check
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord

INFERENCE_PHASES = ("prefill", "decode", "serve")
MAX_LIMIT_DIFFERENCE = 0.005
MAX_EDGE_SHARE = 0.01
BLOCKING_EDGE_SHARE = 0.05
_BOUNDARIES = {
    ("gpu",): "accelerators alone",
    ("cpu", "dram"): "CPU and DRAM",
    ("cpu",): "CPU without DRAM",
    ("system",): "the whole system",
}


def check_energy(runs: Sequence[RunRecord], pair: Pair) -> tuple[Check, ...]:
    """Return the checks that concern claims about energy alone."""
    return (check_power_limit(runs, pair), check_boundary(runs), check_edges(runs))


def check_power_limit(runs: Sequence[RunRecord], pair: Pair) -> Check:
    """Check that every run had the same power limit on every device, as the sensors recorded it.

    Clocks that were held down are disclosed beside it: what a run was slowed by is in its seconds and joules.
    """
    code, title = "same_power_limit", "Same power limit in every run"
    limits: dict[tuple[str, int], dict[str, float]] = {}
    for record in runs:
        domains = {reading.domain for reading in _headline(record)}
        known = [s for s in record.sensors if s.domain in domains and s.power_limit_w is not None]
        if not known:
            text = "some runs' sensors name no power limit"
            return Check(code=code, title=title, outcome="unknown", text=text, energy_only=True)
        for sensor in known:
            assert sensor.power_limit_w is not None  # noqa: S101  # chosen for it
            limits.setdefault((sensor.domain, sensor.device_index), {})[record.run_id] = sensor.power_limit_w
    for (domain, index), by_run in limits.items():
        if len(by_run) < len(runs):
            text = f"some runs name a limit of {domain} {index}, others do not"
            return Check(code=code, title=title, outcome="unknown", text=text, energy_only=True)
        low, high = min(by_run, key=by_run.__getitem__), max(by_run, key=by_run.__getitem__)
        if by_run[high] > by_run[low] * (1 + MAX_LIMIT_DIFFERENCE):
            text = f"{domain} {index}: '{low}' ran at {by_run[low]:g} W, '{high}' at {by_run[high]:g} W"
            return Check(code=code, title=title, outcome="fail", text=text, energy_only=True)
    shown = ", ".join(f"{domain} {index} {min(by_run.values()):g} W" for (domain, index), by_run in limits.items())
    text = f"{shown}; {_describe_throttling(runs, pair)}"
    return Check(code=code, title=title, outcome="pass", text=text, energy_only=True)


def check_boundary(runs: Sequence[RunRecord]) -> Check:
    """Check that energy covers the same devices, read by the same sensors, in every run of both arms."""
    code, title = "energy_boundary", "Same energy boundary in every run"
    found: dict[tuple[tuple[str, int, str, str], ...], str] = {}
    seen: set[tuple[tuple[str, int, str, str, str], ...]] = set()
    for record in runs:
        parts = [record.path.energy] if record.path is not None else []
        parts += [window.energy for window in record.windows if window.phase in INFERENCE_PHASES]
        for readings in parts or [()]:
            kinds = tuple([(r.domain, r.device_index, r.sensor, r.method, r.grade) for r in readings])
            if kinds in seen:  # as nearly all of the windows of a large store
                continue
            chosen = select_boundary(readings)
            if not chosen:
                text = f"'{record.run_id}' has no energy reading"
                return Check(code=code, title=title, outcome="unknown", text=text, energy_only=True)
            seen.add(kinds)
            found.setdefault(
                tuple(sorted((r.domain, r.device_index, r.sensor, r.method) for r in chosen)), record.run_id
            )
    if len(found) > 1:
        text = "; ".join(f"'{run_id}': {_describe(boundary)}" for boundary, run_id in found.items())
        return Check(code=code, title=title, outcome="fail", text=f"runs differ: {text}", energy_only=True)
    (boundary,) = found
    return Check(code=code, title=title, outcome="pass", text=_describe(boundary), energy_only=True)


def check_edges(runs: Sequence[RunRecord]) -> Check:
    """Check what the edges of the training windows leave open, as a share of each run's energy.

    Up to 1% passes; more is disclosed, and above 5% it blocks. A sensor's gain is not in it: it cancels in a ratio.
    """
    code, title = "edge_uncertainty", "Edges of training windows leave at most 1% of the energy open"
    shares = {record.run_id: share for record in runs if (share := _edge_share(record)) is not None}
    if not shares:
        text = "no sensor says what its windows' edges leave open"
        return Check(code=code, title=title, outcome="unknown", text=text, blocking=False, energy_only=True)
    worst = max(shares, key=shares.__getitem__)
    text = f"at most {shares[worst]:.2%} ('{worst}'), known in {len(shares)} of {len(runs)} runs"
    blocks = shares[worst] > BLOCKING_EDGE_SHARE
    if shares[worst] > MAX_EDGE_SHARE:
        return Check(code=code, title=title, outcome="fail", text=text, blocking=blocks, energy_only=True)
    outcome: Literal["pass", "unknown"] = "pass" if len(shares) == len(runs) else "unknown"
    return Check(code=code, title=title, outcome=outcome, text=text, blocking=False, energy_only=True)


def _headline(record: RunRecord) -> tuple[EnergyReading, ...]:
    """Return the readings of the run's boundary: of its training, or of its answers where nothing was trained."""
    if record.path is not None:
        return select_boundary(record.path.energy)
    return next((select_boundary(w.energy) for w in record.windows_of(*INFERENCE_PHASES) if w.energy), ())


def _edge_share(record: RunRecord) -> float | None:
    """Return the uncertainty of a run's training energy over that energy; parts add up, which is the careful way."""
    energy_j, open_j = 0.0, 0.0
    for reading in _headline(record):
        if reading.energy_j is None or reading.uncertainty_j is None:
            return None
        energy_j += reading.energy_j
        open_j += reading.uncertainty_j
    return open_j / energy_j if energy_j > 0 else None


def _describe(boundary: Sequence[tuple[str, int, str, str]]) -> str:
    domains = tuple(sorted({domain for domain, _, _, _ in boundary}))
    devices = ", ".join(f"{domain} {index} by {sensor} ({method})" for domain, index, sensor, method in boundary)
    return f"{_BOUNDARIES.get(domains, ' and '.join(domains))}: {devices}"


def _describe_throttling(runs: Sequence[RunRecord], pair: Pair) -> str:
    parts = []
    for arm in pair.arms:
        own = [record for record in runs if record.arm == arm]
        held = sum(any(finding.code == "throttled" for finding in record.findings) for record in own)
        parts.append(f"{held} of {len(own)} {arm} runs")
    return f"clocks were held down in {' and '.join(parts)}"
