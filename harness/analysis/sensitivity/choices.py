"""Other choices of the comparison itself: the loss at which it is read off, and a study with one seed less."""

from __future__ import annotations

import dataclasses

from harness.analysis.multipliers import build_pair, choose_loss, find_common_losses
from harness.analysis.sensitivity.recompute import Recomputed, Study, recompute

# Above this many seeds only those that pull the FLOP ratio farthest up and down are left out.
MAX_SEEDS = 12


def list_losses(study: Study) -> list[tuple[str, Recomputed]]:
    """Return all ratios at the best, middle and worst loss that both arms reached in every seed."""
    common = study.match.common_losses
    if common is None:
        return []
    pair = study.pair(study.match.points)
    low, high = common
    places = (("best common loss", low), ("middle common loss", (low + high) / 2), ("worst common loss", high))
    return [(words, recompute(pair, loss, study.records)) for words, loss in places]


def list_seeds(study: Study) -> list[tuple[str, Recomputed]]:
    """Return all ratios without one seed at a time, matched anew by the study's own rule."""
    match = study.match
    per_seed = next((row.per_seed for row in match.headline if row.resource == "flops"), ())
    if len(per_seed) > MAX_SEEDS:
        ordered = sorted(per_seed, key=lambda entry: (entry[1], entry[0]))
        per_seed = (ordered[0], ordered[-1])
    return [(f"without seed {seed}", _leave_out(study, seed)) for seed, _ in sorted(per_seed)]


def _leave_out(study: Study, seed: int) -> Recomputed:
    match = study.match
    points = [point for point in match.points if point.seed != seed]
    pair = build_pair(points, match.baseline_arm, match.candidate_arm, study.rule.interval)
    common = find_common_losses(pair) if pair.seeds else None
    loss, reason = choose_loss(study.rule, common)
    if loss is None:
        return Recomputed(reason=reason)
    found = recompute(pair, loss, study.records)
    return dataclasses.replace(found, points=tuple(points))
