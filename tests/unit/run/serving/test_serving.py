"""A run against a server, in this process: rows, windows and statistics agree, and what goes wrong is in the record."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import pytest

from harness.core.answers import TaskResult
from harness.core.config import ExternalMeterConfig, MeasureConfig, RunConfig, SensorConfig, TaskConfig
from harness.core.errors import ConfigError, RunFailedError
from harness.core.model_config import HuggingFaceConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.task_config import KindConfig, ServerConfig
from harness.run.serving import energy as energy_module
from harness.run.serving.run import execute_serving
from harness.serving import client as client_module
from harness.serving import steady as steady_module
from tests.scripted_server import MODEL, Reply, Script, ScriptedServer, answer_well

ARITHMETIC = KindConfig(name="arithmetic", num_examples=12, max_answer_tokens=8)


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_BACKOFF_S", 0.01)


def _config(base_url: str, task: dict[str, Any] | None = None, **server: Any) -> RunConfig:
    values = {"base_url": base_url, "model": MODEL, "concurrency": 2, "num_warmup": 1, "timeout_s": 5.0, **server}
    return RunConfig(
        model=HuggingFaceConfig(),
        task=TaskConfig(mode="server", kinds={"arithmetic": ARITHMETIC}, **task or {}),
        server=ServerConfig(**values),
        measure=MeasureConfig(sensor=SensorConfig(names=["synthetic"]), idle_s=0.05, poll_interval_s=0.01),
    )


def _run(config: RunConfig, folder: Path) -> tuple[RunRecord, list[TaskResult]]:
    store = Store(folder)
    record = execute_serving(config, store, lambda _: None)
    assert store.load_record(record.run_id) == record
    rows = store.load_answers(record.run_id)
    stats = record.serving
    assert stats.num_sent == stats.num_answered + stats.num_failed == len(rows)
    assert sum(stats.failures.values()) == stats.num_failed == sum(row.status == "failed" for row in rows)
    return record, rows


def _run_script(script: Script, folder: Path, **server: Any) -> tuple[RunRecord, list[TaskResult]]:
    with ScriptedServer(script) as served:
        return _run(_config(served.base_url, **server), folder)


def _codes(record: RunRecord) -> set[str]:
    return {finding.code for finding in record.findings}


async def _answer_right(reply: Reply) -> None:
    """Add up what the last line of the prompt asks, digit by digit."""
    sums = reply.body["prompt"].splitlines()[-1].removeprefix("calc ").removesuffix("=").replace(" ", "")
    right = " ".join(str(sum(int(part) for part in sums.split("+"))))
    await answer_well(reply, (*(f" {word}" for word in right.split()), "\n"), gap_s=0.002)


def test_energies_of_the_requests_add_up_to_the_energy_of_the_run(tmp_path: Path) -> None:
    record, rows = _run_script(_answer_right, tmp_path)
    assert (record.status, record.error) == ("finished", None)
    (serve,) = record.windows_of("serve")
    assert math.fsum(row.energy_j for row in rows) == pytest.approx(serve.energy[0].energy_j, rel=1e-12)
    assert {row.energy_share for row in rows} == {"tokens"}
    assert {row.energy_grade for row in rows} == {"D"}
    assert (serve.work.num_tasks, serve.work.num_correct, serve.regime.kind) == (12, 12, "arithmetic")
    assert serve.work.num_output_tokens == record.serving.num_output_tokens == sum(r.num_output_tokens for r in rows)
    assert serve.work.num_input_tokens == 12 * 7
    assert record.windows_of("warmup")[0].work.num_input_tokens == 7
    (reading,) = record.quality
    assert (reading.task, reading.value, reading.num_samples) == ("arithmetic", 1.0, 12)
    assert 0 < reading.chance < 1
    assert [window.phase for window in record.windows] == ["warmup", "idle_resident", "serve", "idle_after"]
    assert serve.energy[0].idle_w == pytest.approx(100, rel=0.05)


def test_a_longer_answer_bears_more_of_the_energy(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        await answer_well(reply, ("x",) * (1 + 13 * (reply.number % 2)))

    _, rows = _run_script(script, tmp_path)
    by_tokens = {row.num_output_tokens: row.energy_j for row in rows}
    assert by_tokens[14] / by_tokens[1] == pytest.approx((7 + 14) / (7 + 1))


def test_failed_requests_keep_a_row_and_answered_ones_bear_their_energy(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        if reply.number == 5:
            await reply.status(400, {"error": "this one not"})
        else:
            await _answer_right(reply)

    record, rows = _run_script(script, tmp_path)
    assert record.status == "finished"
    assert record.serving.failures == {"http_4xx": 1}
    (failed,) = [row for row in rows if row.status == "failed"]
    assert (failed.energy_j, failed.correct, failed.answer, failed.http_status) == (None, None, None, 400)
    assert "this one not" in failed.reason
    (serve,) = record.windows_of("serve")
    assert math.fsum(row.energy_j or 0 for row in rows) == pytest.approx(serve.energy[0].energy_j, rel=1e-12)
    assert {"requests_failed", "questions_unanswered"} <= _codes(record)
    assert record.quality[0].num_samples == 11


def test_a_server_without_usage_and_stream_options_gives_equal_shares(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        if {"stream_options", "seed"} & set(reply.body):
            await reply.status(422, {"detail": "extra fields not permitted"})
            return
        await reply.begin()
        await reply.part(": keep-alive\r\n\r\n")
        await reply.word("7", "length")
        await reply.end()

    record, rows = _run_script(script, tmp_path)
    assert record.status == "finished"
    assert (record.serving.num_input_tokens, record.serving.num_output_tokens) == (None, 12)
    assert "chunks" in record.serving.token_source
    assert {window.work.num_input_tokens for window in record.windows if window.work is not None} == {None}
    assert {row.energy_share for row in rows} == {"equal"}
    assert {"fields_left_out", "no_done_mark", "tokens_counted_by_chunks", "equal_energy_shares"} <= _codes(record)


def test_a_server_killed_in_the_middle_fails_the_run_and_keeps_what_there_is(tmp_path: Path) -> None:
    with ScriptedServer() as served:

        async def script(reply: Reply) -> None:
            if reply.number == 9:
                served.kill_here()
            else:
                await _answer_right(reply)

        served._script = script
        record, rows = _run(_config(served.base_url, {"repetitions": 5}), tmp_path)
    assert record.status == "failed"
    assert "given up" in record.error
    assert "refused" in record.error
    answered = [row for row in rows if row.status == "answered"]
    assert 5 <= len(answered) <= 8
    assert all(row.correct for row in answered)
    assert "requests_not_sent" in _codes(record)
    (serve,) = record.windows_of("serve")
    assert math.fsum(row.energy_j or 0 for row in rows) == pytest.approx(serve.energy[0].energy_j, rel=1e-12)


def test_a_server_gone_with_the_last_request_fails_the_run(tmp_path: Path) -> None:
    with ScriptedServer() as served:

        async def script(reply: Reply) -> None:
            if reply.number == 13:  # two requests before the measurement, twelve in it
                await reply.begin()
                await reply.word("3")
                served.kill_here()
            else:
                await _answer_right(reply)

        served._script = script
        record, rows = _run(_config(served.base_url, concurrency=1), tmp_path)
    assert record.status == "failed"
    assert "is gone (11 of 12 requests were answered" in record.error
    assert rows[-1].reason.startswith("dropped_stream")


def test_garbage_after_the_warm_up_fails_the_run(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        if reply.number < 2:
            await _answer_right(reply)
            return
        await reply.begin()
        await reply.part(b"\xff\xfe garbage \x00\n\n")
        await reply.end()

    record, rows = _run_script(script, tmp_path)
    assert record.status == "failed"
    assert set(record.serving.failures) <= {"malformed_chunk", "given_up"}
    assert all(row.energy_j is None for row in rows)
    assert record.quality[0].value is None
    assert record.quality[0].reason


def test_a_slow_server_ends_with_the_time_of_the_run(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        await answer_well(reply, gap_s=0.0 if reply.number < 6 else 30.0)

    began = time.monotonic()
    record, rows = _run_script(script, tmp_path, max_run_s=5.0, timeout_s=60.0)
    assert time.monotonic() - began < 25
    assert record.status == "failed"
    assert "max_run_s" in record.error
    assert record.serving.failures == {"run_timeout": 2}
    assert sum(row.status == "answered" for row in rows) == 4


def test_a_server_that_answers_nothing_at_all_is_a_failed_run_in_one_line(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        await reply.status(500, {"error": "no memory"})

    with pytest.raises(RunFailedError, match=r"answered no request before the measurement \(http_5xx\).*no memory"):
        _run_script(script, tmp_path)


def test_many_failures_fail_a_run_and_few_do_not(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        if reply.number % 3 == 2:
            await reply.status(400, {})
        else:
            await _answer_right(reply)

    record, _ = _run_script(script, tmp_path)
    assert record.status == "failed"
    assert "4 of 12 requests failed, more than 10%" in record.error


def test_an_open_loop_has_no_steady_stretch_and_tells_the_lateness_of_the_client(tmp_path: Path) -> None:
    record, _ = _run_script(_answer_right, tmp_path, request_rate=100.0, concurrency=0)
    stats = record.serving
    assert (stats.request_rate_per_s, stats.burstiness, stats.concurrency) == (100.0, 1.0, None)
    assert "open loop" in stats.steady_reason
    assert stats.send_lateness_s.n == 12
    assert stats.send_lateness_s.maximum >= 0


def test_an_open_loop_has_no_limit_unless_one_is_given(tmp_path: Path) -> None:
    async def slow(reply: Reply) -> None:
        await answer_well(reply, gap_s=0.1)

    loop = {"request_rate": 200.0, "num_warmup": 0}
    free, _ = _run_script(slow, tmp_path / "free", concurrency=0, **loop)
    assert free.serving.max_in_flight > 4
    assert free.windows_of("serve")[0].regime is None
    limited, _ = _run_script(slow, tmp_path / "limited", concurrency=3, **loop)
    assert limited.serving.max_in_flight == 3
    assert "requests_waited" in _codes(limited)
    closed, _ = _run_script(slow, tmp_path / "closed", concurrency=0)
    assert (closed.serving.concurrency, closed.serving.max_in_flight) == (4, 4)


def test_the_steady_window_is_read_afterwards_inside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_module, "MIN_STEADY_S", 0.1)
    monkeypatch.setattr(steady_module, "MIN_SENSOR_PERIODS", 5)

    async def script(reply: Reply) -> None:
        await answer_well(reply, gap_s=0.02)

    record, _ = _run_script(script, tmp_path)
    (steady,), (serve,) = record.windows_of("serve_steady"), record.windows_of("serve")
    stats = record.serving
    assert stats.steady_reason is None
    assert (steady.begin_s, steady.duration_s) == (stats.steady_begin_s, stats.steady_end_s - stats.steady_begin_s)
    assert serve.begin_s < steady.begin_s
    assert steady.begin_s + steady.duration_s < serve.begin_s + serve.duration_s
    assert steady.energy[0].energy_j == pytest.approx(100 * steady.duration_s, rel=0.02)
    assert 0 < steady.work.num_output_tokens < serve.work.num_output_tokens
    trace = Store(tmp_path).load_trace(record.run_id)
    assert trace["windows"][-1]["phase"] == "serve_steady"


def test_no_energy_of_another_machine_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.serving.run.is_local", lambda _: False)
    monkeypatch.setattr(energy_module, "is_local", lambda _: False)
    record, rows = _run_script(_answer_right, tmp_path)
    assert record.status == "finished"
    assert record.sensors == ()
    assert all(window.energy == () for window in record.windows)
    assert "server_elsewhere" in _codes(record)
    assert {(row.energy_j, row.reason) for row in rows} == {(None, "the energy of the run is unknown")}
    assert record.environment.device == "server"


def test_a_server_elsewhere_is_measured_by_the_external_meter_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy_module, "is_local", lambda _: False)
    external = ExternalMeterConfig(command="echo 250", power_path=".")
    with ScriptedServer(_answer_right) as served:
        config = _config(served.base_url)
        sensor = SensorConfig(names=["synthetic"], external=external)
        config.measure = dataclasses.replace(config.measure, sensor=sensor)
        record, _ = _run(config, tmp_path)
    assert [sensor.name for sensor in record.sensors] == ["external"]
    assert "server_elsewhere" not in _codes(record)


def test_requests_are_the_same_for_both_servers_of_a_pair_and_others_for_another_seed(tmp_path: Path) -> None:
    def prompts(seed: int, place: str) -> list[str]:
        with ScriptedServer() as served:
            config = dataclasses.replace(_config(served.base_url, concurrency=1), seed=seed)
            _run(config, tmp_path / place)
        return [body["prompt"] for body in served.bodies]

    first, second, other = prompts(0, "a"), prompts(0, "b"), prompts(1, "c")
    assert first == second
    assert sorted(first[2:]) == sorted(other[2:])
    assert first[2:] != other[2:]
    assert not set(first[:2]) & set(first[2:])  # the warm-up shares no prompt, not even its beginning
    assert all(prompt.startswith("Warm-up") for prompt in first[:2])


def test_more_requests_than_questions_are_repetitions(tmp_path: Path) -> None:
    record, rows = _run_script(_answer_right, tmp_path, num_requests=30)
    assert [sum(row.repetition == repetition for row in rows) for repetition in range(3)] == [12, 12, 6]
    assert record.quality[0].num_samples == 12
    assert "repeated_prompts" in _codes(record)


@pytest.mark.parametrize(("position", "found"), [([], False), ([0, 1, 5], False), ([1, 2, 5], True)])
def test_a_later_repeat_of_a_study_asks_what_was_asked_before(tmp_path: Path, position: list[int], found: bool) -> None:
    with ScriptedServer(_answer_right) as served:
        record, _ = _run(dataclasses.replace(_config(served.base_url), plan_position=position), tmp_path)
    assert ("repeated_prompts" in _codes(record)) is found


def test_the_key_is_in_no_file_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "do-not-keep")
    with ScriptedServer(_answer_right) as served:
        _run(_config(served.base_url, api_key_env="SERVER_KEY"), tmp_path)
        assert served.headers[0]["authorization"] == "Bearer do-not-keep"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"do-not-keep" in path.read_bytes()]


def test_mistakes_are_told_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(models=("a", "b")) as served:
        with pytest.raises(ConfigError, match=r"has no model 'scripted'; it has: a, b"):
            _run(_config(served.base_url), tmp_path)
        with pytest.raises(ConfigError, match=r"has 2 models; give server.model= one of: a, b"):
            _run(_config(served.base_url, model=""), tmp_path)
        with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
            _run(_config(served.base_url, api_key_env="NO_SUCH_KEY"), tmp_path)
    with pytest.raises(ConfigError, match="no server answers at"):
        _run(_config(served.base_url), tmp_path)
    with ScriptedServer(models=None) as served:
        config = _config(served.base_url)
        config.task.kinds = {}
        with pytest.raises(ConfigError, match="no kinds to ask"):
            _run(config, tmp_path)
    assert not (tmp_path / "records").exists()


def test_the_only_model_of_a_server_needs_no_name(tmp_path: Path) -> None:
    with ScriptedServer(_answer_right, models=("/srv/models/only",)) as served:
        record, _ = _run(_config(served.base_url, model=""), tmp_path)
    assert served.bodies[0]["model"] == "/srv/models/only"
    assert record.serving.server_model == "only"
    assert "/srv" not in (tmp_path / "records" / f"{record.run_id}.json").read_text()


def test_halves_of_characters_and_foreign_line_ends_in_answers_break_no_file(tmp_path: Path) -> None:
    async def script(reply: Reply) -> None:
        await answer_well(reply, ("a\ud83d", "\u2028b", "\n"))

    _, rows = _run_script(script, tmp_path)
    assert {(row.answer, row.answer_bytes, row.made_bytes) for row in rows} == {("a\ufffd\u2028b", 8, 9)}
