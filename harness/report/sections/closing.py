"""The last sections: methods in short, how to reproduce, and what the study does not show."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.analysis.results import MatchResult
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section

_METHODS = (
    (
        "Quality is the held-out loss in bits per byte, so that tokenizers compare. Costs are "
        "compared only at a loss that both families "
        "reached, between two budgets by an exponential in the logarithm of the cost, never "
        "beyond them; where the baseline never got there, a lower bound stands instead."
    ),
    (
        "A multiplier is baseline cost over candidate cost, seed by seed; its interval is "
        "made from the seeds by the method named beside it."
    ),
    (
        "FLOPs are counted by formula from the shapes the kernels ran, router and shared "
        "experts included, and checked by a traced step."
    ),
    (
        "Energy is that of whole windows, edges bounded, idle power measured before and "
        "after. Grades A and B are measurements; C and D are models "
        "and yield no verdict on energy."
    ),
    (
        "For a claimed ratio r0: supported when the interval's upper end is at most r0, not "
        "supported at the tested scale when its lower end is above, "
        "otherwise inconclusive; without a measurement, not measured."
    ),
    (
        "Trunks share one constant-rate schedule and branch into a decay for each budget; a "
        "trunk's cost is counted once in the study and fully in each path."
    ),
)


def methods_section(match: MatchResult, study: StudyInfo | None) -> Section:
    """Return how the numbers were made."""
    notes: list[Cell] = list(_METHODS)
    if study is not None and study.notes:
        notes.append(f"From the study: {study.notes}")
    facts: list[tuple[str, Cell]] = [("Rule for the verdict's loss", match.rule)]
    if match.common_losses is not None:
        worst, best = max(match.common_losses), min(match.common_losses)
        facts.append(
            (
                "Losses both families reached",
                n.join((n.fixed(worst, 3, "both families"), "down to", n.fixed(best, 3, "both families"))),
            )
        )
    if match.decay is not None:
        source = "fitted on the mean over seeds of every cell of both families; 0 is a chord"
        facts.append(("Decay of loss with log cost", n.digits(match.decay, source)))
    if study is not None:
        margin, share = study.match.margin_bits_per_byte, study.match.margin_accuracy
        facts.append(("Equivalence margin of loss", n.num(margin, f"{margin:g} bits per byte", "study")))
        shown = "" if share is None else f"{share:g}"
        facts.append(("Equivalence margin of accuracy", n.num(share, shown, "study", "none declared beforehand")))
    return Section(id="methods", title="Methods, in short", notes=tuple(notes), facts=tuple(facts))


def reproduce_section(records: Sequence[RunRecord], study: StudyInfo | None) -> Section:
    """Return the exact command, commit, versions and seeds."""
    environments = [r.environment for r in records if r.environment is not None]
    commits = sorted({e.git_commit for e in environments if e.git_commit})
    seeds = sorted({r.seed for r in records})
    facts: list[tuple[str, Cell]] = [
        ("Commit", ", ".join(commits) if commits else n.unknown("the runs were not made from a checkout")),
        ("isojoule", ", ".join(sorted({e.isojoule_version for e in environments})) or n.unknown("no readable record")),
        (
            "torch",
            ", ".join(sorted({e.packages.get("torch", "unknown") for e in environments}))
            or n.unknown("no readable record"),
        ),
        ("Seeds", ", ".join(str(seed) for seed in seeds) if seeds else n.unknown("no readable record")),
    ]
    if any(e.git_dirty for e in environments):
        facts.append(("Warning", "some runs were made with local changes on top of the commit"))
    if study is None:
        note = (
            "These runs were made one by one, outside a planned study, so there is no single "
            "command; each record holds its whole configuration."
        )
        return Section(id="reproduce", title="How to reproduce this", facts=tuple(facts), notes=(note,))
    facts.append(("Order of runs", n.num(study.order_seed, f"shuffled with seed {study.order_seed}", "study")))
    code = f"{study.command}\nisojoule report runs/{shlex.quote(study.study)}"
    return Section(
        id="reproduce",
        title="How to reproduce this",
        facts=tuple(facts),
        code=code,
        lead="Finished runs are skipped, so the command goes on where it stopped.",
    )


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
