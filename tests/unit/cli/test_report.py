"""The verb ``report``: which pages it writes, what it prints, and one clear line for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest

from harness.cli.command import main
from harness.core.store import Store
from harness.core.study import save_study
from harness.report.build import VERDICTS_FILE
from tests.unit.analysis.factory import make_records, make_study

BLOCKED = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "hydra", "omegaconf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
from harness.cli.command import main
sys.exit(main(sys.argv[1:]))
"""


def make_store(root: Path, name: str = "toy", **changes: object) -> Path:
    records = make_records(seeds=(0, 1), **changes)  # type: ignore[arg-type]
    for record in records:
        Store(root).write_record(record)
    save_study(root, make_study(records, study=name, claims=("training_compute_tenth",)))
    return root


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("stores")
    return [make_store(root / "one", "one"), make_store(root / "two", "two")]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    """Run the verb, which must succeed; return what it printed."""
    assert main(["report", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def fail(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the verb, which must be a user's mistake, and return its one line."""
    assert main(["report", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    (line,) = captured.err.splitlines()
    assert line.startswith("isojoule: ")
    return line


def test_one_store_has_its_page_inside(stores: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, stores[0])
    assert out == f"{stores[0] / 'report.html'}\n"
    assert not err
    assert (stores[0] / VERDICTS_FILE).is_file()


def test_the_newest_store_is_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path / "runs" / "only")
    monkeypatch.chdir(tmp_path)
    assert run(capsys)[0] == f"{Path('runs') / 'only' / 'report.html'}\n"


def test_several_stores_have_a_page_each(stores: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, *stores)
    assert out.splitlines() == [str(store / "report.html") for store in stores]
    pages = [(store / "report.html").read_text() for store in stores]
    assert "Study one" in pages[0]
    assert "Study two" in pages[1]


def test_json_is_the_verdicts_and_a_list_of_them(
    stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "all.json"
    run(capsys, stores[0], "--json", target)
    assert target.read_bytes() == (stores[0] / VERDICTS_FILE).read_bytes()
    run(capsys, *stores, "--json", target)
    assert [each["study"] for each in json.loads(target.read_text())] == ["one", "two"]


def test_json_on_stdout_leaves_paths_to_stderr(stores: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, stores[0], "--json", "-")
    assert json.loads(out)["study"] == "one"
    assert err == f"{stores[0] / 'report.html'}\n"


def test_open_shows_the_page(
    stores: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def show(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    assert run(capsys, stores[0], "--open")[1] == ""
    assert opened == [(stores[0] / "report.html").resolve().as_uri()]


def test_without_a_browser_one_line_says_so(
    stores: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    _, err = run(capsys, stores[0], "--open")
    (line,) = err.splitlines()
    assert "no browser could be opened" in line
    assert str(stores[0] / "report.html") in line


def test_compare_writes_one_page(
    stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the stores stand around the word, the page is one, here or where --out says, and the JSON its content."""
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "--compare", *stores)[0] == "compare.html\n"
    first = Path("compare.html").read_bytes()
    run(capsys, stores[0], "--compare", stores[1], "--out", "other.html", "--json", "c.json")
    assert Path("other.html").read_bytes() == first
    assert [study["study"] for study in json.loads(Path("c.json").read_text())["studies"]] == ["one", "two"]
    assert json.loads(run(capsys, "--compare", *stores, "--json", "-")[0])["purpose"] == "study_comparison"


def test_mistakes_are_one_line(stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "page.html"
    for arguments, words in (
        ((tmp_path / "nowhere",), "there is no folder"),
        ((tmp_path / "file",), "is a file"),
        ((tmp_path / "empty",), "no run records"),
        ((*stores, "--out", out), "--compare"),
        (("--compare", stores[0]), "needs two stores or more"),
        (("--compare",), "needs two stores or more"),
        (("--compare", stores[0], stores[0].parent / "two" / ".." / "one"), "named twice"),
        (("--compare", stores[0], stores[0]), "named twice"),
        (("--compare", *stores, "--watch"), "--watch follows one study"),
        ((*stores, "--watch", "3"), "--watch follows one study"),
        (("--watch", "0", stores[0]), "seconds of at least"),
        (("--watch", "nan", stores[0]), "seconds of at least"),
        ((stores[0], "--out", tmp_path), "is a folder"),
        ((stores[0], "--out", tmp_path / "file" / "page.html"), "cannot write"),
        (("--compare", *stores, "--out", tmp_path), "is a folder"),
    ):
        assert words in fail(capsys, *arguments), arguments
    assert not out.exists()


def test_a_json_file_that_cannot_be_written(
    stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(stores[0]), "--json", str(tmp_path / "no" / "where.json")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_compare_names_the_store_whose_records_do_not_pool(
    stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = make_store(tmp_path / "mixed", "mixed")
    record = min((mixed / "records").glob("*.json"))
    record.write_text(record.read_text().replace('"device_name": "toy card"', '"device_name": "other card"'))
    line = fail(capsys, "--compare", stores[0], mixed)
    assert f"'{mixed}'" in line
    assert "environment.device_name" in line


def test_watch_of_a_finished_study_writes_its_page(stores: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The store may stand after the word, where SECONDS might."""
    for arguments in (("--watch", stores[0]), (stores[0], "--watch"), ("--watch", "2", stores[0])):
        out, err = run(capsys, *arguments)
        assert out == f"{stores[0] / 'report.html'}\n"
        assert "the page is complete" in err


def test_ctrl_c_ends_a_watch_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "store")
    min((store / "records").glob("*.json")).unlink()

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", stop)
    assert main(["report", "--watch", str(store)]) == 0
    captured = capsys.readouterr()
    assert not captured.out
    live, last = captured.err.splitlines()
    assert live.startswith("live: built at ")
    assert last == "isojoule: stopped watching; the study goes on."


def test_pages_are_built_without_torch_and_hydra(stores: list[Path], tmp_path: Path) -> None:
    """From records alone, on a machine that can run no study: a page, a comparison and a watch."""
    for arguments in ((stores[0],), ("--compare", *stores), ("--watch", stores[0])):
        page = tmp_path / "page.html"
        page.unlink(missing_ok=True)
        done = subprocess.run(
            (sys.executable, "-c", BLOCKED, "report", *map(str, arguments), "--out", str(page)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "</html>" in page.read_text()
