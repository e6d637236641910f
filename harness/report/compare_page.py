"""The page that puts two or more studies side by side and pools nothing that must not be pooled."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from harness.analysis.comparison.compare import comparison_to_json, load_and_compare
from harness.analysis.comparison.results import Side, StudyComparison
from harness.report.build import BuiltReport
from harness.report.page import numbers as n
from harness.report.page.blocks import Card, Cell, Section
from harness.report.page.privacy import scrub_inputs
from harness.report.page.render import PageParts, render_page
from harness.report.page.sources import with_sources
from harness.report.plots.board import open_board
from harness.report.results_file import ResultsFile
from harness.report.sections import answer
from harness.report.sections.compare_ratios import (
    differences_section,
    has_spread,
    is_apart,
    pooling_section,
    ratios_section,
)
from harness.report.sections.compare_studies import (
    fairness_section,
    settings_section,
    studies_section,
    verdicts_section,
)


def build_comparison(roots: Sequence[Path], *, with_paths: bool = False) -> BuiltReport:
    """Return the page over the stores at `roots` and its content as JSON; nothing is written.

    Paths, users and hosts of the machines are left out of both unless `with_paths`; that is done after comparing, so
    that what differs does not read alike before it is judged.

    Raises:
        RecordError: one is no store, or its own records must not be pooled.
        ConfigError: a store is named twice.
    """
    comparison = scrub_inputs(load_and_compare(roots), with_paths=with_paths)
    return BuiltReport(page=render_comparison(comparison), results=ResultsFile(comparison_to_json(comparison)))


@with_sources
@open_board()
def render_comparison(comparison: StudyComparison) -> str:
    """Return the page; pure: the same comparison gives the same bytes."""
    sides = comparison.sides
    return render_page(
        PageParts(
            title=f"{len(sides)} studies side by side",
            study=" and ".join(side.name for side in sides),
            arms=(sides[0].label, ", ".join(side.label for side in sides[1:])),
            summary=tuple(_summarise(comparison)),
            overview=tuple(_overview(comparison)),
            cards=tuple(_cards(sides)),
            sections=(
                studies_section(comparison),
                verdicts_section(comparison),
                ratios_section(comparison),
                differences_section(comparison),
                pooling_section(comparison),
                fairness_section(comparison),
                settings_section(comparison),
                _reproduce_section(sides),
            ),
        )
    )


def _summarise(comparison: StudyComparison) -> list[Cell]:
    """Return in plain words what the studies say together and what may be said of them as one."""
    paragraphs: list[Cell] = []
    for side in comparison.sides:
        parts = [
            Markup("“{}”: <strong>{}</strong>").format(v.claim.statement.rstrip("."), v.verdict)
            for v in side.judged.verdicts
        ]
        said = n.join(parts, "; ") if parts else Markup("no claim was put to the test")
        paragraphs.append(Markup("<b>{}</b>: {}.").format(side.label, said))
    told = [row for row in comparison.differences if has_spread(row)]
    apart = [row for row in told if is_apart(row)]
    if told:
        paragraphs.append(
            Markup("Of {} ratios that move with the seed {} differ between the studies beyond their intervals.").format(
                n.count(len(told), "rows of the table of differences"),
                n.count(len(apart), "rows of the table of differences"),
            )
        )
    pooled = [line for line in comparison.pooling if line.may_pool]
    compared = [line for line in comparison.pooling if line.may_compare]
    total = len(comparison.pooling)
    paragraphs.append(
        Markup("Of {} quantities {} may be held against each other and {} pooled; why not stands line by line.").format(
            n.count(total, "lines of the table of pooling"),
            n.count(len(compared), "lines of the table of pooling"),
            n.count(len(pooled), "lines of the table of pooling"),
        )
    )
    return paragraphs


def _overview(comparison: StudyComparison) -> list[tuple[str, Markup]]:
    rows = []
    for side in comparison.sides:
        runs = [record.run_id for record in side.judged.content.records if record.status == "finished"]
        rows.append(
            (f"{side.letter}: finished runs", n.count(side.num_finished, f"study {side.letter}; {n.runs(runs)}"))
        )
        rows.append((f"{side.letter}: seeds", n.count(len(side.seeds), f"study {side.letter}; {n.runs(runs)}")))
    return rows


def _cards(sides: Sequence[Side]) -> list[Card]:
    """Return the cards of all verdicts, those on one claim beside each other."""
    claims = list(dict.fromkeys(verdict.claim.id for side in sides for verdict in side.judged.verdicts))
    cards = []
    for claim_id in claims:
        for side in sides:
            for verdict in side.judged.verdicts:
                if verdict.claim.id == claim_id:
                    card = answer.make_card(verdict, side.judged.result)
                    cards.append(
                        dataclasses.replace(
                            card,
                            claim_id=f"{side.letter}-{claim_id}",
                            source=f"Study {side.label}",
                        )
                    )
    return cards


def _reproduce_section(sides: Sequence[Side]) -> Section:
    studies = [side.judged.content.study for side in sides]
    commands = [study.command for study in studies if study is not None]
    folders = " ".join(f"runs/{shlex.quote(side.name)}" for side in sides)
    notes: list[Cell] = [
        "Each study's own page has its exact commit, versions, seeds and data; this page reads the same records.",
        "Studies on two machines differ in more than the machine: a difference here is no proof of its cause.",
    ]
    return Section(
        id="reproduce",
        title="How to reproduce this",
        lead="Run every study on its machine, put the stores beside each other, and compare them.",
        code="\n".join((*dict.fromkeys(commands), f"isojoule report --compare {folders}")),
        notes=tuple(notes),
    )
