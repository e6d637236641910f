"""Numbers of pages held against the records of the committed studies: run table, sources, digits, downloads."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harness.core.records import RunRecord
from harness.core.store import Store
from harness.report.build import render_store
from tests.unit.report import pages

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = sorted(path.parent for path in (ROOT / "reports").glob("*/study.json"))

_PREFIXES = {
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "m": 1e-3,
    "µ": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
}
_SI = re.compile(r"^([+-]?[0-9.]+(?:e[+-]?\d+)?)\s*([kMGTPEmµnp]?)(J|W|B|FLOP|FLOP/s|s|/s|kWh|g)?$")


@dataclass
class Built:
    """One committed study: its page read back, its verdicts, its records by id."""

    html: str
    page: Any
    content: dict[str, Any]
    records: dict[str, RunRecord]


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def built(request: pytest.FixtureRequest) -> Built:
    report = render_store(request.param)
    records, _ = Store(request.param).load_records()
    return Built(report.page, pages.Page(report.page), report.content, {r.run_id: r for r in records})


def test_the_run_table_has_every_run_with_the_numbers_of_its_record(built: Built) -> None:
    rows = built.page.rows["t-runs"][1:]
    assert {row[0].source for row in rows} == set(built.records)
    for row in rows:
        record = built.records[row[0].source]
        assert record.path is not None
        values = [number.value for number in row]
        assert values[:2] == [record.path.tokens, record.seed]
        assert values[2] == record.quality_value("validation_bits_per_byte")
        assert values[3:5] == [record.path.flops, record.path.duration_s]
        assert record.train_flops_per_s in values
        energies = [r.energy_j for r in record.path.energy]
        assert values[5] in (*energies, sum(e or 0.0 for e in energies)) or values[5] == pytest.approx(
            sum(e or 0.0 for e in energies), rel=1e-12
        )


def test_every_number_has_a_source_and_every_run_that_is_named_exists(built: Built) -> None:
    assert [n for n in built.page.numbers if n.value is not None and not n.source] == []
    named = {
        run for n in built.page.numbers for run in re.findall(r"\b[\w.]+(?:-[\w.]+)*-s\d+-[0-9a-f]{8}\b", n.source)
    }
    assert named
    assert named <= set(built.records)


def test_what_is_shown_is_the_value_to_the_digits_shown(built: Built) -> None:
    checked = 0
    for number in built.page.numbers:
        text = number.text.replace("\u202f", "").replace("\N{MULTIPLICATION SIGN}", "").strip()
        if number.value is None:
            assert text.startswith(("unknown", "no verdict")), number
            continue
        percent = re.fullmatch(r"([+-]?[0-9.]+)%", text)
        plain = _SI.match(text)
        if percent is not None:
            shown, scale = percent.group(1), 0.01
        elif plain is not None:
            shown, scale = plain.group(1), _PREFIXES[plain.group(2)]
        else:
            continue
        digits = shown.partition("e")[0]
        exponent = float(f"1e{shown.partition('e')[2] or 0}")
        step = 10.0 ** -len(digits.partition(".")[2]) * scale * exponent
        if "." not in digits and len(digits.lstrip("+-")) > 3 and digits.endswith("0"):
            step *= 10 ** (len(digits) - len(digits.rstrip("0")))
        assert abs(float(shown) * scale - number.value) <= 0.501 * step + 1e-12 * abs(number.value), number
        checked += 1
    assert checked > 0.8 * len(built.page.numbers)


def test_the_headline_table_is_that_of_the_verdicts_file(built: Built) -> None:
    order = ("flops", "energy", "net_energy", "seconds", "tokens", "peak_memory")
    expected = [built.content["headline"][resource] for resource in order]
    for shown, row in zip(built.page.rows["t-headline"][1:], expected, strict=True):
        interval = row["interval"]
        assert [n.value for n in shown[:5]] == [
            *(row["loss"], row["estimate"], interval["low"], interval["high"], row["n"])
        ]


def test_downloads_hold_the_numbers_of_the_records(built: Built) -> None:
    files = {
        name: base64.b64decode(content)
        for name, content in re.findall(r'<a download="([^"]+)" href="data:[^;"]+;base64,([^"]+)"', built.html)
    }
    plain = {name.removesuffix(".gz"): gzip.decompress(c) if name.endswith(".gz") else c for name, c in files.items()}
    table = pq.read_table(io.BytesIO(plain["runs.parquet"])).to_pylist()
    assert {row["run_id"] for row in table} == set(built.records)
    for row in table:
        record = built.records[row["run_id"]]
        assert record.path is not None
        assert (row["path_flops"], row["path_tokens"]) == (record.path.flops, record.path.tokens)
        assert row["path_duration_s"] == record.path.duration_s
        assert row["seed"] == record.seed
    if "runs.json" in plain:
        assert json.loads(plain["runs.json"]) == table
    if "runs.csv" in plain:
        lines = list(csv.DictReader(io.StringIO(plain["runs.csv"].decode())))
        assert [line["run_id"] for line in lines] == [row["run_id"] for row in table]
        assert [float(line["path_flops"]) for line in lines] == [row["path_flops"] for row in table]
    if "verdicts.json" in plain:
        assert json.loads(plain["verdicts.json"]) == built.content


_DURATION = re.compile(r"(?:(\d+) h )?(\d+) min(?: (\d+) s)?")
_WORDED = re.compile(r"(?:shuffled with seed )?([0-9.]+)(?: ([kMG]?)(times|tokens|bits per byte))?")


def test_durations_and_numbers_with_words_are_the_value_too(built: Built) -> None:
    """What is no number with a unit: ``51 min 21 s``, ``1.19 times``, ``382 ktokens``; nothing is left unread."""
    checked = 0
    for number in built.page.numbers:
        text = number.text.replace("\u202f", "").replace("\N{MULTIPLICATION SIGN}", "").strip()
        if number.value is None or re.fullmatch(r"[+-]?[0-9.]+%", text) or _SI.match(text):
            continue
        duration, worded = _DURATION.fullmatch(text), _WORDED.fullmatch(text)
        if duration is not None:
            hours, minutes, seconds = (int(part or 0) for part in duration.groups())
            shown, step = 3600.0 * hours + 60 * minutes + seconds, 1.0 if duration.group(3) else 60.0
        else:
            assert worded is not None, number
            digits, scale = worded.group(1), _PREFIXES[worded.group(2) or ""]
            shown, step = float(digits) * scale, 10.0 ** -len(digits.partition(".")[2]) * scale
        assert abs(shown - number.value) <= 0.501 * step, number
        checked += 1
    assert checked > 0


def test_verdict_cards_show_the_verdicts_of_the_file(built: Built) -> None:
    assert built.content["claims"]
    for claim in built.content["claims"]:
        start = built.html.index(f'id="claim-{claim["id"]}"')
        card = built.html[start : built.html.index("</article>", start)]
        assert claim["verdict"] in card.lower()
        values = set(re.findall(r'data-value="([^"]+)"', card))
        assert repr(claim["factor"]) in values
        assert repr(claim["n"]) in values
        measured = claim["estimate"] is not None and claim["verdict"] != "not measured"
        expected = [claim["estimate"], *(claim["interval"][end] for end in ("low", "high"))] if measured else []
        expected += [claim["modelled_estimate"]] if claim["kind"] == "energy" and claim["grade"] in ("C", "D") else []
        assert {repr(value) for value in expected if value is not None} <= values


def test_the_task_ratios_are_those_of_the_verdicts_file(built: Built) -> None:
    shown = {number.value for row in built.page.rows["t-task-ratios"] for number in row}
    ratios = built.content["task_ratios"]
    assert ratios
    for ratio in ratios:
        if ratio["estimate"] is not None:
            assert ratio["estimate"] in shown
        if ratio["interval"] is not None:
            assert {ratio["interval"]["low"], ratio["interval"]["high"]} <= shown
