"""Trackers get what a run was, and whatever happens to one of them, the runs go on."""

from __future__ import annotations

import threading
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.core.readings import EnergyReading
from harness.core.records import PathCost, QualityReading, RunRecord
from harness.tracking import tracker as module
from harness.tracking.metrics import collect_metrics, collect_params, collect_tags
from harness.tracking.sink import MissingSinkError, TrackedRun
from harness.tracking.tracker import MAX_POINTS, Tracker, check_sinks


def make_reading(**changes: Any) -> EnergyReading:
    fields: dict[str, Any] = {
        "sensor": "rapl", "domain": "cpu", "device": "cpu", "device_index": 0, "energy_j": 12.5, "grade": "A",
        "method": "counter",
    }  # fmt: skip
    return EnergyReading(**{**fields, **changes})


def make_record(*readings: EnergyReading, **changes: Any) -> RunRecord:
    path = PathCost(tokens=1000, flops=2e9, duration_s=3.0, energy=readings, peak_memory_bytes=None)
    loss = QualityReading(
        metric="validation_bits_per_byte", value=2.5, stderr=None, num_samples=1, higher_is_better=False, task="t",
        task_version=1, data_sha256="0",
    )  # fmt: skip
    unknown = QualityReading(
        metric="exact_match", value=None, stderr=None, num_samples=0, higher_is_better=True, task="t", task_version=1,
        data_sha256="0", reason="nothing was asked",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "schema_version": 3, "run_id": "s-dense-s-1M-s0-0", "study": "s", "role": "single", "arm": "dense", "size": "s",
        "seed": 0, "status": "finished", "started_utc": "2026-11-01T00:00:00Z", "config": {}, "config_hash": "0",
        "path": path, "quality": (loss, unknown),
    }  # fmt: skip
    return RunRecord(**{**fields, **changes})


class Kept:
    """A tracker that keeps what it gets."""

    runs: list[TrackedRun]

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.is_closed = folder, [], False

    def write(self, run: TrackedRun) -> None:
        self.runs.append(run)

    def close(self) -> None:
        self.is_closed = True


def progress(step: int, loss: float | None = 3.0) -> dict[str, Any]:
    return {"event": "progress", "phase": "pretrain", "done": step, "total": 10, "loss": loss}


def test_numbers_have_units_and_what_is_unknown_is_left_out() -> None:
    found = collect_metrics(make_record(make_reading()))
    assert found["energy_j"] == 12.5
    assert found["validation_bits_per_byte"] == 2.5
    assert (found["train_flops"], found["train_tokens"], found["train_duration_s"]) == (2e9, 1000.0, 3.0)
    assert not {"exact_match", "mfu", "peak_memory_bytes", "net_energy_j"} & set(found)
    assert 0.0 not in {value for name, value in found.items() if name != "num_findings"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"grade": "C", "method": "modelled"}, "modelled_energy_j"),
        ({"grade": "D", "method": "modelled"}, "modelled_energy_j"),
        ({"simulated": True}, "simulated_energy_j"),
    ],
)
def test_energy_that_no_sensor_measured_is_never_called_energy(changes: dict[str, Any], name: str) -> None:
    record = make_record(make_reading(**changes))
    found = collect_metrics(record)
    assert found[name] == 12.5
    assert "energy_j" not in found
    assert collect_tags(record)["energy_grade"] in "CD"


def test_a_run_without_a_sensor_has_no_energy_at_all() -> None:
    record = make_record(make_reading(energy_j=None, reason="the sensor went away"))
    assert not [name for name in collect_metrics(record) if "energy" in name]


def test_settings_hold_no_place_of_this_machine() -> None:
    config = RunConfig()
    config.server.base_url = "http://secret.example:8000"
    params = collect_params(config)
    assert params["server.base_url"] == "http://(another host)"
    assert params["train.budget.tokens"] == "1000000"


def test_progress_is_written_when_the_run_ended_and_not_before(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    tracker = Tracker(["kept"], tmp_path, {"kept": lambda folder: kept})
    tracker.begin()
    for step in (1, 2, 3):
        tracker.on_event(progress(step), 100)
    tracker.on_event({"event": "phase", "phase": "evaluate"}, 100)
    tracker.on_event(progress(4, loss=None), 100)
    assert kept.runs == []
    tracker.end(RunConfig(), make_record())
    tracker.begin()
    tracker.end(RunConfig(), make_record(status="failed", error="no\nmore"))
    first, second = kept.runs
    assert [point.step for point in first.points] == [100, 200, 300]
    assert first.last_step == 300
    assert second.points == ()
    assert not second.is_finished
    assert second.tags["error"] == "no"
    tracker.close()
    assert kept.is_closed


def test_a_long_run_is_thinned_and_keeps_its_span(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    tracker = Tracker(["kept"], tmp_path, {"kept": lambda folder: kept})
    tracker.begin()
    for step in range(1, 20 * MAX_POINTS + 1):
        tracker.on_event(progress(step), 1)
    tracker.end(RunConfig(), make_record())
    steps = [point.step for point in kept.runs[0].points]
    assert MAX_POINTS / 2 <= len(steps) < MAX_POINTS
    assert steps == sorted(steps)
    assert steps[-1] > 19 * MAX_POINTS


@pytest.mark.parametrize("error", [RuntimeError("no\ndisk"), SystemExit(1), OSError(28, "No space left")])
@pytest.mark.parametrize("where", ["import", "write"])
def test_a_tracker_that_breaks_is_one_line_and_the_others_go_on(
    error: BaseException, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Any:
        raise error

    kept, broken = Kept(tmp_path), Kept(tmp_path)
    broken.write = fail  # type: ignore[method-assign]
    makers = {"broken": fail if where == "import" else lambda _: broken, "kept": lambda _: kept}
    tracker = Tracker(["broken", "kept"], tmp_path, makers)
    for _ in range(2):
        tracker.begin()
        tracker.end(RunConfig(), make_record())
    tracker.close()
    assert len(kept.runs) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("isojoule: tracking to broken ends here, the runs go on: ")


def test_a_tracker_that_hangs_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "TIME_LIMIT_S", 0.2)
    release = threading.Event()
    kept = Kept(tmp_path)

    def hang(_: Path) -> Any:
        release.wait(60)

    tracker = Tracker(["hanging", "kept"], tmp_path, {"hanging": hang, "kept": lambda _: kept})
    for _ in range(2):
        tracker.end(RunConfig(), make_record())
    tracker.close()
    release.set()
    assert len(kept.runs) == 2
    assert capsys.readouterr().err.count("tracking to hanging ends here") == 1


def test_an_unknown_a_repeated_and_a_missing_tracker_are_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'mlflow'"):
        check_sinks(["mlfow"])
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "wandb" else find("json"))
    with pytest.raises(ConfigError, match="twice"):
        check_sinks(["mlflow", "mlflow"])
    with pytest.raises(MissingSinkError, match=r"isojoule\[track\]"):
        check_sinks(["mlflow", "wandb"])
