"""Stores with nothing, little or rubbish in them: each gives a page that says so, and never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from harness.core.errors import RecordError
from harness.core.store import Store
from harness.core.study import STUDY_FILE, save_study
from harness.report.build import VERDICTS_FILE, build_report
from tests.unit.analysis.inference.factory import fill_store, make_inference_study, make_pair
from tests.unit.report.pages import Page, read_payload

GARBAGE = bytes(range(256))


def build(root: Path) -> str:
    """Build the page and check what holds for every page: its verdicts stand beside it, it names no folder."""
    page = build_report(root, root / "report.html").read_text(encoding="utf-8")
    verdicts = json.loads((root / VERDICTS_FILE).read_text())
    assert str(root) not in page
    assert verdicts["claims"] is not None
    assert Page(page).tags["html"] == 1
    return page


def make_trained(root: Path, factory: ModuleType, arms: tuple[str, ...] = ("dense", "moe")) -> None:
    records = factory.make_records(arms)
    for record in records:
        Store(root).write_record(record)
    save_study(root, factory.make_study(records))


def make_inference(root: Path, _: ModuleType) -> None:
    records, answers = make_pair(0.5)
    fill_store(root, records, answers, make_inference_study(records))


KINDS = pytest.mark.parametrize("make", [make_trained, make_inference], ids=["trained", "inference"])
Make = Callable[[Path, ModuleType], None]


@KINDS
def test_no_record_yet(make: Make, tmp_path: Path, factory: ModuleType) -> None:
    """A study that has only promised gives a page that says that nothing ran, with every run of its plan."""
    make(tmp_path, factory)
    planned = [path.stem for path in (tmp_path / "records").glob("*.json")]
    for path in (tmp_path / "records").glob("*.json"):
        path.unlink()
    page = build(tmp_path)
    assert "there is no record yet" in page
    assert "There is nothing to compare yet" in page
    listed = page + "".join(row for rows in read_payload(page)["tables"].values() for row in rows)
    assert all(run_id in listed for run_id in planned)
    (tmp_path / "records").rmdir()
    assert "there is no record yet" in build(tmp_path)


def test_an_empty_records_folder_without_a_study(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    assert "there is no record yet" in build(tmp_path)


@KINDS
def test_one_record(make: Make, tmp_path: Path, factory: ModuleType) -> None:
    make(tmp_path, factory)
    for path in sorted((tmp_path / "records").glob("*.json"))[1:]:
        path.unlink()
    page = build(tmp_path)
    assert "cannot be compared" in page or "There is no comparison" in page
    assert "not measured" in page


@KINDS
def test_failed_only(make: Make, tmp_path: Path, factory: ModuleType) -> None:
    make(tmp_path, factory)
    for path in (tmp_path / "records").glob("*.json"):
        values = json.loads(path.read_text())
        values |= {"status": "failed", "error": "it died <b>early</b>", "windows": [], "path": None, "quality": []}
        path.write_text(json.dumps(values))
    page = build(tmp_path)
    assert "none finished" in page
    assert "it died &lt;b&gt;early&lt;/b&gt;" in page


@KINDS
def test_one_family_only(make: Make, tmp_path: Path, factory: ModuleType) -> None:
    make(tmp_path, factory)
    for path in (tmp_path / "records").glob("*-moe-*.json"):
        path.unlink()
    page = build(tmp_path)
    assert "no finished run of &#39;moe&#39;" in page


@KINDS
def test_corrupted_files_are_named_and_the_rest_is_shown(make: Make, tmp_path: Path, factory: ModuleType) -> None:
    """Cut JSON, binary rubbish, another's JSON, a newer schema, a folder in place of a file: one line each."""
    make(tmp_path, factory)
    whole = sorted((tmp_path / "records").glob("*.json"))
    newer = json.loads(whole[0].read_text()) | {"schema_version": 99}
    bad = {
        "cut.json": whole[0].read_bytes()[:200],
        "garbage.json": GARBAGE,
        "list.json": b"[1, 2]",
        "empty.json": b"",
        "deep.json": b"[" * 100_000,
        "newer.json": json.dumps(newer).encode(),
        "unversioned.json": json.dumps({k: v for k, v in newer.items() if k != "schema_version"}).encode(),
    }
    for name, content in bad.items():
        (tmp_path / "records" / name).write_bytes(content)
    (tmp_path / "records" / "folder.json").mkdir()
    page = build(tmp_path)
    assert all(f"{name} is not a readable run record" in page or f"{name} has record schema" in page for name in bad)
    assert "folder.json is not a readable run record: Is a directory" in page
    assert whole[1].stem in page


@KINDS
def test_old_records_are_shown(make: Make, tmp_path: Path, factory: ModuleType) -> None:
    """Records of the first schema, without any field that came later, give the same comparison."""
    make(tmp_path, factory)
    before = build(tmp_path)
    for path in (tmp_path / "records").glob("*.json"):
        values = json.loads(path.read_text())
        later = ("batches", "peak_bytes_per_s", "peak_bytes_source", "task_routing", "expert_coverage", "serving")
        old = {key: value for key, value in values.items() if key not in later or value}
        path.write_text(json.dumps(old | {"schema_version": 1}))
    after = build(tmp_path)
    assert [number.value for number in Page(after).numbers] == [number.value for number in Page(before).numbers]


@KINDS
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{", GARBAGE], ids=["empty", "{}", "[]", "cut", "binary"])
def test_a_broken_study_file(make: Make, content: bytes, tmp_path: Path, factory: ModuleType) -> None:
    """The page says that the promise cannot be read and shows the records all the same."""
    make(tmp_path, factory)
    (tmp_path / STUDY_FILE).write_bytes(content)
    page = build(tmp_path)
    assert "study.json is not a readable study file" in page
    assert next((tmp_path / "records").glob("*.json")).stem in page + str(read_payload(page))


def test_a_claim_that_nobody_knows_is_named_and_the_others_judged(tmp_path: Path, factory: ModuleType) -> None:
    make_trained(tmp_path, factory)
    values = json.loads((tmp_path / STUDY_FILE).read_text())
    values["claims"] = ["training_compute_tenth", "training_compute_tent<h>"]
    (tmp_path / STUDY_FILE).write_text(json.dumps(values))
    page = build(tmp_path)
    assert "claim &#39;training_compute_tent&lt;h&gt;&#39; is not judged" in page
    assert 'id="claim-training_compute_tenth"' in page


def test_broken_answers_and_traces_are_left_out_and_named(tmp_path: Path, factory: ModuleType) -> None:
    make_inference(tmp_path, factory)
    answers = sorted((tmp_path / "answers").glob("*.jsonl"))
    answers[0].write_bytes(GARBAGE)
    answers[1].write_text("{}\n")
    (tmp_path / "traces").mkdir(exist_ok=True)
    for path, content in zip(answers, (GARBAGE, b"[]", b'{"series": 3, "windows": "x"}', b"{}"), strict=False):
        (tmp_path / "traces" / f"{path.stem}.json").write_bytes(content)
    page = build(tmp_path)
    for path in answers[:2]:
        assert f"the answers of {path.stem} are left out" in page
    told = page[page.index("Power traces that cannot be read") :]
    assert all(path.stem in told[: told.index("</li>")] for path in answers[:4])


def test_a_file_that_may_not_be_read(tmp_path: Path, factory: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the permission a record, or the study file, is named with the reason."""
    make_trained(tmp_path, factory)
    open_file = os.open
    shut = min((tmp_path / "records").glob("*.json"))

    def refuse(path: Path, *args: object, **kwargs: object) -> int:
        if path in (shut, tmp_path / STUDY_FILE):
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    page = build_report(tmp_path, tmp_path / "report.html").read_bytes().decode()
    assert f"{shut.name} is not a readable run record: Permission denied" in page
    assert "study.json is not a readable study file: Permission denied" in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "there is no folder"), ("file", "is a file"), ("folder", "no run records")]
)
def test_what_is_no_store_is_the_users_mistake(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordError, match=words):
        build_report(tmp_path / name, tmp_path / "report.html")
