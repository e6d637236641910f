"""What the study does not show, some of it from the records themselves."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.results import MatchResult
from harness.core.records import RunRecord
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section


def limits_section(records: Sequence[RunRecord], match: MatchResult) -> Section:
    """Return what a reader must not conclude, some of it from the records themselves."""
    finished = [r for r in records if r.status == "finished"]
    notes: list[Cell] = []
    params = [r.params.active for r in finished if r.params is not None]
    if params:
        tokens = [r.path.tokens for r in finished if r.path is not None]
        source = n.runs(r.run_id for r in finished)
        size = n.join((n.si(min(params), "", source), "to", n.si(max(params), "", source), "active parameters"))
        if tokens:
            size = n.join((size, "and at most", n.count(max(tokens), source), "training tokens"))
        notes.append(
            n.join(
                (
                    "Scale: models of",
                    size,
                    "were trained. Nothing here says that the multiplier stays the same at larger scale.",
                )
            )
        )
    if any(n.is_modelled(p.energy_grade) for p in match.points):
        notes.append(
            "Energy: no meter could be read. Modelled joules follow time and nameplate power and "
            "cannot see what each kernel really draws."
        )
    if any(s.simulated for r in records for s in r.sensors):
        notes.append("Some readings are SIMULATED. They exercise the program and say nothing about any machine.")
    notes += [
        (
            "Deployment: memory, batching and traffic decide much of the real cost of sparse "
            "experts; a small study on one machine does not cover them."
        ),
        (
            "Other recipes: one data set, one tokenizer and one training recipe were used; a "
            "different recipe may move the multiplier."
        ),
        (
            "The published models: the claims are about much larger systems whose data, precision "
            "and hardware differ too. This page tests "
            "the architecture's share at the tested scale, not those systems."
        ),
        "Chance: intervals cover the spread between seeds, not a different corpus, machine or power model.",
    ]
    return Section(id="limits", title="What this does not show", notes=tuple(notes))
