"""Real servers: `transformers serve` with a dense and a sparse model on a CPU; the pair experiment; one that dies."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness.core.answers import TaskResult
from harness.core.boundary import sum_boundary
from harness.core.records import RunRecord
from harness.core.store import Store
from tests.hf_models import save_llama, save_olmoe

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn", "openai")),
    reason="transformers[serving] is not installed",
)
# Two kinds and few questions: both servers share the cores with whatever else the tests run.
FEW = (
    "~task.kinds.line_completion", "~task.kinds.identifier_recall", "~task.kinds.sorting",
    "~task.kinds.bracket_matching", "task.kinds.arithmetic.num_examples=5",
    "task.kinds.key_value_recall.num_examples=5", "task.kinds.arithmetic.context_bytes=120",
    "task.kinds.key_value_recall.context_bytes=200", "measure.idle_s=0.2", "sweep.seeds=[0]",
)  # fmt: skip
START_S = 90.0


class Served:
    """One `transformers serve` with the model in `folder`."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.folder = folder
        self.base_url = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        command = ("serve", "--device", "cpu", "--host", "127.0.0.1", "--port", str(port), str(folder))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "transformers.cli.transformers", *command),
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            )

    def wait(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                httpx.get(f"{self.base_url}/health", timeout=5, trust_env=False).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.2)
            else:
                return
        pytest.fail(f"the server did not come up:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    root = tmp_path_factory.mktemp("models")
    started = {"dense": Served(save_llama(root / "dense")), "moe": Served(save_olmoe(root / "moe"))}
    try:
        for server in started.values():
            server.wait()
        yield started
    finally:
        for server in started.values():
            server.kill()


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "harness", "run", *arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=300,
    )


def _load(root: Path) -> list[tuple[RunRecord, list[TaskResult]]]:
    store = Store(root)
    records, unreadable = store.load_records()
    assert unreadable == []
    return [(record, store.load_answers(record.run_id)) for record in records]


@pytest.fixture(scope="module")
def pair(servers: dict[str, Served], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    folder = tmp_path_factory.mktemp("pair")
    places = [f"server.{arm}={server.base_url}" for arm, server in servers.items()]
    done = _run(folder, "-m", "experiment=pair_serve", *places, *FEW)
    assert done.returncode == 0, done.stderr
    return {record.arm: (record, rows) for record, rows in _load(folder / "runs" / "pair_serve")}


@pytest.mark.parametrize("arm", ["dense", "moe"])
def test_the_pair_experiment_runs_against_both_servers(pair: dict[str, tuple], arm: str) -> None:
    record, rows = pair[arm]
    stats = record.serving
    assert (record.status, record.size, stats.server_model) == ("finished", arm, arm)
    assert stats.num_sent == stats.num_answered + stats.num_failed == len(rows) == 10
    assert stats.num_answered == 10, stats.failures
    assert stats.num_input_tokens == sum(row.num_input_tokens for row in rows)
    assert stats.num_output_tokens == sum(row.num_output_tokens for row in rows)
    assert "tokens_counted_by_chunks" not in {finding.code for finding in record.findings}
    assert {reading.task for reading in record.quality} == {"arithmetic", "key_value_recall"}
    (serve,) = record.windows_of("serve")
    energy_j = sum_boundary(serve.energy).energy_j
    assert energy_j is not None
    assert math.fsum(row.energy_j for row in rows) == pytest.approx(energy_j, rel=1e-9)


@pytest.mark.parametrize("arm", ["dense", "moe"])
def test_tokens_agree_with_what_the_server_says_without_a_stream(
    servers: dict[str, Served], pair: dict[str, tuple], arm: str
) -> None:
    """The same prompts, asked of the server once more in its other format."""
    from harness.core.config import config_from_dict
    from harness.run.serving_plan import plan_requests
    from harness.tasks.suite import build_suite

    record, rows = pair[arm]
    server = servers[arm]
    config = config_from_dict(record.config)
    planned = plan_requests(config, build_suite(config.task.kinds, ()))
    for request, row in list(zip(planned, rows, strict=True))[:4]:
        assert (request.question.kind, request.question.index) == (row.kind, row.index)
        body = {
            "model": str(server.folder), "prompt": request.ask.prompt, "max_tokens": request.ask.max_tokens,
            "temperature": 0, "stop": [request.ask.stop],
        }  # fmt: skip
        answer = httpx.post(f"{server.base_url}/v1/completions", json=body, timeout=60, trust_env=False).json()
        assert answer["usage"]["prompt_tokens"] == row.num_input_tokens
        assert answer["usage"]["completion_tokens"] == row.num_output_tokens


@pytest.mark.parametrize("arm", ["dense", "moe"])
def test_the_same_prompts_through_model_hf_give_the_same_greedy_answers(
    servers: dict[str, Served], pair: dict[str, tuple], tmp_path: Path, arm: str
) -> None:
    folder = servers[arm].folder
    few = [text for text in FEW if not text.startswith("sweep")]
    fixed = ("task=suite", "task.min_window_s=0.05", "num_threads=1")
    done = _run(tmp_path, "model=hf", f"model.path={folder}", *fixed, *few)
    assert done.returncode == 0, done.stderr
    ((record, rows),) = _load(tmp_path / "runs" / "adhoc")
    assert record.model_source.architecture in ("LlamaForCausalLM", "OlmoeForCausalLM")
    ours = {(row.kind, row.index): _visible(row.answer) for row in rows if row.repetition == 0}
    served = {(row.kind, row.index): _visible(row.answer) for row in pair[arm][1]}
    assert ours == served
    assert len(set(served.values())) > 3  # answers that are all alike would show nothing


def test_chat_completions_work_too(servers: dict[str, Served], tmp_path: Path) -> None:
    place = f"server.base_url={servers['dense'].base_url}"
    limits = ("server.request_rate=4", "server.burstiness=0.5", "server.max_e2e_s=30", "server.num_requests=6")
    few = [text for text in FEW if not text.startswith("sweep")]
    done = _run(tmp_path, "task=serve", place, "server.api=chat", *limits, *few)
    assert done.returncode == 0, done.stderr
    ((record, rows),) = _load(tmp_path / "runs" / "adhoc")
    stats = record.serving
    assert (stats.api, stats.num_answered, stats.request_rate_per_s) == ("chat", 6, 4.0)
    assert stats.goodput_per_s == pytest.approx(stats.requests_per_s)
    assert stats.send_lateness_s.n == 6
    # The chat template is in the prompt that the server counts, and never in the text that is hashed.
    assert all(row.num_input_tokens > 20 for row in rows)


def test_a_server_killed_in_mid_run_fails_the_run_and_keeps_its_answers(
    tmp_path: Path, servers: dict[str, Served]
) -> None:
    mortal = Served(save_llama(tmp_path / "mortal"))
    try:
        mortal.wait()
        few = [text for text in FEW if not text.startswith("sweep")]
        load = ("task.repetitions=40", "server.timeout_s=20", "server.max_run_s=120", "server.max_retries=1")
        command = (
            sys.executable,
            "-m",
            "harness",
            "run",
            "task=serve",
            f"server.base_url={mortal.base_url}",
            *load,
            *few,
        )
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
            until = time.monotonic() + 100
            while mortal.log.read_text().count("POST /v1/completions") < 12 and time.monotonic() < until:
                time.sleep(0.05)
            mortal.process.send_signal(signal.SIGKILL)
            _, errors = run.communicate(timeout=120)
    finally:
        mortal.kill()
    assert run.returncode == 1, errors
    assert "failed" in errors
    ((record, rows),) = _load(tmp_path / "runs" / "adhoc")
    assert record.status == "failed"
    assert "given up" in record.error or "is gone" in record.error
    answered = sum(row.status == "answered" for row in rows)
    assert 0 < answered == record.serving.num_answered < record.serving.num_sent == len(rows) < 400
    assert {"refused", "dropped_stream"} & set(record.serving.failures)
    (serve,) = record.windows_of("serve")
    assert serve.work.num_tasks == answered
    lines = (tmp_path / "runs" / "adhoc" / "answers" / f"{record.run_id}.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines].count("answered") == answered


def _visible(answer: str) -> str:
    """Leave out a character that the end of an answer cut off: a stream holds it back, a whole text shows it broken."""
    return re.sub(r"[\ufffd\s]+$", "", answer)
