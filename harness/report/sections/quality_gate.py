"""The quality gate: whether the two that are compared are equally good, in one place, each answer with its numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from harness.analysis.inference.checks import NORMAL_95
from harness.analysis.inference.results import AccuracyDifference, InferenceDetail, InferenceResult, KindScore
from harness.analysis.results import Equivalence, MatchResult, TaskPair
from harness.analysis.stats import NO_VARIATION
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of
from harness.report.sections.equality import signed_interval

Outcome = Literal["pass", "fail", "unknown"]
_WORDS: dict[Outcome, str] = {"pass": "✓ pass", "fail": "✗ fail", "unknown": "? cannot be told"}
_OF_TEST: dict[str, Outcome] = {
    "equivalent": "pass",
    "different": "fail",
    "inconclusive": "unknown",
    "unknown": "unknown",
}
_SHARE = "share of answers that are correct"
_EXACT = 1e-9  # bits per byte
_TITLE = "Quality gate: are the two equally good?"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """One question of the gate, its outcome, and the cells that prove it."""

    question: str
    outcome: Outcome
    found: Cell
    interval: Cell
    margin: Cell
    power: Cell
    n: Cell


def quality_gate_section(match: MatchResult, detail: InferenceDetail | None = None) -> Section:
    """Return the gate of a study that trained: loss by matching, loss and accuracy by TOST, answers against chance."""
    gates = [_matched_loss(match)]
    gates += [_tested(test) for test in sorted(match.equivalence, key=lambda test: "accuracy" in test.what)]
    gates += _above_chance(detail.scores if detail is not None else (), (match.baseline_arm, match.candidate_arm))
    at: Cell = ""
    if match.matched_loss is not None:
        loss = n.fixed(match.matched_loss, 3, f"rule: {match.rule}")
        at = Markup(" Costs are compared at a loss of {} bits per byte, which both reached.").format(loss)
    return _section(gates, at)


def inference_gate_section(result: InferenceResult, detail: InferenceDetail) -> Section:
    """Return the gate of models or servers that were not trained here: accuracy by example, and against chance."""
    arms = (result.baseline_arm, result.candidate_arm)
    costs = [*([result.suite] if result.suite is not None else []), *result.kinds]
    gates = [_by_example(cost.accuracy) for cost in costs if cost.accuracy is not None]
    gates += _above_chance(detail.scores, arms)
    return _section(gates, " The same questions were put to both; a failed answer counts as wrong.")


def _section(gates: Sequence[_Gate], tail: Cell) -> Section:
    names = ("Question", "Outcome", "What was found", "Interval", "Margin", "Power", "n")
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            gate.question,
            Markup('<span class="outcome {}">{}</span>').format(gate.outcome, _WORDS[gate.outcome]),
            *(gate.found, gate.interval, gate.margin, gate.power, gate.n),
        )
        for gate in gates
    )
    columns = columns_of(names, ("Question", "Outcome", "What was found", "Interval"))
    notes = (
        (
            "A test passes only where the whole 90% interval of the difference lies inside a margin that was declared "
            "before the first run (two one-sided tests), and fails where it lies wholly outside. Otherwise it "
            "cannot be told: a difference that is not significant is no equality."
        ),
        "Two that answer no better than blindly are equal for the wrong reason, so both must be above chance.",
    )
    return Section(
        id="quality-gate",
        title=_TITLE,
        lead=n.join((_lead(gates), tail), ""),
        tables=(Table(id="quality-gate", caption="The gate", columns=columns, rows=rows),) if rows else (),
        notes=notes if rows else (),
    )


def _lead(gates: Sequence[_Gate]) -> str:
    if not gates:
        return "Cannot be told: nothing was found to compare the two by."
    by = {word: [gate.question for gate in gates if gate.outcome == word] for word in _WORDS}
    if by["fail"]:
        return f"Not in everything. It fails in: {'; '.join(by['fail'])}."
    if by["unknown"]:
        return f"Cannot be told in everything. It is open in: {'; '.join(by['unknown'])}."
    return "Yes, in all that was asked."


def _matched_loss(match: MatchResult) -> _Gate:
    source = f"rule: {match.rule}"
    loss = n.fixed(match.matched_loss, 3, source, match.matched_loss_reason)
    pair = next(iter(match.task_pairs), None)
    found: Cell = Markup("{} bits per byte, reached by both").format(loss) if match.matched_loss is not None else loss
    why = (
        "read off at the loss itself, inside what both reached"
        if match.matched_loss is not None
        else "nothing to match"
    )
    interval: Cell = Markup('<span class="why">{}</span>').format(why)
    if pair is not None and _is_by_construction(pair):
        why = "no spread: each side's models are weighed so that their loss is this one"
        interval = Markup('<span class="why">{}</span>').format(why)
    elif pair is not None and pair.loss_gap is not None:
        runs = n.runs(pair.run_ids)
        found += Markup("; the models that stand for it differ by {} (baseline less candidate)").format(
            n.num(pair.loss_gap, f"{pair.loss_gap:+.4f}", runs)
        )
        interval = signed_interval(pair.loss_interval, runs)
    ids = {run for row in match.headline for run in row.run_ids}
    num_seeds = max((row.n for row in match.headline), default=None)
    return _Gate(
        question="Loss at which costs are compared",
        outcome="pass" if match.matched_loss is not None else "unknown",
        found=found,
        interval=interval,
        margin="none needed",
        power="",
        n=_with_unit(num_seeds, "seeds", n.runs(ids)),
    )


def _is_by_construction(pair: TaskPair) -> bool:
    """Return whether the models of both sides have the matched loss because they are weighed to have it."""
    exact = pair.loss_gap is not None and abs(pair.loss_gap) < _EXACT
    return exact and pair.loss_interval is not None and pair.loss_interval.method.endswith(NO_VARIATION)


def _tested(test: Equivalence) -> _Gate:
    source = n.runs(test.run_ids)
    return _Gate(
        question=test.what[:1].upper() + test.what[1:],
        outcome=_OF_TEST[test.outcome],
        found=_difference("baseline less candidate", test, test.unit),
        interval=signed_interval(test.interval, source),
        margin=n.digits(test.margin, "the study's promise", "none declared"),
        power=n.percent(test.power, f"at the spread seen; {source}", "not tested"),
        n=_with_unit(test.n, "seeds", source),
    )


def _by_example(test: AccuracyDifference) -> _Gate:
    source = n.runs(test.run_ids)
    return _Gate(
        question=f"Accuracy, {test.what}",
        outcome=_OF_TEST[test.outcome],
        found=_difference("candidate less baseline", test, _SHARE),
        interval=signed_interval(test.interval, source),
        margin=n.digits(test.margin, "the study's promise", "none declared"),
        power=n.percent(test.power, f"at the spread seen; {source}", "not tested"),
        n=_with_unit(test.num_examples, "examples", source),
    )


def _above_chance(scores: Sequence[KindScore], arms: tuple[str, str]) -> list[_Gate]:
    """Return for each arm whether its mean over kinds is above chance, with 95% of the binomial error of one run."""
    gates = []
    for arm in arms:
        own = [score for score in scores if score.arm == arm]
        source = n.runs(run for score in own for run in score.run_ids)
        known = [
            (s.accuracy, s.chance, s.accuracy_stderr)
            for s in own
            if None not in (s.accuracy, s.chance, s.accuracy_stderr)
        ]
        question, asked = f"Answers of {arm} better than blind ones", sum(score.num_asked for score in own)
        if not own or len(known) < len(own):
            why = "the accuracy or the chance of some kind is unknown" if own else "no record has answers by kind"
            shown: Cell = _with_unit(asked, "questions", source) if asked else ""
            gates.append(_gate_of_chance(question, "unknown", n.unknown(why, source), "", shown))
            continue
        value, chance = (statistics.fmean(entry[part] or 0.0 for entry in known) for part in (0, 1))
        half = NORMAL_95 * math.hypot(*(entry[2] or 0.0 for entry in known)) / len(known)
        found = Markup("{}, where chance is {}").format(
            n.percent(value, f"mean over kinds; {source}"), n.percent(chance, f"mean over kinds; {source}")
        )
        ends = Markup('{} to {} <small class="why">95%, binomial</small>').format(
            n.percent(value - half, source), n.percent(value + half, source)
        )
        outcome: Outcome = "pass" if value - half > chance else "fail"
        gates.append(_gate_of_chance(question, outcome, found, ends, _with_unit(asked, "questions", source)))
    return gates


def _gate_of_chance(question: str, outcome: Outcome, found: Cell, interval: Cell, asked: Cell) -> _Gate:
    return _Gate(
        question=question, outcome=outcome, found=found, interval=interval, margin="above chance", power="", n=asked
    )


def _difference(what: str, test: Equivalence | AccuracyDifference, unit: str) -> Cell:
    value, reason = test.difference, test.reason
    shown = n.num(value, "" if value is None else f"{value:+.4f}", n.runs(test.run_ids), reason)
    if value is None:
        return shown
    why: Cell = Markup(' <small class="why">{}</small>').format(reason) if reason else ""
    return Markup("{}: {} {} {}{}").format(test.outcome, what, shown, unit, why)


def _with_unit(value: int | None, unit: str, source: str) -> Cell:
    return Markup("{} {}").format(n.count(value, source, "nothing was asked"), unit if value is not None else "")
