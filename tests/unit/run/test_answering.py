"""A whole run that answers kinds and sweeps: what its record and its file of answers hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.config import RunConfig, TaskConfig
from harness.core.errors import ConfigError, RunFailedError
from harness.core.records import RunRecord, WindowRecord
from harness.core.store import Store
from harness.core.task_config import KindConfig, RegimeConfig
from harness.run import answering
from harness.run.runner import execute
from harness.tasks.own_engine import OwnEngine
from tests.unit.run.tiny import DENSE, MOE, run_here, tiny_run

KINDS = {
    "lines": KindConfig(name="line_completion", num_examples=8, context_length=16, max_answer_tokens=6),
    "sums": KindConfig(name="arithmetic", num_examples=8, context_length=64, max_answer_tokens=8),
}
REGIMES = RegimeConfig(
    batch_sizes=[1, 2], context_lengths=[16], answer_lengths=[4], repetitions=2, min_window_s=0.01, free_answers=True
)
TASK = TaskConfig(batch_size=4, min_window_s=0.01, repetitions=2, kinds=KINDS, regimes=REGIMES)


def _config(model: Any, task: TaskConfig, **changes: Any) -> RunConfig:
    return tiny_run(model, task=task, **changes)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, Store, list[dict[str, Any]]]:
    """Return the record, the store and the events of a run of a sparse model."""
    store, events = Store(tmp_path_factory.mktemp("store")), []
    record = execute(_config(MOE, TASK), store, events.append)
    return record, store, events


def _of(record: RunRecord, kind: str) -> list[WindowRecord]:
    return [w for w in record.windows if w.regime is not None and w.regime.kind == kind]


def test_each_kind_has_prefill_and_decode_for_every_repetition(
    answered: tuple[RunRecord, Store, list[dict[str, Any]]],
) -> None:
    record, _, _ = answered
    for name, num_in, num_out in (("lines", 16, 6), ("sums", 64, 8)):
        windows = _of(record, name)
        seen = {(w.phase, w.repetition, w.regime.answer_length) for w in windows if w.regime is not None}
        expected = {(p, r, a) for p in ("prefill", "decode") for r in range(2) for a in ("fixed", "free")}
        assert seen == expected
        assert len(windows) == len(expected)
        for w in windows:
            assert w.regime is not None
            assert (w.regime.batch_size, w.regime.num_input_tokens, w.regime.num_output_tokens) == (4, num_in, num_out)
            assert w.work is not None
            assert w.work.num_bytes
            assert w.work.num_tasks % 8 == 0
            assert w.peak_memory_bytes


def test_each_kind_has_an_accuracy_of_its_own_and_rows_in_the_file(
    answered: tuple[RunRecord, Store, list[dict[str, Any]]],
) -> None:
    record, store, _ = answered
    readings = {q.task: q for q in record.quality if q.metric == "exact_match"}
    assert set(readings) == {"lines", "sums"}
    rows = store.load_answers(record.run_id)
    assert [(row.kind, row.repetition, row.index) for row in rows] == [
        (kind, repetition, index) for kind in ("lines", "sums") for repetition in range(2) for index in range(8)
    ]
    for kind, reading in readings.items():
        own = [row for row in rows if row.kind == kind and row.repetition == 0]
        assert reading.value == sum(row.correct is True for row in own) / 8
        assert reading.num_samples == 8
        assert reading.chance is not None
        assert all(row.energy_j and row.energy_j > 0 and row.energy_grade == "D" for row in own)  # simulated


def test_the_sweep_has_all_windows_and_formulas_add_up(
    answered: tuple[RunRecord, Store, list[dict[str, Any]]],
) -> None:
    record, _, _ = answered
    windows = {(w.phase, w.repetition, w.regime): w.work for w in _of(record, "sweep")}
    assert len(windows) == 3 * 2 * 2 * 2  # phases, repetitions, batches, fixed and free
    for (phase, repetition, regime), whole in windows.items():
        assert regime is not None
        if phase != "generate" or regime.answer_length == "free":
            continue
        parts = [windows[part, repetition, regime] for part in ("prefill", "decode")]
        for name in ("flops", "num_bytes", "num_steps", "num_input_tokens", "num_output_tokens"):
            total = sum(getattr(part, name) / part.num_tasks for part in parts if part is not None)
            assert whole is not None
            assert getattr(whole, name) / whole.num_tasks == pytest.approx(total), name


def test_a_sparse_model_tells_its_routing_by_kind_and_its_coverage_by_batch(
    answered: tuple[RunRecord, Store, list[dict[str, Any]]],
) -> None:
    record, _, _ = answered
    assert [routing.kind for routing in record.task_routing] == ["lines", "sums"]
    assert record.params is not None
    for routing in record.task_routing:
        assert routing.active_params_per_token == record.params.active
        assert routing.total_params == record.params.total
    sizes: dict[str, list[int]] = {}
    for coverage in record.expert_coverage:
        sizes.setdefault(coverage.kind, []).append(coverage.batch_size)
        assert coverage.top_k <= coverage.measured <= coverage.num_experts
    assert sizes == {"lines": [1, 2, 4, 8], "sums": [1, 2, 4, 8], "sweep": [1, 2], "mixed": [1, 2, 4, 8, 16]}
    sources = {w.work.bytes_source for w in _of(record, "lines") if w.work is not None and w.phase == "decode"}
    assert all("touched" in str(source) for source in sources)


def test_bandwidth_progress_and_long_contexts_are_told(
    answered: tuple[RunRecord, Store, list[dict[str, Any]]],
) -> None:
    record, _, events = answered
    assert record.peak_bytes_per_s
    assert "measured" in str(record.peak_bytes_source)
    phases = [event["phase"] for event in events if event["event"] == "phase"]
    assert {"routing", "answer lines", "answer sums"} <= set(phases)
    assert sum(phase.startswith("sweep ") for phase in phases) == 8
    long = {f.text.split(":")[0]: f.value for f in record.findings if f.code == "context_beyond_training"}
    assert long == {"lines": 22, "sums": 72, "sweep": 20}


def test_line_completion_alone_keeps_two_windows_without_a_regime(tmp_path: Path) -> None:
    task = TaskConfig(num_examples=6, batch_size=4, context_length=16, max_answer_tokens=5, min_window_s=0.01)
    record = run_here(_config(DENSE, task), Store(tmp_path))
    windows = record.windows_of("prefill", "decode", "generate")
    assert [(w.phase, w.repetition, w.regime) for w in windows] == [("prefill", 0, None), ("decode", 0, None)]
    prefill, decode = (w.work for w in windows)
    assert prefill is not None
    assert decode is not None
    assert (prefill.num_output_tokens, prefill.num_correct, decode.num_correct) == (0, None, None)
    assert prefill.num_input_tokens == 16 * prefill.num_tasks
    assert decode.num_output_tokens == 4 * decode.num_tasks
    (reading,) = [q for q in record.quality if q.metric == "exact_match"]
    assert (reading.task, reading.chance, reading.num_samples) == ("line_completion", None, 6)
    assert record.data is not None
    assert reading.data_sha256 == record.data.sha256
    assert (record.task_routing, record.expert_coverage) == ((), ())
    assert len(Store(tmp_path).load_answers(record.run_id)) == 6


def test_a_dense_model_has_kinds_but_no_routing(tmp_path: Path) -> None:
    task = dataclasses.replace(TASK, regimes=RegimeConfig(), repetitions=1)
    record = run_here(_config(DENSE, task), Store(tmp_path))
    assert {w.regime.kind for w in record.windows if w.regime is not None} == {"lines", "sums"}
    assert (record.task_routing, record.expert_coverage) == ((), ())


def test_what_cannot_be_asked_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    task = dataclasses.replace(TASK, regimes=dataclasses.replace(REGIMES, batch_sizes=[100_000]))
    events: list[dict[str, Any]] = []
    with pytest.raises(ConfigError, match=r"task\.regimes\.batch_sizes asks for 100000"):
        execute(_config(DENSE, task), Store(tmp_path), events.append)
    assert [event["phase"] for event in events] == ["data"]
    assert not (tmp_path / "records").exists()


def test_a_trunk_asks_nothing(tmp_path: Path) -> None:
    config = _config(DENSE, TASK, role="trunk", branch_tokens=[40 * 64])
    record = run_here(config, Store(tmp_path))
    assert not [w for w in record.windows if w.regime is not None]
    assert record.peak_bytes_per_s is None
    assert Store(tmp_path).load_answers(record.run_id) == []


def test_memory_that_ends_is_one_line_that_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(answering, "answer_questions", fail)
    with pytest.raises(RunFailedError, match=r"the 8 questions of task.kinds.lines, .*num_examples"):
        execute(_config(DENSE, dataclasses.replace(TASK, regimes=RegimeConfig())), Store(tmp_path), lambda _: None)


def test_a_sweep_that_memory_does_not_hold_costs_its_regimes_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = OwnEngine.prefill

    def end_memory(self: OwnEngine, prompts: Any, num_new_tokens: int) -> Any:
        if len(prompts) == 4 and len(prompts[0]) == 16:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return given(self, prompts, num_new_tokens)

    monkeypatch.setattr(OwnEngine, "prefill", end_memory)
    regimes = RegimeConfig(
        batch_sizes=[1, 4], context_lengths=[16], answer_lengths=[4], repetitions=1, min_window_s=0.01
    )
    task = TaskConfig(num_examples=3, context_length=8, max_answer_tokens=4, min_window_s=0.01, regimes=regimes)
    record = execute(_config(DENSE, task), Store(tmp_path), lambda _: None)
    assert record.status == "finished"
    assert record.path is not None
    assert {w.regime.batch_size for w in record.windows if w.regime is not None} == {1}
    (finding,) = [finding for finding in record.findings if finding.code == "regime_out_of_memory"]
    assert "sweep, batch 4, 16 in, 4 out" in finding.text
