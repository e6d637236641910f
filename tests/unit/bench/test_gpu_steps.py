"""Steps on a card: done once, stopped in time, gone on with, carried to the next machine; with small commands."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import tarfile
import time
from pathlib import Path

import pytest

from bench.gpu import run
from bench.gpu.keep import keep_results, take_results
from bench.gpu.run import run_steps
from bench.gpu.steps import Step, list_steps

FOREVER = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('stopped cleanly')"


def _step(name: str, script: str, **rest: object) -> Step:
    given = {"least_s": 1.0, **rest}
    return Step(name=name, command=(sys.executable, "-c", script), **given)  # type: ignore[arg-type]


def _count(path: Path) -> str:
    return f"open({str(path)!r}, 'a').write('x')"


def _run(steps: list[Step], out: Path, seconds: float = 300.0) -> dict[str, str]:
    state = run_steps(steps, out, time.monotonic() + seconds, tell=lambda line: None)
    return {name: held["state"] for name, held in state.items()}


def test_what_is_done_is_not_done_again_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    steps = [_step("good", _count(good)), _step("bad", f"{_count(bad)}; raise SystemExit(7)")]
    for _ in range(2):
        assert _run(steps, tmp_path) == {"good": "done", "bad": "failed"}
    assert (good.read_text(), bad.read_text()) == ("x", "xx")
    held = json.loads((tmp_path / "steps.json").read_text())["steps"]
    assert (held["good"]["tries"], held["bad"]["tries"], held["bad"]["returncode"]) == (1, 2, 7)


def test_exit_codes_that_a_step_may_have_count_as_done(tmp_path: Path) -> None:
    assert _run([_step("bars", "raise SystemExit(1)", fine=(0, 1))], tmp_path) == {"bars": "done"}


def test_what_follows_is_made_anew_only_when_something_was_done(tmp_path: Path) -> None:
    work, page = tmp_path / "work", tmp_path / "page"
    first = _step("work", _count(work))
    steps = [first, _step("page", _count(page), again=True)]
    for _ in range(2):
        _run(steps, tmp_path)
    assert page.read_text() == "x"
    _run([first, _step("more", "pass"), steps[1]], tmp_path)
    assert (work.read_text(), page.read_text()) == ("x", "xx")


def test_a_step_waits_for_what_it_needs(tmp_path: Path) -> None:
    step = _step("page", "pass", needs=tmp_path / "store/records")
    assert _run([step], tmp_path) == {}
    step.needs.mkdir(parents=True)  # type: ignore[union-attr]
    assert _run([step], tmp_path) == {"page": "done"}


def test_a_step_is_asked_to_stop_in_time_and_what_follows_still_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "STOP_S", 5.0)
    monkeypatch.setattr(run, "_PACK_S", 0.0)
    monkeypatch.setattr(run, "_KILL_S", 2.0)
    long, page = _step("study", FOREVER, resumes=True), _step("page", "pass", again=True, least_s=3.0)
    began = time.monotonic()
    assert _run([long, page], tmp_path, seconds=17.0) == {"study": "stopped", "page": "done"}
    assert time.monotonic() - began < 17.0
    assert "stopped cleanly" in (tmp_path / "logs/study.log").read_text()
    assert _run([_step("study", "pass", resumes=True)], tmp_path, seconds=12.0)["study"] == "done"


def test_a_step_that_does_not_stop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STOP_S", 2.0), ("_PACK_S", 0.0), ("_KILL_S", 1.0)):
        monkeypatch.setattr(run, name, value)
    deaf = "import signal, time\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(60)"
    began = time.monotonic()
    assert _run([_step("deaf", deaf)], tmp_path, seconds=5.0) == {"deaf": "stopped"}
    assert time.monotonic() - began < 15.0


def test_nothing_is_begun_that_has_no_time(tmp_path: Path) -> None:
    assert _run([_step("long", "pass", least_s=500.0)], tmp_path, seconds=100.0) == {}


def test_records_and_pages_are_carried_and_nothing_there_is_overwritten(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    for name in ("study/records/a.json", "study/traces/a.json", "study/study.json", "study/checkpoints/a/step-1/w.json",
                 "logs/tests.log", "steps.json", "study/models/a/model.safetensors"):  # fmt: skip
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} of the first machine")
    (other / "study/records").mkdir(parents=True)
    (other / "study/study.json").write_text("of the second machine")
    take_results(keep_results(out), other)
    found = {path.relative_to(other).as_posix() for path in other.rglob("*") if path.is_file()}
    assert found == {"study/records/a.json", "study/traces/a.json", "study/study.json", "logs/tests.log", "steps.json"}
    assert (other / "study/study.json").read_text() == "of the second machine"
    assert (other / "study/records/a.json").read_text() == "study/records/a.json of the first machine"


def test_an_archive_that_leads_out_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "kept.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        member = tarfile.TarInfo("../../outside.json")
        archive.addfile(member, io.BytesIO(b""))
    assert _main(tmp_path, "--from", str(source)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "cannot be unpacked" in lines[0]
    assert not (tmp_path.parent / "outside.json").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--only", "page"), "the steps are models, ladder, regimes, roofline, report"),
        (("--from", "nowhere.tar.gz"), "there is no file 'nowhere.tar.gz'"),
        (("--minutes", "0.2"), "--minutes is 0.2"),
        (("--minutes", "nan"), "--minutes is nan"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, given: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(tmp_path, *given) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]


def _main(out: Path, *arguments: str) -> int:
    given = ["run", "--out", str(out / "results"), "--rehearse", *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", given)
        return run.main()


def test_a_card_has_every_step_and_a_rehearsal_those_that_need_none(tmp_path: Path) -> None:
    card = [step.name for step in list_steps(tmp_path, rehearse=False)]
    assert card == ["sensors", "tests", "models", "tune", "ladder", "regimes", "roofline", "report"]
    assert set(card) - {step.name for step in list_steps(tmp_path, rehearse=True)} == {"sensors", "tests", "tune"}


def test_another_card_is_calibrated_anew_and_keeps_both_profiles(tmp_path: Path) -> None:
    first, second = (list_steps(tmp_path, rehearse=False, card=card)[0] for card in ("GPU-1", "GPU-2"))
    assert first.command[-1] != second.command[-1]
    steps = [dataclasses.replace(each, command=(sys.executable, "-c", "pass")) for each in (first, second)]
    assert _run(steps[:1], tmp_path) == {"sensors of GPU-1": "done"}
    assert _run(steps[1:], tmp_path) == {"sensors of GPU-1": "done", "sensors of GPU-2": "done"}


def test_every_step_on_a_card_can_be_begun_within_ten_minutes(tmp_path: Path) -> None:
    steps = list_steps(tmp_path, rehearse=False)
    needed = {step.name: step.least_s + run.STOP_S + run._PACK_S + run._reserve_s(steps, step) for step in steps}
    assert {name: need for name, need in needed.items() if need > 9.5 * 60} == {}
