"""The page against the records: numbers, escaping, the same bytes, and stores with nothing to show."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from harness.core.records import RunRecord
from harness.report.matched_page import render_report
from harness.report.page.render import PageOrigin
from harness.report.plots.registry import PLOTS
from harness.report.plots.style import log_ticks
from harness.report.sections import answer, runs
from tests.unit.report import pages

HOSTILE = "<script>alert(1)</script>\"'&$\\frac{$ ]]> -- _x"


def render(factory: ModuleType, records: list[RunRecord], unreadable: tuple[str, ...] = (), **options: Any) -> str:
    match = factory.make_match(records, **options)
    study = factory.make_study(records)
    traces = {records[-1].run_id: factory.make_trace()} if records else {}
    return render_report(records, study, match, factory.make_verdicts(match), unreadable, traces)


@pytest.fixture(scope="module")
def full(factory: ModuleType) -> str:
    records = [*factory.make_records(), factory.make_record("moe", "s", 8, status="failed", error="out of memory")]
    return render(factory, records, ("broken.json is not a readable run record",))


def test_every_run_shows_the_numbers_of_its_record(factory: ModuleType, full: str) -> None:
    rows = {row[0].source: row for row in pages.Page(full).rows["t-runs"][1:]}
    for record in factory.make_records():
        tokens, seed, loss, flops, seconds, joules, rate, accuracy = (number.value for number in rows[record.run_id])
        assert (tokens, seed, flops) == (record.path.tokens, record.seed, record.path.flops)
        assert loss == record.quality_value("validation_bits_per_byte")
        assert seconds == record.path.duration_s
        assert joules == record.path.energy[0].energy_j
        assert (rate, accuracy) == (record.train_flops_per_s, record.quality_value("exact_match"))


def test_a_failed_run_shows_unknown_with_its_reason_and_never_zero(full: str) -> None:
    row = next(row for row in pages.Page(full).rows["t-runs"] if row and "s8" in row[0].source)
    assert [number.text for number in row] == ["unknown", "8", *["unknown"] * 6]
    assert "out of memory" in full
    assert "the run failed" in full
    assert "broken.json is not a readable run record" in full


def test_headline_numbers_are_the_multipliers_with_their_intervals(factory: ModuleType, full: str) -> None:
    match = factory.make_match(factory.make_records())
    rows = pages.Page(full).rows["t-headline"][1:]
    assert len(rows) == len(match.headline)
    for shown, row in zip(rows, match.headline, strict=True):
        assert shown[0].value == row.loss
        if row.estimate is None:
            assert shown[1].value == row.lower_bound
            continue
        assert [n.value for n in shown[1:5]] == [row.estimate, row.interval.low, row.interval.high, row.n]
        assert [n.value for n in shown[5:]] == [value for _, value in row.per_seed]
    assert "at least <span" in full


def test_every_number_names_its_source(full: str) -> None:
    numbers = pages.Page(full).numbers
    assert len(numbers) > 300
    assert [n for n in numbers if n.value is not None and not n.source] == []


def test_modelled_energy_is_called_modelled_and_yields_no_verdict(full: str) -> None:
    card = full[full.index('id="claim-ninety_percent"') :]
    card = card[: card.index("</article>")]
    assert "Energy on this machine is modelled" in card
    assert 'data-value="1.3"' in card
    assert card.count("modelled") >= 3
    assert "no verdict" in card
    assert "Loss against MODELLED training energy" in full
    assert "MODELLED energy per task" in full


def test_measured_energy_is_not_called_modelled(factory: ModuleType) -> None:
    page = render(factory, factory.make_records(grade="A"), grade="A")
    assert "Loss against training energy" in page
    assert "MODELLED" not in page


def test_simulated_energy_is_called_simulated_even_with_the_best_grade(factory: ModuleType) -> None:
    records = factory.make_records(grade="A")
    match = factory.make_match(records, grade="A")
    points = tuple(dataclasses.replace(point, simulated=True) for point in match.points)
    rows = tuple(dataclasses.replace(row, simulated="energy" in row.resource) for row in match.headline)
    match = dataclasses.replace(match, points=points, headline=rows)
    page = render_report(records, None, match, [], (), {})
    assert "Loss against SIMULATED training energy" in page
    assert "<strong>simulated</strong> training energy" in page
    assert "<strong>measured</strong> training energy" not in page


def test_same_records_in_any_order_give_the_same_bytes(factory: ModuleType) -> None:
    records = factory.make_records()
    match = factory.make_match(records)
    study, verdicts, traces = factory.make_study(records), factory.make_verdicts(match), {"toy": {}}
    first = render_report(records, study, match, verdicts, (), traces)
    assert render_report(records[::-1], study, match, verdicts, (), traces) == first


def test_free_text_of_records_is_data(factory: ModuleType) -> None:
    records = [dataclasses.replace(r, error=HOSTILE, size=HOSTILE) for r in factory.make_records()]
    records.append(dataclasses.replace(factory.make_record("moe", "s", 9, status="failed"), error=HOSTILE))
    match = dataclasses.replace(factory.make_match(records), baseline_arm="dense", rule=HOSTILE)
    points = tuple(dataclasses.replace(p, size=HOSTILE) for p in match.points)
    arms = tuple(dataclasses.replace(a, size=HOSTILE) for a in match.arm_tasks)
    devices = tuple(
        dataclasses.replace(
            a, size=HOSTILE, parts=tuple(dataclasses.replace(p, device=HOSTILE, sensors=(HOSTILE,)) for p in a.parts)
        )
        for a in match.task_devices
    )
    match = dataclasses.replace(match, points=points, arm_tasks=arms, task_devices=devices)
    trace = factory.make_trace()
    trace["series"][0]["sensor"] = HOSTILE
    trace["windows"][0]["phase"] = HOSTILE
    study = factory.make_study(records, title=HOSTILE)
    shown = records[0].run_id
    page = render_report(records, study, match, factory.make_verdicts(match), (HOSTILE,), {shown: trace})
    assert "<script>alert" not in page
    assert pages.Page(page).tags["script"] == 2  # what the page carries for its script, and the script
    assert page.count("&lt;script&gt;alert(1)") > 10


def test_figures_carry_titles_own_ids_and_no_colour_of_their_own(full: str) -> None:
    page = pages.Page(full)
    assert len(page.ids) == len(set(page.ids))
    drawn = full + "".join(pages.read_payload(full)["figures"].values())  # those for phones travel packed
    figures = re.findall(r'<svg[^>]*class="plot (?:wide|narrow)".*?</svg>', drawn, flags=re.DOTALL)
    of_inference = {
        "regime_energy",
        "kind_accuracy",
        "expert_coverage",
        "kind_experts",
        "step_energy",
    }  # shown where windows carry regimes
    of_laws = {"law_fit", "law_residuals"}  # two sizes are too few for a law: test_report_laws
    of_several = {"ratio_forest"}  # studies side by side: test_report_compare
    assert len(figures) == 2 * len(set(PLOTS) - of_inference - of_laws - of_several)
    for figure in figures:
        assert 'role="img"' in figure
        assert "<title" in figure
        assert "<desc" in figure
        assert re.findall(r"#[0-9a-fA-F]{6}|rgb\(|<text[^>]*></text>|<!--", figure) == []
        targets = re.findall(r'(?:href="#|url\(#)([^")]+)', figure)
        assert [target for target in targets if f'id="{target}"' not in figure] == []
        names = set(re.findall(r"var\(--([a-z0-9-]+)\)", figure))
        assert [name for name in names if f"--{name}:" not in full] == []


def test_the_page_asks_for_nothing_else(full: str) -> None:
    outside = [link for link in pages.Page(full).links if not link.startswith(("#", "data:"))]
    assert outside == []
    assert "@import" not in full
    assert re.findall(r"url\((?!#)", full) == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("nothing", "There is nothing to compare yet"),
        ("failed", "none finished"),
        ("one_family", "only one family has finished runs"),
        ("unreadable", "two.json is not readable"),
    ],
)
def test_a_store_with_nothing_to_compare_says_so(factory: ModuleType, case: str, words: str) -> None:
    records = {
        "nothing": [],
        "failed": [factory.make_record(status="failed", error="boom")],
        "one_family": factory.make_records(arms=("dense",)),
        "unreadable": [],
    }[case]
    unreadable = ("one.json is not readable", "two.json is not readable") if case == "unreadable" else ()
    page = render(factory, records, unreadable)
    assert words in page
    assert pages.Page(page).ids.count("limits") == 1
    match = factory.make_match(records)
    alone = render_report(records, None, match, [], unreadable, {})
    assert "No claim was put to the test" in alone


@pytest.mark.parametrize(
    ("estimate", "words"), [(2.4, "2.40 times</span> less"), (0.5, "2.00 times</span> more"), (1.001, "about as much")]
)
def test_the_answer_says_less_more_or_as_much(factory: ModuleType, estimate: float, words: str) -> None:
    records = [factory.make_record("dense"), factory.make_record("moe")]
    match = factory.make_match(records)
    row = dataclasses.replace(match.headline[0], estimate=estimate, interval=None, n=1)
    page = render_report(records, None, dataclasses.replace(match, headline=(row,)), [], (), {})
    assert words in page
    assert "too few for an interval" in page


def test_a_broken_trace_is_left_out(factory: ModuleType) -> None:
    records = [factory.make_record()]
    match = factory.make_match(records)
    for trace in ({}, {"series": "x", "windows": 3}, {"series": [{"times_s": [1, None], "power_w": ["a", 2]}]}):
        page = render_report(records, None, match, [], (), {records[0].run_id: trace})
        assert "No power trace was recorded, or none can be read." in page


def test_the_report_imports_neither_torch_nor_hydra() -> None:
    code = "import sys, harness.report.build; print(sorted({'torch', 'hydra', 'omegaconf'} & set(sys.modules)))"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_log_ticks_are_round_and_never_too_many() -> None:
    for low, high in ((1e12, 1.2e12), (2e12, 3e13), (1.0, 12.0), (1e9, 1e18), (0.3, 4e5)):
        for limit in (4, 8):
            ticks = log_ticks(low, high, limit)
            assert len(ticks) <= limit
            assert ticks == sorted(ticks)
            assert all(low <= tick <= high for tick in ticks)
    assert log_ticks(2e12, 3e13, 4) == [2e12, 5e12, 1e13, 2e13]


def test_a_difference_is_not_claimed_where_the_interval_holds_one(factory: ModuleType) -> None:
    records = factory.make_records()
    match = factory.make_match(records)
    flops = match.headline[0]
    interval = dataclasses.replace(flops.interval, low=0.8, high=1.3)
    for changed, words in (
        ({"estimate": 1.02, "interval": interval}, "no difference between the families is shown"),
        ({"estimate": 0.5, "interval": None, "n": 1}, "too few for an interval"),
        ({"estimate": None, "interval": None, "lower_bound": 3.2}, "never got there"),
    ):
        shown = dataclasses.replace(match, headline=(dataclasses.replace(flops, **changed), *match.headline[1:]))
        assert words in str(answer.summarise(shown, [], records)[0])


def test_a_time_of_building_is_shown_only_when_given(factory: ModuleType) -> None:
    match = factory.make_match([])
    quiet = render_report([], None, match, [], (), {})
    dated = render_report([], None, match, [], (), {}, origin=PageOrigin(now_utc="2026-03-04T05:06:07Z"))
    assert "2026-03-04" not in quiet
    assert dated.replace(" at 2026-03-04T05:06:07Z", "") == quiet


def test_mfu_is_a_column_when_known_and_unknown_with_its_reason_otherwise(factory: ModuleType, full: str) -> None:
    assert "no run names the peak rate of its device" in full
    records = [dataclasses.replace(factory.make_record(), mfu=0.31), factory.make_record("moe")]
    (table,) = runs.runs_section(records, factory.make_match(records)).tables
    place = [column.title for column in table.columns].index("MFU")
    assert [table.columns[place].numeric, len(table.columns)] == [True, len(table.rows[0])]
    assert 'data-value="0.31"' in str(table.rows[0][place])
    assert "unknown" in str(table.rows[1][place])
