"""Windows of inference on a meter, in virtual time: prefill and decode add up to both in one; findings are gathered."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from harness.core.inference import Regime, name_regime
from harness.core.readings import Method
from harness.core.task_config import RegimeConfig
from harness.measure import meter, window
from harness.run.windows import InferenceWindows
from harness.tasks import passes
from harness.tasks.answer import AnswerSettings, answer_questions
from harness.tasks.sweep import sweep_regimes
from tests.unit.measure.loads import Load
from tests.unit.measure.scene import FIRST_WINDOW_S, POLL_S, Clock, Device, make_meter
from tests.unit.tasks.letters import Echo, ask

IDLE_W, PREFILL_W, DECODE_W = 60.0, 610.0, 240.0
CPU = torch.device("cpu")


class WorkLoad(Load):
    """Idle power, but for the stretches in which an engine worked; work passes time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__([-5.0], [IDLE_W])
        self._clock = clock

    def work(self, units: float) -> None:
        """Prefill comes in many tokens at once (3 ms each), a decode step as the batch (7 ms, whatever its size)."""
        is_prefill = units > 4
        self._begin(PREFILL_W if is_prefill else DECODE_W)
        self._clock.sleep(0.003 * units if is_prefill else 0.007)
        self._begin(IDLE_W)

    def _begin(self, level_w: float) -> None:
        time_s = self._clock.time_s
        self._sums_j.append(self.energy_j(time_s))
        self.starts_s.append(time_s)
        self.levels_w.append(level_w)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of meters, windows and passes."""
    clock = Clock()
    for module in (window, meter, passes):
        monkeypatch.setattr(module, "now_s", clock.now_s)
    monkeypatch.setattr(meter, "time", SimpleNamespace(sleep=clock.sleep))
    return clock


def _open(clock: Clock, load: Load, method: Method = "counter") -> InferenceWindows:
    device = Device(load=load)
    made, _ = make_meter(clock, device, infos=(device.info(method),))
    made.__enter__()
    clock.sleep(FIRST_WINDOW_S)
    return InferenceWindows(made, CPU)


@pytest.mark.parametrize("method", ["counter", "sampled", "modelled"])
@pytest.mark.parametrize("free", [False, True])
def test_prefill_and_decode_add_up_to_the_generate_window_within_their_intervals(
    clock: Clock, method: Method, free: bool
) -> None:
    load = WorkLoad(clock)
    windows = _open(clock, load, method)
    prompts = {12: ask([[n] * 12 for n in range(4)], stop="&")}
    regimes = RegimeConfig(
        batch_sizes=[1, 4], context_lengths=[12], answer_lengths=[6], repetitions=2, min_window_s=2, free_answers=free
    )
    sweep_regimes(Echo(work=load.work), prompts, regimes, windows.open, seed=1, on_regime=lambda *_: None)
    assert len(windows.records) == 12 * (1 + free)
    by_key = {(record.phase, record.repetition, record.regime): record for record in windows.records}
    for phase, repetition, regime in by_key:
        if phase != "generate":
            continue
        per_task: dict[str, float] = {}
        interval_j = 0.0
        for part in ("prefill", "decode", "generate"):
            record = by_key[part, repetition, regime]
            (reading,) = record.energy
            assert record.work is not None
            assert reading.energy_j is not None
            per_task[part] = reading.energy_j / record.work.num_tasks
            # a model states no interval: its power is a line between two polls, so an edge is off by one at most
            stated_j = reading.uncertainty_j if method != "modelled" else 2 * POLL_S * (PREFILL_W - IDLE_W)
            assert stated_j is not None
            interval_j += stated_j / record.work.num_tasks
        gap_j = abs(per_task["prefill"] + per_task["decode"] - per_task["generate"])
        assert gap_j <= interval_j + 1e-9, (regime, per_task)
        assert interval_j < 0.35 * per_task["generate"], "an interval that says something"


def test_rows_of_all_passes_pay_for_the_windows(clock: Clock) -> None:
    load = WorkLoad(clock)
    windows = _open(clock, load)
    settings = AnswerSettings("letters", 4, 6, repetitions=2, min_window_s=1.0)
    answers = answer_questions(Echo(work=load.work), ask([[n] * 12 for n in range(6)]), settings, windows.open)
    for repetition in range(2):
        rows = [row for row in answers.results if row.repetition == repetition]
        expected_j = 0.0
        for record in windows.records:
            if record.repetition == repetition:
                assert record.work is not None
                assert record.energy[0].energy_j is not None
                expected_j += record.energy[0].energy_j * len(rows) / record.work.num_tasks
        assert sum(row.energy_j or 0.0 for row in rows) == pytest.approx(expected_j)
        assert {row.energy_grade for row in rows} == {"A"}


def test_one_finding_stands_for_those_of_many_windows(clock: Clock) -> None:
    device = Device(load=Load([-5.0], [100.0]), tick_s=0.5)
    made, _ = make_meter(clock, device)
    made.__enter__()
    clock.sleep(FIRST_WINDOW_S)
    windows = InferenceWindows(made, CPU)
    regime = Regime(kind="sorting", batch_size=4, num_input_tokens=8, num_output_tokens=3, answer_length="free")
    for repetition in range(3):
        with windows.open("decode", repetition, regime):
            clock.sleep(0.3)
    with windows.open("decode", 0, None):
        clock.sleep(0.3)
    found = [finding for finding in windows.findings if finding.code == "edge_uncertainty"]
    assert len(found) == 2
    assert found[1].text.startswith("decode of sorting, batch 4, 8 in, at most 3 out, free: ")
    assert found[1].text.endswith("(and 2 more windows of inference)")
    assert "more windows" not in found[0].text, "a window without a regime speaks for itself"


def test_a_regime_without_one_length_says_so() -> None:
    regime = Regime(kind="jsonl", batch_size=1, num_input_tokens=None, num_output_tokens=3)
    assert name_regime(regime) == "jsonl, batch 1, 3 out"
