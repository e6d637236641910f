"""Fill the page's template: the shell around the sections, the same bytes for the same parts.

A strict Content-Security-Policy lets only this page's own style and script run, by their hashes; there is no inline
style or handler, nothing is loaded, and data that the script reads is compressed text without any markup.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.core.units import format_si
from harness.report.page.blocks import Card, Cell, Download, Figure, Section, Table
from harness.report.page.escapes import show_controls
from harness.report.page.glossary import TERMS, Explainer, term_id
from harness.report.page.payload import PayloadPacker
from harness.report.page.sources import current_book
from harness.report.page.tables import TableView, view_table
from harness.report.plots.board import begin_drawing, finish

TEMPLATES = Path(__file__).parents[1] / "templates"
_STYLES = ("style.css", "parts.css")
_INDENT = re.compile(r"(?m)^[ ]+|^//.*\n|^/\*.*\*/\n")  # neither has a text of several lines
_SCRIPTS = ("tables.js", "report.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOrigin:
    """What a page tells of its making: when, of which record files (their hash), and where these stand beside it.

    `records_href` is empty where the page does not stand in its store, `now_utc` where the same records are to give
    the same bytes.
    """

    now_utc: str | None = None
    records_sha256: str | None = None
    records_href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageParts:
    """What a page shows, in the order in which it is read."""

    title: str
    study: str
    arms: tuple[str, str]
    summary: tuple[Cell, ...]
    overview: tuple[tuple[str, Markup], ...]
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    origin: PageOrigin = PageOrigin()


def render_page(parts: PageParts) -> str:
    """Return the page. A pure function of its parts and the open book of sources; reads only this package's templates.

    The parts are to be made and rendered inside one book (`sources.with_sources`) and one board of drawings
    (`board.open_board`).
    """
    begin_drawing()  # beside the tables
    views = _view_tables(parts.sections)
    packer, explainer, phone_figures = PayloadPacker(), Explainer(), dict[str, str]()
    packer.add("sources", current_book().to_json())
    packer.add("tables", {f"t-{view.id}": view.hidden_rows for view in views.values() if view.hidden_rows})

    def view(table: Table, of_figure: bool) -> TableView:
        return views[id(table), of_figure]

    def draw(figure: Figure) -> Markup:
        wide, narrow = split_drawing(finish(figure.svg or Markup()))
        if narrow:
            phone_figures[figure.id] = show_controls(narrow)
        return wide

    def pack() -> str:
        """Return the payload, once all is drawn."""
        packer.add("figures", phone_figures)
        return packer.finish()

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "explain": explainer.explain,
        "hint": explainer.hint,
        "data_address": data_address,
        "bytes": lambda size: format_si(size, "B"),
        "term_id": term_id,
    }
    style, script = page_style(), _asset(*_SCRIPTS)
    page = environment.get_template("report.html.j2").render(
        title=parts.title,
        study=parts.study,
        built_utc=parts.origin.now_utc,
        records_href=parts.origin.records_href,
        baseline=parts.arms[0],
        candidate=parts.arms[1],
        summary=parts.summary,
        overview=parts.overview,
        cards=parts.cards,
        sections=parts.sections,
        view=view,
        draw=draw,
        terms=sorted(TERMS.items(), key=lambda item: item[0].lower()),
        used=explainer.used,
        payload=pack,
        style=style,
        script=script,
        policy=content_policy(style, script),
    )
    return show_controls(page)


def _view_tables(sections: Sequence[Section]) -> dict[tuple[int, bool], TableView]:
    """Return all tables as markup in the order of the page, by identity and whether they stand under a figure."""
    tables: list[tuple[Table, bool]] = []
    for section in sections:
        tables += [(figure.table, True) for figure in section.figures if figure.table is not None]
        tables += [(table, False) for table in section.tables]
    return {(id(table), of_figure): view_table(table, of_figure=of_figure) for table, of_figure in tables}


def split_drawing(svg: Markup) -> tuple[Markup, str]:
    """Return the drawing for wide pages and the one for phones, which travels packed: it is half of all drawings.

    Without script a phone shows the wide one; without a second drawing the second is empty.
    """
    place = svg.rfind("<svg")
    second = place > 0 and "plot narrow" in svg[place : svg.index(">", place)]
    return (svg[:place], str(svg[place:])) if second else (svg, "")


def page_style() -> Markup:
    """Return the style of every page."""
    return _asset(*_STYLES)


def content_policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy under which only this style and this script take effect."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def data_address(file: Download) -> str:
    """Return the file as a ``data:`` address, which is saved without asking any network."""
    return f"data:{file.media_type};base64,{base64.b64encode(file.content).decode('ascii')}"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _asset(*names: str) -> Markup:
    text = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return Markup(_INDENT.sub("", text))  # noqa: S704 - files of this package
