"""``isojoule measure`` from outside: real commands, real signals, a real NVML binding over the stand-in library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.standin.build import build_nvml
from tests.tools import require_tool

ROOT = Path(__file__).parents[2]
SYNTHETIC = ("--set", "sensor.names=[synthetic]")
READING_KEYS = {
    "sensor", "domain", "device_index", "device", "energy_j", "grade", "method", "uncertainty_j", "num_samples",
    "coverage", "crosscheck_j", "reason",
}  # fmt: skip


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "measure", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def measure(*arguments: str, **environ: str) -> tuple[int, str, str]:
    process = start(*arguments, **environ)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("gcc")
    return build_nvml(tmp_path_factory.mktemp("nvml"))


def test_json_has_the_promised_fields_and_the_energy_of_the_command(tmp_path: Path, nvml: Path) -> None:
    """Two GPUs of 300 W and 600 W for a second, each one reading, with its uncertainty."""
    target = tmp_path / "out.json"
    code, out, err = measure(
        "--json", str(target), "--set", "sensor.names=[nvml]", "--", "sh", "-c", "echo hello; sleep 1",
        LD_LIBRARY_PATH=str(nvml), STANDIN_GPUS="2", STANDIN_WAVE="constant:300", STANDIN_GENERATION="A100",
    )  # fmt: skip
    assert (code, out) == (0, "hello\n")
    content: dict[str, Any] = json.loads(target.read_text())
    assert {"schema_version", "command", "exit_code", "duration_s", "readings", "findings"} <= set(content)
    assert content["command"] == ["sh", "-c", "echo hello; sleep 1"]
    assert [(r["domain"], r["device_index"]) for r in content["readings"]] == [("gpu", 0), ("gpu", 1)]
    for reading, power_w in zip(content["readings"], (300, 600), strict=True):
        assert set(reading) >= READING_KEYS
        assert (reading["grade"], reading["method"], reading["reason"]) == ("A", "counter", None)
        assert 0 < reading["uncertainty_j"] < 0.05 * reading["energy_j"]
        assert abs(reading["energy_j"] - power_w * content["duration_s"]) <= max(1.5 * reading["uncertainty_j"], 0.5)
        assert reading["mean_power_w"] == pytest.approx(power_w, rel=0.02)
        assert reading["peak_power_w"] == pytest.approx(power_w, rel=0.05)
        assert reading["crosscheck_j"] == pytest.approx(reading["energy_j"], rel=0.05)
    assert content["energy_j"] == pytest.approx(sum(r["energy_j"] for r in content["readings"]))
    assert "gpu 1" in err


@pytest.mark.parametrize(("script", "expected"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_exit_code_of_the_command_is_passed_on(script: str, expected: int) -> None:
    assert measure(*SYNTHETIC, "--", "sh", "-c", script)[0] == expected


def test_interrupt_reaches_the_command_and_the_energy_is_still_reported(tmp_path: Path) -> None:
    """The command cleans up on SIGINT and chooses its exit code; the result is written all the same."""
    target, ready = tmp_path / "out.json", tmp_path / "ready"
    script = f"trap 'exit 5' INT; touch {ready}; while :; do sleep 0.05; done"
    process = start(*SYNTHETIC, "--json", str(target), "--", "sh", "-c", script)
    for _ in range(400):
        if ready.exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 5
    assert json.loads(target.read_text())["exit_code"] == 5
    assert "elapsed" in err


def test_intervals_are_printed_while_it_runs_and_do_not_lengthen_it(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    code, _, err = measure(*SYNTHETIC, "--interval", "0.25", "--json", str(target), "--", "sleep", "1.1")
    content = json.loads(target.read_text())
    assert code == 0
    assert [round(part["end_s"], 2) for part in content["intervals"]] == [0.25, 0.5, 0.75, 1.0]
    assert all(part["readings"][0]["energy_j"] == pytest.approx(25, rel=0.02) for part in content["intervals"])
    assert content["duration_s"] < 1.2
    assert err.count(" s  gpu 0") == 4


def test_page_is_self_contained_and_escapes_the_command(tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    measure(*SYNTHETIC, "--html", str(page), "--", "sh", "-c", "true '<script>alert(1)</script>'")
    html = page.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "SIMULATED" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert 'data-value="' in html


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--", "no-such-program"), "no-such-program"),
        (("ls",), "-- COMMAND"),
        (("--json", "/no/such/folder/x.json", "--", "true"), "/no/such/folder/x.json"),
        (("--set", "sensor.names=[nvlm]", "--", "true"), "nvml"),
        (("--set", "poll_interval_s=quick", "--", "true"), "poll_interval_s"),
        (("--interval", "-1", "--", "true"), "--interval"),
        (("--country", "XXX", *SYNTHETIC, "--", "true"), "XXX"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    code, _, err = measure(*arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert says in err


def test_no_sensor_is_unknown_and_never_zero(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    code, _, err = measure("--json", str(target), "--set", "sensor.names=[]", "--", "true")
    content = json.loads(target.read_text())
    assert code == 0
    assert (content["energy_j"], content["readings"]) == (None, [])
    assert [finding["code"] for finding in content["findings"]] == ["no_sensor"]
    assert "unknown" in err
