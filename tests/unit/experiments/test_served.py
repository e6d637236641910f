"""Servers before a study: found, named, and one clear line for each mistake; nothing is measured before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness.experiments import served
from harness.experiments.compose import compose_app, to_run_config
from harness.experiments.preflight import check_before_run

from harness.cli.command import main
from harness.core.config import RunConfig, config_to_dict
from harness.core.errors import ConfigError
from harness.core.store import Store
from tests.scripted_server import Reply, ScriptedServer

FEW = ("~task.kinds.line_completion", "~task.kinds.identifier_recall", "task.kinds.arithmetic.num_examples=12")


def _compose(*overrides: str) -> RunConfig:
    return to_run_config(compose_app(["task=serve", *FEW, *overrides]))


def test_task_serve_asks_the_suite_of_a_server_and_builds_no_model_of_ours() -> None:
    config = _compose("server.base_url=http://127.0.0.1:8000", "server.model=org/some-model")
    assert (config.task.mode, config.model.family, config.model.size) == ("server", "hf", "some-model")
    assert set(config.task.kinds) == {"arithmetic", "key_value_recall", "sorting", "bracket_matching"}


def test_the_name_of_the_only_model_becomes_part_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    served._only_model.cache_clear()
    with ScriptedServer(models=("/models/one",)) as server:
        config = served.resolve_served(_compose(f"server.base_url={server.base_url}"))
        again = served.resolve_served(_compose(f"server.base_url={server.base_url}"))
    assert (config.server.model, config.model.size) == ("/models/one", "one")
    assert again == config
    # a server that has died since is not asked again: its runs fail, not the study
    assert served.resolve_served(_compose(f"server.base_url={server.base_url}")) == config


def test_a_name_that_was_given_is_kept_without_asking() -> None:
    config = _compose("server.base_url=http://127.0.0.1:1", "server.model=m")
    assert served.resolve_served(config) == config


def test_both_servers_of_a_pair_are_checked_before_the_first_run() -> None:
    def check(*places: str) -> None:
        overrides = ["experiment=pair_serve", *FEW, *places]
        check_before_run(compose_app(overrides), lambda more: compose_app([*overrides, *more]))

    with ScriptedServer() as one, ScriptedServer(models=("a", "b")) as two:
        check(f"server.dense={one.base_url}", f"server.moe={two.base_url}", "server.moe_model=b")
        with pytest.raises(ConfigError, match="has 2 models"):
            check(f"server.dense={one.base_url}", f"server.moe={two.base_url}")
        with pytest.raises(ConfigError, match=r"has no model 'c'; it has: a, b"):
            check(f"server.dense={one.base_url}", f"server.moe={two.base_url}", "server.moe_model=c")
        with pytest.raises(ConfigError, match=r"server\.moe is missing"):
            check(f"server.dense={one.base_url}")
    with pytest.raises(ConfigError, match="no server answers"):
        check(f"server.dense={one.base_url}", f"server.moe={two.base_url}")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("server.base_url=http://127.0.0.1:1", "no server answers at http://127.0.0.1:1"),
        ("server.base_url=127.0.0.1:8000", "give the server's address"),
        ("server.base_url=http://127.0.0.1:99999", "give the server's address"),
        ("server.base_url='http://127.0.0.1/?token=1'", "give the server's address"),
        ("server.base_url=http://", "give the server's address"),
        ("server.base_url='http://[::1'", "give the server's address"),
        ("server.base_url=http://xn--a", "no server answers"),
        ("server.base_url=http://user:word@127.0.0.1", "holds a user or password"),
        ("server.api=chatt", "did you mean 'chat'"),
        ("server.concurrency=-1", "give 0 or more"),
        ("server.timeout_s=0", "server.timeout_s is 0"),
        ("server.timeout_s=inf", "server.timeout_s is inf; give a number"),
        ("server.request_rate=inf", "server.request_rate is inf; give a number above 0, or null"),
        ("task.answer=false", "nothing to do"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str, words: str
) -> None:
    base = [] if place.startswith("server.base_url") else ["server.base_url=http://127.0.0.1:1"]
    assert main(("run", "task=serve", f"store={tmp_path}/s", *base, place, *FEW)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words.lower() in lines[0].lower()
    assert not (tmp_path / "s").exists()


def test_a_sweep_of_an_engine_is_no_sweep_of_a_server() -> None:
    lists = [f"task.regimes.{name}=[1,2]" for name in ("batch_sizes", "context_lengths", "answer_lengths")]
    with pytest.raises(ConfigError, match=r"server\.concurrency=1,4,16"):
        _compose("server.base_url=http://127.0.0.1:1", *lists)


def test_garbage_from_the_first_answer_is_a_failed_record_and_exit_code_1(tmp_path: Path) -> None:
    async def garbage(reply: Reply) -> None:
        await reply.begin()
        await reply.part("<html>not a stream</html>\n")
        await reply.end()

    with ScriptedServer(garbage) as server:
        config = _compose(f"server.base_url={server.base_url}", "server.model=scripted", "measure.idle_s=0.05")
        job = {"run_id": "some-run-12345678", "store": str(tmp_path), "config": config_to_dict(config)}
        file = tmp_path / "job.json"
        file.write_text(json.dumps(job))
        done = subprocess.run(
            (sys.executable, "-m", "harness.run.worker", str(file)),
            check=False, timeout=120, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    record = Store(tmp_path).load_record("some-run-12345678")
    assert record.status == "failed"
    assert "answered no request before the measurement (malformed_chunk)" in record.error
    assert "<html>" in record.error
