"""Methods in short: how the numbers of a trained study were made."""

from __future__ import annotations

from harness.analysis.results import MatchResult
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
