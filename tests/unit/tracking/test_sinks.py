"""Each tracker's files, read back with the tracker's own reader."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.tracking.sink import Point, TrackedRun
from tests.tools import require_module

RUN = TrackedRun(
    run_id="s-dense-s-1M-s0-0", study="s", is_finished=True, params={f"train.p{i}": str(i) for i in range(150)},
    tags={"arm": "dense", "energy_grade": "C"},
    points=tuple(
        Point(step=i * 100, time_s=1e9 + i, values={"train_bits_per_byte": 4.0 - i / 1000}) for i in range(1, 1201)
    ),
    metrics={"modelled_energy_j": 12.5, "train_flops": 2e9}, last_step=120_000, end_s=1e9 + 2000,
)  # fmt: skip


def test_mlflow_reads_back_every_point_setting_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_module("mlflow")
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "true")
    from mlflow.tracking import MlflowClient

    from harness.tracking.mlflow_sink import MLflowSink

    sink = MLflowSink(tmp_path / "mlflow")
    sink.write(RUN)
    sink.close()
    client = MlflowClient(tracking_uri=(tmp_path / "mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("s").experiment_id])
    assert (run.info.run_name, run.info.status) == (RUN.run_id, "FINISHED")
    assert run.data.metrics["modelled_energy_j"] == 12.5
    assert run.data.params == RUN.params
    assert run.data.tags["energy_grade"] == "C"
    history = client.get_metric_history(run.info.run_id, "train_bits_per_byte")
    assert sorted((m.step, m.value) for m in history) == [(p.step, p.values["train_bits_per_byte"]) for p in RUN.points]


def test_tensorboard_reads_back_every_point_and_number(tmp_path: Path) -> None:
    require_module("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from harness.tracking.tensorboard_sink import TensorBoardSink

    sink = TensorBoardSink(tmp_path)
    sink.write(RUN)
    sink.close()
    found = EventAccumulator(str(tmp_path / RUN.run_id), size_guidance={"scalars": 0})
    found.Reload()
    scalars = found.Scalars("train_bits_per_byte")
    assert [scalar.step for scalar in scalars] == [point.step for point in RUN.points]
    assert scalars[-1].value == pytest.approx(2.8)
    assert found.Scalars("modelled_energy_j")[0].value == 12.5
    assert b"| train.p7 | 7 |" in found.Tensors("config")[0].tensor_proto.string_val[0]


def read_log(data: bytes) -> Iterator[bytes]:
    """Yield the records of a log of LevelDB's format behind wandb's header: blocks of 32 KiB, records in pieces."""
    assert data[:4] == b":W&B"
    at, pieces = 7, b""
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:  # no room for a header: the next block
            at += 2**15 - at % 2**15
            continue
        size, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        pieces += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield pieces
            pieces = b""


def test_wandb_writes_offline_and_reads_back_every_number(tmp_path: Path) -> None:
    """In a process of its own, as wandb starts a service; no address is ever asked for, the proxies lead nowhere."""
    require_module("wandb")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from tests.unit.tracking.test_sinks import RUN; from harness.tracking.wandb_sink import WandbSink;"
        "sink = WandbSink(Path(sys.argv[1])); sink.write(RUN); sink.close(); assert 'torch' not in sys.modules"
    )
    nowhere = "http://127.0.0.1:9"
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"http_proxy": nowhere, "https_proxy": nowhere, "HTTPS_PROXY": nowhere, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parents[3])], env=env, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (log,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    steps, summary = 0, {}
    for data in read_log(log.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        steps += record.WhichOneof("record_type") == "history"
        if record.WhichOneof("record_type") == "summary":
            summary |= {item.key or ".".join(item.nested_key): item.value_json for item in record.summary.update}
    assert steps == len(RUN.points)
    assert float(summary["modelled_energy_j"]) == 12.5
