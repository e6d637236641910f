"""The figures as elements of the page: strict, small, the same bytes, and marks that name the rows of their table."""

from __future__ import annotations

import dataclasses
import re
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from harness.report.page.render import TEMPLATES
from harness.report.plots import style, svg_path
from harness.report.plots.registry import draw_plot
from harness.report.plots.svg import inline

COLOUR = re.compile(r"^(?:none|currentColor|var\(--[a-z0-9-]+\)|url\(#[a-z0-9-]+\))$")
HOSTILE = "</svg><script>alert(1)</script>\"'&\x08\x00\u202eevil\ud800 onload="


def draw(paint: Any, name: str = "toy") -> str:
    return str(style.draw(name, "Title", "Words.", paint, wide=(8.0, 3.0), narrow=(4.0, 3.0)))


def wide(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup[: markup.index("</svg>") + 6])  # noqa: S314 - our own text


def marks(markup: str) -> list[tuple[int, float, float]]:
    return [
        (int(use.get("data-row", "-1")), float(use.get("x", "nan")), float(use.get("y", "nan")))
        for use in wide(markup).iter("{http://www.w3.org/2000/svg}use")
        if use.get("data-row") is not None
    ]


@pytest.fixture(scope="module")
def figures(factory: ModuleType) -> dict[str, str]:
    records = factory.make_records()
    match = factory.make_match(records)
    verdicts = factory.make_verdicts(match)
    routed = next(record for record in records if record.routing is not None)
    drawn = {
        "loss_against_flops": draw_plot("loss_against_flops", match),
        "loss_against_joules": draw_plot("loss_against_joules", match),
        "headline_ratios": draw_plot("headline_ratios", match, verdicts),
        "multiplier_over_loss": draw_plot("multiplier_over_loss", match, verdicts),
        "energy_per_task": draw_plot("energy_per_task", match.task_devices, match.baseline_arm),
        "power_trace": draw_plot("power_trace", factory.make_trace(), "run", word="MODELLED"),
        "routing_load": draw_plot("routing_load", routed.routing, "run"),
    }
    return {name: str(markup) for name, markup in drawn.items()}


def test_no_style_no_script_no_handler_and_no_colour_of_its_own(figures: dict[str, str]) -> None:
    for name, markup in figures.items():
        assert "style" not in markup, name
        assert "xlink" not in markup, name
        assert re.findall(r"<(?:script|foreignObject|image|a)\b", markup) == []
        for variant in markup.split("</svg>")[:-1]:
            for element in ElementTree.fromstring(variant + "</svg>").iter():  # noqa: S314 - our own text
                assert [attribute for attribute in element.attrib if attribute.startswith("on")] == []
                paints = [element.attrib[a] for a in ("fill", "stroke") if a in element.attrib]
                assert [paint for paint in paints if not COLOUR.match(paint)] == [], name


def test_ids_of_all_figures_together_are_unique_and_what_is_referred_to_is_there(figures: dict[str, str]) -> None:
    page = "".join(figures.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 20
    targets = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    labels = {name for found in re.findall(r'aria-labelledby="([^"]+)"', page) for name in found.split()}
    assert targets | labels == set(ids), "an id that nothing refers to is an idle byte"


def test_a_figure_takes_a_third_of_what_matplotlib_writes_and_the_same_bytes_each_time(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    written: list[int] = []

    def spy(svg: str, *options: Any) -> Any:
        written.append(len(svg))
        return inline(svg, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "inline", spy)
        first = draw_plot("loss_against_flops", match)
    assert first is not None
    assert len(first) < sum(written) / 3
    assert draw_plot("loss_against_flops", match) == first


def test_a_colour_that_stands_for_no_variable_is_an_error() -> None:
    with pytest.raises(ValueError, match="#ff0000 stands for no variable"):
        draw(lambda figure: figure.add_subplot().plot([1, 2], [1, 2], color="#ff0000"))


@pytest.mark.filterwarnings("ignore:Glyph")
def test_text_of_records_is_text_and_nothing_turns_its_direction() -> None:
    def paint(figure: Figure) -> None:
        figure.add_subplot().set_title(HOSTILE.replace("\ud800", ""))

    markup = str(style.draw("toy", HOSTILE, HOSTILE, paint, wide=(8.0, 3.0), narrow=(4.0, 3.0)))
    assert "<script" not in markup
    assert "\u202e" not in markup
    assert "\x08" not in markup
    assert markup.count("&lt;script&gt;") == 6
    markup.encode("utf-8")


def test_marks_name_their_rows_in_the_order_of_the_data_whatever_the_view_cuts_off() -> None:
    xs = [5.0, 1.0, 9.0, 3.0, 7.0, 2.0]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        (line,) = axes.plot(xs, xs, marker="o", color=style.INK, linestyle="none")
        style.mark_rows(line, [10, 11, 12, 13, 14, 15])
        axes.set_xlim(2.5, 8)
        axes.set_ylim(0, 10)

    found = marks(draw(paint))
    assert [row for row, *_ in found] == [10, 13, 14], "the others lie outside of the view"
    left, middle, right = (x for _, x, _ in sorted(found, key=lambda mark: mark[1]))
    assert [row for row, *_ in sorted(found, key=lambda mark: mark[1])] == [13, 10, 14]
    assert middle - left == pytest.approx(right - middle, abs=0.2)


@pytest.mark.parametrize("bad", [float("nan"), 1e9])
def test_a_mark_that_cannot_be_drawn_never_shifts_the_rows_of_the_others(bad: float) -> None:
    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        (line,) = axes.plot([1.0, bad, 3.0], [1.0, 2.0, 3.0], marker="o", color=style.INK, linestyle="none")
        style.mark_rows(line, [0, 1, 2])
        axes.set_xlim(0, 4)

    found = marks(draw(paint))
    assert [row for row, *_ in found] == [0, 2]
    assert found[0][1] < found[1][1]


def test_a_joined_line_with_a_mark_out_of_view_names_no_row_rather_than_a_wrong_one() -> None:
    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        (line,) = axes.plot([1.0, 50.0, 3.0, 2.0], [1.0, 9.0, 3.0, 2.0], marker="o", color=style.INK)
        style.mark_rows(line, [0, 1, 2, 3])
        axes.set_xlim(0, 4)

    assert marks(draw(paint)) == []


def test_bars_and_whiskers_name_their_row_on_the_element() -> None:
    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place in range(3):
            (bar,) = axes.barh(place, place + 1.0, facecolor=style.BASELINE, hatch="//", edgecolor=style.INK)
            style.mark_rows(bar, [place])
        style.mark_rows(axes.vlines([1, 2], [0, 0], [1, 2], color=style.INK), [7, 8])

    paths = wide(draw(paint)).iter("{http://www.w3.org/2000/svg}path")
    assert [path.get("data-row") for path in paths if path.get("data-row")] == ["0", "1", "2", "7", "8"]


def test_marks_of_loss_against_flops_stand_where_their_rows_say(factory: ModuleType) -> None:
    """Cheaper rows stand further left and rows of lower loss further down, over all marks."""
    match = factory.make_match(factory.make_records())
    rows = sorted(match.points, key=lambda point: point.run_id)
    found = marks(str(draw_plot("loss_against_flops", match)))
    assert sorted(row for row, *_ in found) == list(range(len(rows)))
    by_cost = sorted(found, key=lambda mark: rows[mark[0]].flops)
    assert [x for _, x, _ in by_cost] == sorted(x for _, x, _ in by_cost)
    by_loss = sorted(found, key=lambda mark: -rows[mark[0]].loss)
    assert [y for *_, y in by_loss] == sorted(y for *_, y in by_loss)


def test_marks_of_the_multiplier_curve_stand_where_their_rows_say(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    found = marks(str(draw_plot("multiplier_over_loss", match, [])))
    assert sorted(row for row, *_ in found) == list(range(len(match.curve)))
    heights = sorted(found, key=lambda mark: -(match.curve[mark[0]].estimate or 0))
    assert [y for *_, y in heights] == sorted(y for *_, y in heights)


def test_paths_are_short_and_rounding_never_adds_up() -> None:
    steps = [("M", (0.0, 0.0)), *(("L", (0.04 * i, 0.0)) for i in range(1, 26))]
    assert svg_path.write_path(steps) == "M0 0h.1 .1 .1 .1 .1 .1 .1 .1 .1 .1"
    square = svg_path.read_path("M 1 1 L 3 1 L 3 2.5 L 1 2.5 L 1 1 z")
    assert svg_path.write_path(square) == "M1 1h2v1.5h-2z"
    assert svg_path.write_path([*square, *svg_path.shift(square, 4, 0)]) == "M1 1h2v1.5h-2zm4 0h2v1.5h-2z"
    assert svg_path.write_path(svg_path.read_path("M 0 0 C 1 1 2 -1 3 0")) == "M0 0c1 1 2-1 3 0"
    with pytest.raises(ValueError, match="command 'A'"):
        svg_path.read_path("M 0 0 A 1 1 0 0 0 2 2")


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_marks_stand_out_from_the_page_in_both_themes(theme: int) -> None:
    """WCAG contrast: 4.5 for words, 3 for marks."""
    sheet = (TEMPLATES / "style.css").read_text()
    block = re.findall(r":root[^{]*\{[^}]*--ink:[^}]*\}", sheet)[theme]
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))
    for name in ("ink", "muted"):
        assert _contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("c-base", "c-cand", "c-third", "c-fourth"):
        assert _contrast(colours[name], colours["paper"]) >= 3, name


def _contrast(first: str, second: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_same_outline_is_defined_once(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    same = dataclasses.replace(match, points=tuple(dataclasses.replace(p, size="one") for p in match.points))
    markup = str(draw_plot("loss_against_flops", same))
    assert markup[: markup.index("</svg>")].count("<path id=") == 1
