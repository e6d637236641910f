"""The command: a mistake is one clear line and exit code 2; configs are listed and copied; help is everywhere."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.command import main

VERBS = (
    "run", "plan", "status", "report", "match", "claims", "fit", "project", "tune", "model", "measure", "sensors",
    "doctor", "ls", "cp", "tasks", "roofline",
)  # fmt: skip


def _fails_in_one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("isojoule: ")
    return lines[0]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.learning_rat=0.1", "did you mean 'train.learning_rate'"),
        ("model=dense_x", "known: dense_10m"),
        ("experiment=smok", "did you mean 'smoke'"),
        ("train.batch_size=lots", "lots"),
        ("train.budget.tokens=-5", "above 0"),
        ("train.budget.tokens=10", "less than one step"),
        ("train.budget.joules=0", "joules"),
        ("train.precision=fp8", "auto, fp32 or bf16"),
        ("study=../elsewhere", "letters"),
        ("model.num_heads=5", "even multiple"),
        ("model=moe_s model.router=mixtra", "unknown model.router"),
        ("device=tpu", "auto, cpu, cuda"),
        ("data=text_files", "data.globs"),
        ("data.tokenizer=words", "byte, bpe or file"),
        ("task.version=99", "task.version"),
        ("measure.sensor.names=[wattmeter]", "wattmeter"),
        ("--fast", "--help"),
    ],
)
def test_a_mistake_in_run_is_one_line(
    override: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = _fails_in_one_line(capsys, "run", *override.split())
    assert words.lower() in line.lower()
    assert not (tmp_path / "runs").exists(), "nothing was started"


def test_reports_of_nothing_say_what_to_give(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for verb in ("report", "match"):
        assert "runs/" in _fails_in_one_line(capsys, verb)
    for verb in ("report", "match", "claims"):
        assert "records" in _fails_in_one_line(capsys, verb, str(tmp_path))


def test_ls_and_cp(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(("ls", "experiment")) == 0
    assert "experiment/smoke" in capsys.readouterr().out.split()
    assert "known: " in _fails_in_one_line(capsys, "ls", "experiments")
    assert main(("cp", "experiment/smoke", str(tmp_path))) == 0
    assert "study: smoke" in (tmp_path / "smoke.yaml").read_text()
    assert "already there" in _fails_in_one_line(capsys, "cp", "experiment/smoke", str(tmp_path))
    assert "did you mean" in _fails_in_one_line(capsys, "cp", "experiment/smoky", str(tmp_path)).lower()


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_everywhere(verb: str) -> None:
    done = subprocess.run((sys.executable, "-m", "harness", verb, "--help"), capture_output=True, text=True, check=True)
    assert "usage: isojoule" in done.stdout


def test_sensors_and_doctor_say_what_can_be_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(("sensors", "--json", str(tmp_path / "sensors.json"))) == 0
    assert "codecarbon" in (tmp_path / "sensors.json").read_text()
    capsys.readouterr()
    assert main(("doctor",)) == 0
    assert "What can be judged here" in capsys.readouterr().out


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_one_line_and_a_fault_of_ours_is_not_hidden(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number), "runs/smoke/study.json")

    monkeypatch.setattr("harness.cli.command._ls", fail)
    line = _fails_in_one_line(capsys, "ls")
    assert "runs/smoke/study.json" in line
    assert os.strerror(number) in line
    number = errno.EBADF
    with pytest.raises(OSError, match="Bad file"):
        main(("ls",))
