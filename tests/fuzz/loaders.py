"""Every loader of a file that somebody else may have written, as a function of its bytes.

A loader takes what it reads or refuses it with a `HarnessError` of one line (a few answer ``None``); whatever else
comes out of it is a finding.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from harness.analysis.claims.spec import read_claim_files
from harness.analysis.imported.beside_energy import load_measurement
from harness.analysis.imported.reading import load_serving_results
from harness.analysis.laws.read import read_points
from harness.analysis.match import load_and_match
from harness.analysis.projection.files import load_named
from harness.analysis.projection.hardware import Card
from harness.core.config import DataConfig, config_from_dict, validate_run
from harness.core.errors import HarnessError
from harness.core.markers import load_marker, owner_state
from harness.core.plain_json import PlainJsonError, parse_json
from harness.core.records import record_from_json, record_to_json
from harness.core.store import Store
from harness.core.study import load_study
from harness.core.task_config import KindConfig
from harness.data import prepare
from harness.exports.formats import export_store
from harness.flops.published.count import count_model
from harness.flops.published.readers import read_shape
from harness.infer.huggingface.folder import find_hf_folder
from harness.models.folder import read_config
from harness.run.study_status import read_status
from harness.run.study_status_text import status_to_json, status_to_text
from harness.sensors import profile
from harness.sensors.replay import read_trace
from harness.tasks.kinds.jsonl import build_questions
from harness.train.checkpoint import find_last_good, open_checkpoint
from harness.train.integrity import STATE, TENSORS
from tests.unit.analysis.imported import files

Loader = Callable[[bytes, Path], None]
MAX_MESSAGE = 2000


def run_loader(name: str, data: bytes, folder: Path) -> str | None:
    """Give `data` to the loader `name` in the empty `folder`; return why it refused, ``None`` where it did not.

    Raises:
        AssertionError: the refusal is no clear line.
        Exception: whatever a loader lets through; this is what the fuzzer looks for.
    """
    try:
        LOADERS[name](data, folder)
    except HarnessError as error:
        refusal = error
    else:
        return None
    text = str(refusal)
    assert text.strip(), "an empty message"
    assert len(text) <= MAX_MESSAGE, f"a message of {len(text)} characters"
    assert refusal.exit_code == 2, f"exit code {refusal.exit_code}"
    return text


def _record(data: bytes, folder: Path) -> None:
    record = record_from_json(data, "a.json")
    assert record_from_json(record_to_json(record), "again") == record
    store = Store(folder)
    for path in (store.record_path(record.run_id), store.log_path(record.run_id), store.model_dir(record.run_id)):
        assert path.resolve().parent.parent == folder.resolve(), f"{path} is outside of the store"


def _store(data: bytes, folder: Path) -> None:
    """Take the file as one record of a store beside a good one, and judge and export that store."""
    _write(folder / "records" / "a.json", data)
    _write(folder / "records" / "b.json", GOOD_RECORD)
    load_and_match(folder)
    export_store(folder, "parquet", folder / "out")


def _study(data: bytes, folder: Path) -> None:
    study = load_study(_write(folder / "study.json", data).parent)
    assert study is not None


def _answers(data: bytes, folder: Path) -> None:
    _write(folder / "answers" / "a.jsonl", data)
    Store(folder).load_answers("a")


def _trace(data: bytes, folder: Path) -> None:
    _write(folder / "traces" / "a.json", data)
    trace = Store(folder).load_trace("a")
    assert trace is None or isinstance(trace, dict)


def _marker(data: bytes, folder: Path) -> None:
    path = _write(folder / "started" / "a.json", data)
    load_marker(path)
    assert owner_state(path) in ("alive", "dead", "absent")


def _job(data: bytes, folder: Path) -> None:
    try:
        values = parse_json(data)
    except PlainJsonError:
        return
    if isinstance(values, dict):
        validate_run(config_from_dict(values))


def _shape(data: bytes, folder: Path) -> None:
    count_model(read_shape(_write(folder / "config.json", data)))


def _hf_folder(data: bytes, folder: Path) -> None:
    _write(folder / "config.json", b"{}")
    _write(folder / "model.safetensors.index.json", data)
    find_hf_folder(str(folder))


def _manifest(data: bytes, folder: Path) -> None:
    _write(folder / "manifest.json", data)
    assert prepare._load(folder, DataConfig()) is None


def _serving(data: bytes, folder: Path) -> None:
    load_serving_results(_write(folder / "result.json", data))


def _measurement(data: bytes, folder: Path) -> None:
    load_measurement(_write(folder / "energy.json", data))


def _points(data: bytes, folder: Path) -> None:
    read_points(_write(folder / "points.csv", data))


def _card(data: bytes, folder: Path) -> None:
    load_named("hardware", str(_write(folder / "card.yaml", data)), Card)


def _claim(data: bytes, folder: Path) -> None:
    list(read_claim_files(_write(folder / "claim.yaml", data).parent))


def _questions(data: bytes, folder: Path) -> None:
    path = str(_write(folder / "questions.jsonl", data))
    build_questions("own", KindConfig(name="jsonl", options={"path": path}), "task.kinds.own", (), None)


def _profile(data: bytes, folder: Path) -> None:
    os.environ["ISOJOULE_PROFILES"] = str(folder)
    _write(profile.find_file("GPU-1"), data)
    profile.load("GPU-1", "1")


def _replay(data: bytes, folder: Path) -> None:
    read_trace(_write(folder / "trace.csv", data))


def _checkpoint(data: bytes, folder: Path) -> None:
    _write(folder / "step-00000001" / STATE, data)
    save_file({"model.embedding.weight": np.zeros((256, 8), np.float32)}, folder / "step-00000001" / TENSORS)
    find_last_good(folder)
    _write(folder / "step-00000001" / STATE, data)
    if (folder / "step-00000001" / TENSORS).is_file():  # a damaged one was removed
        open_checkpoint(folder / "step-00000001")


def _model(data: bytes, folder: Path) -> None:
    read_config(_write(folder / "model.json", data).parent)


def _status(data: bytes, folder: Path) -> None:
    """Take the file as one record of a study, and tell how that study stands."""
    _write(folder / "records" / "a.json", data)
    _write(folder / "records" / "b.json", GOOD_RECORD)
    _write(folder / "study.json", GOOD_STUDY)
    status = read_status(folder)
    json.dumps(status_to_json(status), allow_nan=False)
    status_to_text(status)


def _schedule(data: bytes, folder: Path) -> None:
    _write(folder / "schedule.json", data)
    _write(folder / "records" / "b.json", GOOD_RECORD)
    _write(folder / "study.json", GOOD_STUDY)
    status = read_status(folder)
    json.dumps(status_to_json(status), allow_nan=False)


LOADERS: dict[str, Loader] = {
    "record": _record,
    "study": _study,
    "answers": _answers,
    "trace": _trace,
    "marker": _marker,
    "job": _job,
    "shape": _shape,
    "hf_folder": _hf_folder,
    "manifest": _manifest,
    "serving": _serving,
    "measurement": _measurement,
    "points": _points,
    "card": _card,
    "claim": _claim,
    "questions": _questions,
    "profile": _profile,
    "replay": _replay,
    "checkpoint": _checkpoint,
    "model": _model,
    "schedule": _schedule,
    "status": _status,
    "store": _store,
}


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def empty(folder: Path) -> Path:
    """Return `folder` with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


ROOT = Path(__file__).parents[2]
_QUICK = ROOT / "reports" / "2026-11_iso_loss_quick_cpu"
GOOD_RECORD = min((_QUICK / "records").glob("*-moe-*.json")).read_bytes()
GOOD_STUDY = (_QUICK / "study.json").read_bytes()


def seeds() -> list[tuple[str, bytes]]:
    """Return good files of each kind that the fuzzer begins with, as (loader, content)."""
    reports = sorted((ROOT / "reports").glob("20*"))
    found: list[tuple[str, bytes]] = []
    for report in reports:
        records = sorted((report / "records").glob("*.json"))
        found += [
            (name, path.read_bytes()) for path in (records[0], records[-1]) for name in ("record", "status", "store")
        ]
        found.append(("study", (report / "study.json").read_bytes()))
        found.append(("trace", min((report / "traces").glob("*.json")).read_bytes()))
        found.append(("job", json.dumps(json.loads(records[0].read_bytes())["config"]).encode()))
    found += [("shape", path.read_bytes()) for path in sorted((ROOT / "conf" / "published").glob("*.json"))]
    found += [("card", path.read_bytes()) for path in sorted((ROOT / "conf" / "hardware").glob("*.yaml"))]
    found += [("claim", path.read_bytes()) for path in sorted((ROOT / "conf" / "claim").glob("*.yaml"))]
    found += [(name, text.encode()) for name, text in _SHORT]
    return found


_ANSWER = {
    "kind": "arithmetic", "index": 0, "repetition": 0, "status": "answered", "prompt_sha256": "0" * 64,
    "expected": "4", "answer": "4", "correct": True, "num_input_tokens": 5, "num_output_tokens": 1, "answer_bytes": 1,
    "energy_j": 0.5, "energy_grade": "A", "energy_share": "equal", "seconds": 0.1,
}  # fmt: skip
_FIT = {"value": 0.1}
_MODEL = {"vocab_size": 256, "d_model": 8, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "d_ff": 8}
_STATE = {
    "step": 1, "losses": [[64, 5.5]], "expert_rows": [[1, 2]], "micro_batch_size": 4, "model": _MODEL,
    "load": {"load": [[0.5, 0.5]], "violation": [0.0], "num_steps": 1}, "pending": [5.5],
    "extra": {"windows": [], "prefix": None, "path": None, "findings": [], "stopped": False},
}  # fmt: skip
_PROFILE = {
    "schema_version": profile.PROFILE_VERSION, "uuid": "GPU-1", "device": "d", "driver_version": "1",
    "date": "2026-11-01", "harness_version": "0.1.0", "quick": True, "read_interval_s": 0.001,
    "counter_period_s": _FIT, "counter_jitter_s": _FIT, "idle_w": _FIT, "idle_drift_w": _FIT, "signals": [],
}  # fmt: skip
_SHORT = [
    ("answers", json.dumps(_ANSWER) + "\n" + json.dumps(_ANSWER) + "\n"),
    ("marker", json.dumps({"owner": {"host": "h", "boot_id": "b", "pid_namespace": "p", "pid": 4, "began_ticks": 7}})),
    ("hf_folder", json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})),
    (
        "manifest",
        json.dumps({"contents": {"files": {"train.npy": "0"}, "info": {}, "num_skipped_files": 0}, "sha256": "0"}),
    ),
    ("serving", json.dumps(files.VLLM)),
    ("serving", json.dumps(files.guidellm_report(files.guidellm_benchmark()))),
    ("serving", json.dumps(files.GUIDELLM_OLD)),
    ("serving", json.dumps(files.AIPERF)),
    ("serving", files.AIPERF_CSV),
    ("measurement", json.dumps(files.measurement())),
    ("points", "params,tokens,loss,seed\n1e6,2e7,3.5,0\n2e6,2e7,3.2,0\n"),
    (
        "questions",
        '{"prompt": "2 + 2 =", "answer": "4"}\n{"prompt": "a", "answer": "b", "choices": ["b", "c"], "scoring": "choice"}\n',  # noqa: E501
    ),
    ("profile", json.dumps(_PROFILE)),
    ("checkpoint", json.dumps(_STATE)),
    ("model", json.dumps({"format": 1, "config": _MODEL, "published": {}})),
    ("schedule", json.dumps({"budget": {"seconds": 3.0, "joules": None, "flops": 1e12}, "train_flops": {"a": 1e9}})),
    ("replay", "time_s,power_w\n0,10\n1,12\n2,9\n"),
]
