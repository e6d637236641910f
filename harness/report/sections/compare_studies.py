"""Studies side by side: what they are, their verdicts, their fairness checks, and the settings that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from harness.analysis.comparison.results import Side, StudyComparison
from harness.analysis.inference.results import InferenceResult
from harness.analysis.verdicts import ClaimVerdict
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Column, Section, Table, text_columns
from harness.report.sections.checks import OUTCOMES

_ROWS: tuple[tuple[str, str, str], ...] = (
    ("kind", "Kind of study", "no readable record"),
    ("arms", "Baseline and candidate", "no readable record"),
    ("rule", "Rule", "no readable record"),
    ("device", "Device", "no record names it"),
    ("device_uuid", "Device's UUID", "no record names one (CPUs have none)"),
    ("driver", "Driver", "no record names one (CPUs have none)"),
    ("cpu", "CPU", "no record names it"),
    ("num_cpus", "CPUs", "no record names it"),
    ("cpu_capability", "Vector instructions of the CPU", "no record names them"),
    ("memory", "Memory", "no record names it"),
    ("os", "System", "no record names it"),
    ("threads", "Threads", "no record names it"),
    ("commit", "Commit", "the runs were not made from a checkout"),
    ("isojoule", "isojoule", "no record names it"),
    ("python", "Python", "no record names it"),
    ("torch", "torch", "no record names it"),
    ("schema", "Schema of the records", "no readable record"),
    ("corpus", "Corpus", "nothing was learned from a corpus"),
    ("data", "Data, SHA-256", "nothing was learned from a corpus"),
    ("tokenizer", "Tokenizer, SHA-256", "nothing was learned from a corpus"),
    ("loss_version", "Validation loss", "no loss was recorded"),
    ("tasks", "Tasks, versions and prompts", "no task was answered"),
    ("task_shape", "How tasks were asked", "no task was answered"),
    ("precision", "Precision", "no record names it"),
    ("formula", "FLOP formula version", "no record counts FLOPs"),
    ("convention", "FLOP convention", "no record counts FLOPs"),
    ("sensors", "Sensors", "no sensor was open"),
    ("boundary", "Energy boundary", "no energy was read"),
    ("grade", "Energy grade", "no energy was read"),
)
_HASHES = ("data", "tokenizer")


def studies_section(comparison: StudyComparison) -> Section:
    """Return what each study is, one column a study, and whether they agree."""
    sides = comparison.sides
    rows = [_fact_row(title, [side.facts[key] for side in sides], why, key) for key, title, why in _ROWS]
    rows[3:3] = [_count_row(title, sides, read) for title, read in _COUNTS]
    rows.insert(3, _loss_row(sides))
    table = Table(
        id="studies",
        caption="The studies side by side",
        columns=(Column("What"), Column("Same?"), *(Column(side.label) for side in sides)),
        rows=tuple(rows),
        filterable=True,
    )
    broken = [
        Markup("Study {}: {}").format(side.letter, line) for side in sides for line in side.judged.content.unreadable
    ]
    lead = (
        "Read off the finished runs of each study. Each study's own verdicts and numbers are what its own page says; "
        "nothing here changes them."
    )
    return Section(id="studies-section", title="What is compared", lead=lead, tables=(table,), notes=tuple(broken))


_COUNTS: tuple[tuple[str, Callable[[Side], int | None]], ...] = (
    ("Finished runs", lambda side: side.num_finished),
    ("Failed runs", lambda side: side.num_failed),
    ("Planned runs without a record", lambda side: side.num_missing),
)


def _count_row(title: str, sides: Sequence[Side], read: Callable[[Side], int | None]) -> tuple[Cell, ...]:
    found = [read(side) for side in sides]
    cells = [n.count(value, f"study {side.letter}", "no plan") for value, side in zip(found, sides, strict=True)]
    return (title, _agreement([() if value is None else (str(value),) for value in found]), *cells)


def _loss_row(sides: Sequence[Side]) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    values: list[tuple[str, ...]] = []
    for side in sides:
        result = side.judged.result
        loss = None if isinstance(result, InferenceResult) else result.matched_loss
        why = "nothing was trained" if isinstance(result, InferenceResult) else result.matched_loss_reason
        cells.append(n.fixed(loss, 3, f"study {side.letter}; rule: {result.rule}", why))
        values.append(() if loss is None else (repr(loss),))
    return ("Matched loss, bits per byte", _agreement(values), *cells)


def _fact_row(title: str, found: Sequence[tuple[str, ...]], why: str, key: str) -> tuple[Cell, ...]:
    cells = [_fact(values, why, key) for values in found]
    return (title, _agreement(found), *cells)


def _fact(values: tuple[str, ...], why: str, key: str) -> Cell:
    if not values:
        return n.unknown(why)
    if key in _HASHES:
        return n.join((Markup("<code>{}</code>").format(value) for value in values), ", ")
    return "; ".join(values)


def _agreement(found: Sequence[tuple[str, ...]]) -> Markup:
    if any(not values for values in found):
        word, text = "unknown", "? unknown"
    elif len(set(found)) == 1:
        word, text = "pass", "✓ same"
    else:
        word, text = "unknown", "≠ differs"
    return Markup('<span class="outcome {}">{}</span>').format(word, text)


def verdicts_section(comparison: StudyComparison) -> Section:
    """Return the verdicts side by side: one row a claim, one column a study."""
    sides = comparison.sides
    claims = {verdict.claim.id: verdict.claim for side in sides for verdict in side.judged.verdicts}
    rows = []
    for claim_id, claim in claims.items():
        cells: list[Cell] = []
        for side in sides:
            found = next((v for v in side.judged.verdicts if v.claim.id == claim_id), None)
            cells.append("not put to the test" if found is None else _verdict_cell(found))
        rows.append((claim.statement, *cells))
    table = Table(
        id="verdict-pairs",
        caption="Verdicts side by side",
        columns=text_columns("Claim", *(side.label for side in sides)),
        rows=tuple(rows),
    )
    lead = (
        "Each verdict rests on its own study alone. Two studies that say the same are not one study of twice the size."
    )
    return Section(
        id="verdicts-section",
        title="Verdicts side by side",
        lead=lead,
        tables=(table,) if rows else (),
        notes=() if rows else ("No study promised a claim that this isojoule knows.",),
    )


def _verdict_cell(verdict: ClaimVerdict) -> Markup:
    source = n.runs(verdict.run_ids)
    word = Markup("<strong>{}</strong>").format(verdict.verdict)
    if verdict.estimate is not None and verdict.verdict != "not measured":
        ends = n.interval(verdict.interval, source, "")
        return Markup("{}<br>ratio {} ({}), n = {}").format(
            word, n.digits(verdict.estimate, source), ends, n.count(verdict.n, source)
        )
    if verdict.modelled_estimate is not None:
        shown = n.digits(verdict.modelled_estimate, f"modelled energies; {source}")
        return Markup("{}<br>ratio of modelled energies {} ({}) {}").format(
            word, shown, n.interval(verdict.modelled_interval, source, ""), n.grade_badge(verdict.grade)
        )
    return word


def fairness_section(comparison: StudyComparison) -> Section:
    """Return the fairness checks side by side, those that fail anywhere first."""
    sides = comparison.sides
    found = [{check.code: check for check in side.judged.result.checks} for side in sides]
    titles = {code: check.title for checks in found for code, check in checks.items()}
    order = {"fail": 0, "unknown": 1, "pass": 2}

    def rank(code: str) -> tuple[int, str]:
        return min((order[checks[code].outcome] for checks in found if code in checks), default=3), code

    rows = []
    for code in sorted(titles, key=rank):
        cells: list[Cell] = []
        for checks in found:
            check = checks.get(code)
            if check is None:
                cells.append("not made for this kind of study")
                continue
            badge = Markup('<span class="outcome {}">{}</span>').format(check.outcome, OUTCOMES[check.outcome])
            cells.append(Markup("{}<br><small>{}</small>").format(badge, check.text))
        rows.append((titles[code], *cells))
    table = Table(
        id="check-pairs",
        caption="Fairness checks side by side",
        columns=text_columns("Check", *(side.label for side in sides)),
        rows=tuple(rows),
    )
    return Section(
        id="fairness-section",
        title="Was each comparison fair?",
        lead="A check that fails in one study only is a reason why the two may differ.",
        tables=(table,) if rows else (),
        notes=() if rows else ("No check could be made: there were no finished runs to check.",),
    )


def settings_section(comparison: StudyComparison) -> Section:
    """Return what differs between the configurations."""
    sides = comparison.sides
    rows = []
    for setting in comparison.settings:
        cells: list[Cell] = []
        for side in sides:
            values = setting.values.get(side.letter)
            cells.append(n.unknown("not recorded") if values is None else ", ".join(values))
        rows.append((Markup("<code>{}</code>").format(setting.name), ", ".join(setting.arms), *cells))
    table = Table(
        id="settings",
        caption="Settings that differ",
        columns=text_columns("Setting", "Arms", *(side.label for side in sides)),
        rows=tuple(rows),
        filterable=True,
    )
    lead = (
        "All values that the runs of an arm have, where the studies differ. Names, seeds and the order of runs are "
        "left out. A line that ends in .* counts settings that came after the records of one study were written."
    )
    return Section(
        id="settings-section",
        title="What differs in the configurations",
        lead=lead,
        tables=(table,) if rows else (),
        notes=() if rows else ("Nothing: the arms that the studies share are configured alike.",),
    )
