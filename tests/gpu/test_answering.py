"""On a CUDA device: batches that serve again with their recorded steps, and windows of both phases that add up."""

from __future__ import annotations

import gc
import statistics
from pathlib import Path

import pytest
import torch

from harness.core.boundary import sum_boundary
from harness.core.config import DataConfig, MeasureConfig, TaskConfig
from harness.core.store import Store
from harness.core.task_config import RegimeConfig
from harness.tasks.own_engine import OwnEngine
from tests.unit.models.configs import DENSE, with_random_weights
from tests.unit.run.tiny import DENSE as TINY
from tests.unit.run.tiny import ROOT, run_here, tiny_run
from tests.unit.tasks.letters import Letters

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_a_recorded_step_serves_the_next_batch_and_changes_no_answer() -> None:
    engine = OwnEngine(with_random_weights(DENSE).cuda(), Letters())
    prompts = torch.randint(1, 64, (2, 3, 8), generator=torch.Generator().manual_seed(1)).tolist()
    first = engine.prefill(prompts[0], 6)
    engine.decode(first, 6)
    recorded = first.prefilled.recorded
    assert recorded is not None
    del first
    gc.collect()
    second = engine.prefill(prompts[1], 6)
    assert second.prefilled.recorded is recorded
    fixed = engine.decode(second, 6).tolist()
    other = OwnEngine(engine.model, Letters())
    assert fixed == other.decode(other.prefill(prompts[1], 6), 6).tolist()
    stops = [engine.decode_text(ids[2:3]) for ids in fixed]
    for free, ids in zip(engine.decode_free(second, 6, stops), fixed, strict=True):
        assert free == ids[: len(free)]


def test_prefill_and_decode_add_up_to_generate_on_the_card(tmp_path: Path) -> None:
    regimes = RegimeConfig(batch_sizes=[8], context_lengths=[64], answer_lengths=[32], repetitions=5, min_window_s=2.0)
    config = tiny_run(
        TINY,
        device="cuda",
        data=DataConfig(corpus="text_files", globs=[f"{ROOT}/harness/**/*.py"]),
        task=TaskConfig(num_examples=8, context_length=16, min_window_s=0.1, regimes=regimes),
        measure=MeasureConfig(idle_s=1.0),
    )
    record = run_here(config, Store(tmp_path))
    gaps, wholes, stated = [], [], []
    for repetition in range(5):
        cost: dict[str, float] = {}
        for window in record.windows:
            if window.regime is None or window.repetition != repetition:
                continue
            energy = sum_boundary(window.energy)
            if energy.energy_j is None or energy.grade not in ("A", "B"):
                pytest.skip("the card's energy is not measured here")
            assert window.work is not None
            cost[window.phase] = energy.energy_j / window.work.num_tasks
            stated.append(max(r.uncertainty_j or 0.0 for r in window.energy) / window.work.num_tasks)
        gaps.append(cost["prefill"] + cost["decode"] - cost["generate"])
        wholes.append(cost["generate"])
    interval = 2.78 * statistics.stdev(gaps) / 5**0.5 + max(stated)
    assert abs(statistics.fmean(gaps)) <= interval + 0.05 * statistics.fmean(wholes)
