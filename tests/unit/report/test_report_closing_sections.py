"""Quality gate, reproduce, citation and downloads: what they say is so, and hostile names break nothing."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from harness.analysis.inference.results import InferenceDetail, KindScore
from harness.analysis.results import Equivalence, Interval
from harness.core.store import Store
from harness.core.study import save_study
from harness.exports.tables import restore
from harness.report.build import render_store
from harness.report.page.blocks import Section
from harness.report.results_file import ResultsFile
from harness.report.sections import citation, downloads
from harness.report.sections.citation import citation_section
from harness.report.sections.downloads import downloads_section, make_run_files
from harness.report.sections.quality_gate import quality_gate_section
from harness.report.sections.reproduce import reproduce_section
from tests.unit.report.planted import read_downloads

HOSTILE = 'A "study" }{ of 100% \\ $x_1$ & ~ ^ #,\n} @evil{key, title = {x}}'


def score(arm: str, accuracy: float | None, chance: float | None = 0.25) -> KindScore:
    return KindScore(
        arm=arm, size="m", kind="sorting", accuracy=accuracy, accuracy_stderr=0.02, chance=chance, num_asked=400,
        num_runs=3, run_ids=("a", "b"),
    )  # fmt: skip


def gate_of(outcome: Any) -> Section:
    from tests.unit.report import factory as made

    match = made.make_match(made.make_records())
    test = Equivalence(
        what="task accuracy", unit="share of answers that are correct", outcome=outcome, difference=0.0108,
        interval=Interval(low=-0.02, high=0.04, level=0.9, method="t over seeds"), margin=0.05, p_value=0.03, power=0.7,
        n=3, run_ids=("a", "b"),
    )  # fmt: skip
    return quality_gate_section(dataclasses.replace(match, equivalence=(test,)))


def read_outcomes(section: Section) -> dict[str, str]:
    found = {}
    for row in section.tables[0].rows:
        word = re.search(r'class="outcome (\w+)"', row[1])
        assert word is not None
        found[str(row[0])] = word.group(1)
    return found


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("equivalent", "pass"), ("different", "fail"), ("inconclusive", "unknown"), ("unknown", "unknown")],
)
def test_a_test_that_decides_nothing_is_no_pass(outcome: str, word: str) -> None:
    section = gate_of(outcome)
    assert read_outcomes(section)["Task accuracy"] == word
    found = str(section.tables[0].rows[1][2])
    assert "+0.0108" in found
    assert "share of answers that are correct" in found
    assert ("It fails in: Task accuracy" in section.lead) == (word == "fail")


@pytest.mark.parametrize(
    ("accuracy", "chance", "word"), [(0.45, 0.25, "pass"), (0.26, 0.25, "fail"), (0.45, None, "unknown")]
)
def test_blind_answers_do_not_pass_and_an_unknown_chance_decides_nothing(
    factory: ModuleType, accuracy: float, chance: float | None, word: str
) -> None:
    detail = InferenceDetail(scores=(score("dense", 0.9), score("moe", accuracy, chance)))
    found = read_outcomes(quality_gate_section(factory.make_match(factory.make_records()), detail))
    assert found["Answers of dense better than blind ones"] == "pass"
    assert found["Answers of moe better than blind ones"] == word


def test_the_gate_names_the_loss_at_which_costs_are_compared(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    assert f'data-value="{match.matched_loss!r}"' in quality_gate_section(match).lead
    apart = factory.make_match(factory.make_records(arms=("dense",)))
    section = quality_gate_section(apart)
    assert "Costs are compared" not in section.lead
    assert read_outcomes(section)["Loss at which costs are compared"] == "unknown"


def test_the_printed_command_prints_the_hash_of_the_records(tmp_path: Path, factory: ModuleType) -> None:
    """Run as it stands, beside a store whose name needs quoting."""
    name = "a study's $name"
    root = tmp_path / "runs" / name
    records = [dataclasses.replace(record, study=name) for record in factory.make_records()]
    for record in records:
        Store(root).write_record(record)
    study = dataclasses.replace(factory.make_study(records), study=name)
    save_study(root, study)
    known = Store(root).hash_records()
    section = reproduce_section(records, study, known)
    command = section.code.splitlines()[-1]
    assert command.startswith("LC_ALL=C sh -c "), "names sort by their bytes, whatever the reader's language"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.split()[0] == known
    assert known in str(dict(section.facts)["SHA-256 of all records"])
    assert section.code.splitlines()[:2] == [study.command, "isojoule report 'runs/a study'\"'\"'s $name'".replace(
        "'runs/a study'", "runs/'a study'")]  # fmt: skip


def read_entries(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return entries of BibTeX as BibTeX reads them: a brace counts whatever precedes it."""
    entries, place = [], 0
    while (start := re.compile(r"\s*@(\w+)\{([^,{}]+),").match(text, place)) is not None:
        place, fields = start.end(), {}
        while (name := re.compile(r"\s*(\w+) = \{").match(text, place)) is not None:
            depth, end = 1, name.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[end], 0)
                end += 1
            fields[name.group(1)] = text[name.end() : end - 1]
            assert text[end] == ","
            place = end + 1
        closing = re.compile(r"\s*\}").match(text, place)
        assert closing is not None, text[place : place + 80]
        place = closing.end()
        entries.append((start.group(1), fields))
    assert text[place:].strip() == ""
    return entries


@pytest.mark.parametrize("title", ["A toy study", HOSTILE, "{", "}", "\\"])
def test_the_citation_is_two_entries_whatever_the_title(factory: ModuleType, title: str) -> None:
    records = factory.make_records()
    section = citation_section(records, factory.make_study(records, title=title), title, "ab" * 32)
    (kind, tool), (other, study) = read_entries(section.code)
    assert (kind, other) == ("software", "misc")
    assert tool["year"] == study["year"] == "2026"
    assert "ab" * 32 in study["note"]
    plain = study["title"].replace(r"\textbraceleft{}", "{").replace(r"\textbraceright{}", "}")
    for written, sign in ((r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^"), (r"\textbackslash{}", "\0")):
        plain = plain.replace(written, sign)
    assert re.sub(r"\\([%$&#_])", r"\1", plain).replace("\0", "\\") == " ".join(title.split())


def test_downloads_are_the_table_of_runs_to_the_last_digit(tmp_path: Path, factory: ModuleType) -> None:
    """CSV, JSON and Parquet say the same; a text that a spreadsheet would run is neutralised in CSV alone."""
    formula = "=cmd|' /C calc'!A0"
    records = [factory.make_record(), factory.make_record("moe", "s", 8, status="failed", error=formula)]
    for record in records:
        Store(tmp_path).write_record(record)
    files = read_downloads(render_store(tmp_path).page)
    table = pq.read_table(io.BytesIO(files["runs.parquet"])).to_pylist()
    assert json.loads(files["runs.json"]) == table
    rows = list(csv.DictReader(io.StringIO(files["runs.csv"].decode())))
    assert len(rows) == len(table) == len(records)
    for shown, row in zip(rows, table, strict=True):
        assert set(shown) == set(row)
        for name, value in row.items():
            if value is None:
                assert shown[name] == ""
            elif isinstance(value, str):
                assert restore(shown[name]) == value
                assert shown[name][:1] not in tuple("=+-@")
            else:
                assert type(value)(shown[name]) == value
    assert [row["error"] for row in table if row["status"] == "failed"] == [formula]
    first = next(row for row in table if row["status"] == "finished")
    assert records[0].path is not None
    assert (first["path_flops"], first["path_tokens"]) == (records[0].path.flops, records[0].path.tokens)


def test_what_is_too_large_is_packed_then_left_out_and_said(factory: ModuleType, monkeypatch: Any) -> None:
    records = factory.make_records()
    whole = {
        file.file_name: len(file.content)
        for file in downloads_section(make_run_files(records, "toy"), ResultsFile({"a": 1})).downloads
    }
    assert {"runs.csv", "runs.parquet", "verdicts.json"} <= set(whole)
    monkeypatch.setattr(downloads, "PLAIN_BYTES", whole["runs.csv"] - 1)
    packed = downloads_section(make_run_files(records, "toy"), ResultsFile({"a": 1}))
    names = [file.file_name for file in packed.downloads]
    assert "runs.csv" not in names
    assert "runs.json.gz" in names
    assert "As CSV the runs come from the buttons" in str(packed.notes)
    assert "isojoule export runs/toy --to csv" in str(packed.notes)
    monkeypatch.setattr(downloads, "PACKED_BYTES", 10)
    monkeypatch.setattr(downloads, "PLAIN_BYTES", 0)
    monkeypatch.setattr(downloads, "RESULTS_BYTES", 10)
    left = downloads_section(make_run_files(records, "toy"), ResultsFile({"a": 1}))
    assert [file.file_name for file in left.downloads] == ["runs.parquet"]
    assert len(left.notes) == 2
    assert "As CSV and JSON the runs come from the buttons" in str(left.notes[0])
    assert (
        downloads_section(make_run_files([], "toy"), ResultsFile({})).notes[0]
        == "There is no readable record, so there is no table of runs."
    )


def test_the_tool_is_cited_as_the_repository_says() -> None:
    told = yaml.safe_load((Path(__file__).resolve().parents[3] / "CITATION.cff").read_text())
    assert told["title"] == citation.TITLE
    assert [author["name"] for author in told["authors"]] == [citation.AUTHORS]


def test_rows_in_parts_are_the_rows_as_a_whole_and_no_more_is_read_than_says_too_large(
    factory: ModuleType, monkeypatch: Any
) -> None:
    records = factory.make_records()
    monkeypatch.setattr(downloads, "_ROWS_AT_ONCE", 7)
    files = {file.file_name: file.content for file in make_run_files(records, "toy").files}
    table = downloads.build_run_table(records)
    rows = json.dumps(table.to_pylist(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    packed = files.get("runs.json.gz")
    assert (gzip.decompress(packed) if packed is not None else files["runs.json"]) == rows.encode()
    read: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield random.Random(number).randbytes(1000)

    assert not downloads._packs_within(parts(), 20_000)
    assert 20 <= len(read) < 100
    assert downloads._packs_within([b"x" * 10_000] * 100, 20_000)
