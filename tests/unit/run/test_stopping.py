"""A worker asked to stop leaves a checkpoint and no record; going on from it is the undisturbed run to the digit."""

from __future__ import annotations

import dataclasses
import itertools
import random
import signal
from pathlib import Path

import pytest

from harness.core.errors import RunFailedError
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run import stop
from harness.run.pretrain import Pretrainer
from harness.train import loop
from harness.train.checkpoint import list_checkpoints
from tests.unit.run.tiny import DENSE, MOE, run_here, tiny_run


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch):
    """Real handlers in this process, and none of it left behind."""
    before = {number: signal.getsignal(number) for number in stop.STOP_SIGNALS}
    stop.install()
    stop._asked.clear()
    yield
    stop._asked.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def essence(record: RunRecord) -> tuple[object, ...]:
    """All of a record that a run computes, without measured time, memory and energy."""
    path = record.path
    work = [(w.phase, w.work.amount) for w in record.windows if w.work is not None and w.phase != "pretrain"]
    return (
        record.quality,
        record.loss_curve,
        record.training_routing,
        record.flops,
        path and (path.tokens, path.flops),
        work,
    )


def _signal_after(monkeypatch: pytest.MonkeyPatch, step: int, number: int) -> None:
    """Send this process a real signal while the step after `step` is trained."""
    train_step = loop._train_step

    def and_signal(state, plan):
        if state.step == step and not stop._asked:
            signal.raise_signal(number)
        return train_step(state, plan)

    monkeypatch.setattr(loop, "_train_step", and_signal)


@pytest.mark.parametrize(
    ("model", "number", "code"), [(DENSE, signal.SIGTERM, 143), (MOE, signal.SIGINT, 130)], ids=["term", "int"]
)
def test_stopped_at_random_steps_and_resumed_equals_the_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model, number: int, code: int
) -> None:
    config = tiny_run(model)
    whole = run_here(config, Store(tmp_path / "whole"))
    store = Store(tmp_path / "stopped")
    seen = []
    for step in sorted(random.Random(number).sample(range(1, 38), 3)):
        with monkeypatch.context() as patch:
            _signal_after(patch, step, number)
            with pytest.raises(stop.StopRun) as stopped:
                run_here(config, store)
        assert stopped.value.code == code
        assert store.load_record(whole.run_id) is None
        checkpoint = list_checkpoints(store.checkpoint_dir(whole.run_id))[-1]
        assert checkpoint.name == f"step-{step + 1:08d}", "the step under way is the last"
        seen.append(step)
        stop._asked.clear()
    resumed = run_here(config, store)
    assert essence(resumed) == essence(whole)
    windows = resumed.windows_of("pretrain")
    edges = [0, *(step + 1 for step in seen), 40]
    assert [w.work.amount for w in windows if w.work] == [
        64 * (later - sooner) for sooner, later in itertools.pairwise(edges)
    ], "each stretch of training is a window of its own, none is lost"
    assert resumed.path is not None
    assert resumed.path.duration_s == pytest.approx(sum(window.duration_s for window in windows))


def test_outside_training_a_request_ends_at_once_and_deferred_it_waits() -> None:
    with pytest.raises(stop.StopRun):
        signal.raise_signal(signal.SIGTERM)
    stop._asked.clear()
    reached = []

    def ask_twice() -> None:
        with stop.deferred():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # a terminal and the parent: one request
            reached.append(stop.requested())

    with pytest.raises(stop.StopRun):
        ask_twice()
    assert reached == [signal.SIGTERM]


def test_a_request_while_the_last_step_is_trained_keeps_all_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, store = tiny_run(DENSE), Store(tmp_path)
    with monkeypatch.context() as patch:
        _signal_after(patch, 39, signal.SIGTERM)
        with pytest.raises(stop.StopRun):
            run_here(config, store)
    stop._asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr("harness.run.pretrain.train_steps", lambda *_: pytest.fail("training was done already"))
        record = run_here(config, store)
    assert record.path is not None
    assert record.path.tokens == 40 * 64


def test_a_damaged_checkpoint_is_passed_over_with_a_finding_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_run(MOE, train={"checkpoint_interval_s": 0.0})
    whole = run_here(config, Store(tmp_path / "whole"))
    store = Store(tmp_path / "damaged")
    with monkeypatch.context() as patch:
        _signal_after(patch, 25, signal.SIGTERM)
        with pytest.raises(stop.StopRun):
            run_here(config, store)
    stop._asked.clear()
    kept = list_checkpoints(store.checkpoint_dir(whole.run_id))
    assert [path.name for path in kept] == ["step-00000020", "step-00000026"], "the last two stay"
    tensors = kept[-1] / "tensors.safetensors"
    flipped = bytearray(tensors.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    tensors.write_bytes(flipped)
    resumed = run_here(config, store)
    assert essence(resumed) == essence(whole)
    assert "checkpoint_damaged" in {finding.code for finding in resumed.findings}


@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_trunk_whose_fork_was_damaged_makes_it_again(tmp_path: Path, how: str) -> None:
    tokens = (20 * 64, 40 * 64)
    trunk = tiny_run(DENSE, role="trunk", branch_tokens=list(tokens), train={"checkpoint_interval_s": 0.0})
    store = Store(tmp_path)
    run_id = run_here(trunk, store).run_id
    branch = tiny_run(DENSE, role="branch", trunk_id=run_id, train={"budget": _budget(trunk, tokens[0])})
    folder = store.checkpoint_dir(run_id)
    forks = {path.name: path for path in list_checkpoints(folder)}
    fork = forks["step-00000016"]
    before = (fork / "tensors.safetensors").read_bytes()
    if how == "cut":
        (fork / "tensors.safetensors").write_bytes(before[:-100])
    else:
        (fork / "state.json").unlink()
    with pytest.raises(RunFailedError, match="--retry-failed"):
        run_here(branch, store)
    run_here(trunk, store)
    assert (fork / "tensors.safetensors").read_bytes() == before
    assert set(forks) <= {path.name for path in list_checkpoints(folder)}
    assert run_here(branch, store).status == "finished"


def test_a_budget_that_had_ended_training_still_does_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_run(DENSE)
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, budget=dataclasses.replace(config.train.budget, seconds=1e-9))
    )
    store = Store(tmp_path)
    save = Pretrainer._save

    def save_and_ask(self, *arguments, **more):
        signal.raise_signal(signal.SIGTERM)
        save(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Pretrainer, "_save", save_and_ask)
        with pytest.raises(stop.StopRun):
            run_here(config, store)
    stop._asked.clear()
    record = run_here(config, store)
    assert record.path is not None
    assert record.path.tokens == 10 * 64
    assert "stopped_by_budget" in {finding.code for finding in record.findings}


def _budget(trunk, tokens: int):
    return dataclasses.replace(trunk.train.budget, tokens=tokens)
