"""Fill the page's template: the shell around the sections, the same bytes for the same parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.report.page.blocks import Card, Cell, Section
from harness.report.page.escapes import show_controls

TEMPLATES = Path(__file__).parents[1] / "templates"
_INFERENCE = {"costs-section", "kinds-section", "regimes-section", "serving-section", "models-section"}


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
    built_utc: str | None = None


def render_page(parts: PageParts) -> str:
    """Return the page. A pure function: no clock, no disk but the templates of this package."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=parts.title,
        study=parts.study,
        built_utc=parts.built_utc,
        baseline=parts.arms[0],
        candidate=parts.arms[1],
        summary=parts.summary,
        overview=parts.overview,
        cards=parts.cards,
        sections=parts.sections,
        style=_asset("style.css") + _inference_style(parts.sections),
        script=_asset("report.js"),
    )
    return show_controls(page)


def _inference_style(sections: Sequence[Section]) -> Markup:
    return _asset("inference.css") if _INFERENCE & {section.id for section in sections} else Markup("")


def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package
