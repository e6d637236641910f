"""Seconds that a whole analysis takes against the number of records: loading, matching, verdicts, laws."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.stats.designs import ARMS, SIZES, Noise, true_loss
from harness.analysis.claims import judge_all, load_claims
from harness.analysis.laws.matched import fit_matched
from harness.analysis.match import match_study
from harness.core.records import RunRecord
from harness.core.store import Store

NUM_RECORDS = (100, 300, 1000, 3000, 10_000)
RESAMPLES = 2000
_NUM_BUDGETS = 10
_NOISE = Noise(trunk=0.008, branch=0.012)


def time_analysis(template: Path, num_records: Sequence[int] = NUM_RECORDS) -> list[dict[str, Any]]:
    """Return the seconds of each part for stores of so many records, made from the real records at `template`.

    A record keeps all that a real one holds (windows, sensors, configuration); run id, size, seed, budget and loss are
    those of a simulated study of both arms, five sizes and ten budgets with as many seeds as are needed.
    """
    real, _ = Store(template).load_records()
    models = {arm: next(r for r in real if r.arm == arm and r.role == "branch") for arm in ARMS}
    rows = []
    for count in num_records:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder)
            for record in _make_records(models, count):
                store.record_path(record.run_id).parent.mkdir(exist_ok=True)
                store.write_record(record)
            rows.append({"num_records": count, **_time_one(store)})
    return rows


def _time_one(store: Store) -> dict[str, Any]:
    marks = [time.perf_counter()]
    records, unreadable = store.load_records()
    marks.append(time.perf_counter())
    match = match_study(records, None, unreadable)
    marks.append(time.perf_counter())
    verdicts = judge_all(load_claims(), match)
    marks.append(time.perf_counter())
    laws = fit_matched(match, RESAMPLES)
    marks.append(time.perf_counter())
    names = ("load_s", "match_s", "claims_s", "laws_s")
    parts = {name: marks[i + 1] - marks[i] for i, name in enumerate(names)}
    return {
        **parts,
        "total_s": marks[-1] - marks[0],
        "resamples": RESAMPLES,
        "num_points": len(match.points),
        "num_verdicts": len(verdicts),
        "num_laws": len(laws.study.families) if laws.study is not None else 0,
    }


def _make_records(models: dict[str, RunRecord], count: int) -> list[RunRecord]:
    """Return `count` records of a study whose true multiplier is 2."""
    rng = np.random.default_rng(0)
    cells = [(arm, size, k) for arm in ARMS for size in SIZES for k in range(_NUM_BUDGETS)]
    num_seeds = max(1, math.ceil(count / len(cells)))
    made = []
    for seed in range(num_seeds):
        trunk = {(arm, size): rng.normal(0, _NOISE.trunk) for arm in ARMS for size in SIZES}
        for arm, size, k in cells:
            loss = true_loss(SIZES[size], 6e11 * 2 ** (0.7 * k), 2.0 if arm == "moe" else 1.0)
            noisy = loss + trunk[arm, size] + rng.normal(0, _NOISE.branch)
            made.append(_copy(models[arm], arm, size, seed, 6e11 * 2 ** (0.7 * k), noisy))
    return made[:count]


def _copy(model: RunRecord, arm: str, size: str, seed: int, flops: float, loss: float) -> RunRecord:  # noqa: PLR0917 - one call
    if model.path is None or model.params is None:
        raise ValueError(f"'{model.run_id}' has no path or parameters")
    params = int(SIZES[size])
    quality = tuple(
        dataclasses.replace(q, value=loss) if q.metric == "validation_bits_per_byte" else q for q in model.quality
    )
    return dataclasses.replace(
        model,
        run_id=f"scaling-{arm}-{size}-{flops:.4g}-s{seed}",
        size=size,
        seed=seed,
        params=dataclasses.replace(model.params, total=params, active=params, active_non_embedding=params),
        path=dataclasses.replace(model.path, flops=flops, tokens=round(flops / (6 * params))),
        quality=quality,
    )
