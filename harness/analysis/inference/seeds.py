"""Runs of one arm and seed are one sample, however many they are: budgets of one seed are no repeats of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.core.records import RunRecord

# By run id: how much of its seed a run stands for. Runs that are not named weigh the same.
Weights = Mapping[str, float]
EVEN: Weights = {}


def average_seeds(found: Iterable[tuple[str, int, float]], weights: Weights = EVEN) -> list[float]:
    """Return one value a seed, in their order, from (run id, seed, value): the weighted mean over the seed's runs."""
    seeds: dict[int, list[tuple[float, float]]] = {}
    for run_id, seed, value in found:
        seeds.setdefault(seed, []).append((value, weights.get(run_id, 1.0)))
    return [
        sum(value * weight for value, weight in own) / sum(weight for _, weight in own)
        for _, own in sorted(seeds.items())
    ]


def pick_repeats(records: Iterable[RunRecord]) -> dict[str, dict[int, RunRecord]]:
    """Return one run for each arm and seed: the first that was started, since a second try would win."""
    runs: dict[str, dict[int, RunRecord]] = {}
    for record in sorted(records, key=lambda r: (r.started_utc, r.run_id)):
        runs.setdefault(record.arm, {}).setdefault(record.seed, record)
    return runs


def read_weights(runs: Mapping[str, Mapping[int, Sequence[tuple[RunRecord, float]]]]) -> Weights:
    """Return the weight of every run that answers for an arm and seed with others."""
    return {record.run_id: weight for seeds in runs.values() for found in seeds.values() for record, weight in found}
