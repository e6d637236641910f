"""All that is said about claims, in three parts that never mix: measured here, published arithmetic, projected."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from harness.analysis.claims.inference import judge_inference
from harness.analysis.claims.judge import judge_all, skip_all
from harness.analysis.claims.projected import ProjectedRow, projected_rows
from harness.analysis.claims.published import PublishedRow, load_published, row_to_json
from harness.analysis.claims.spec import load_claims
from harness.analysis.claims.text import describe_claim
from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.detail import is_inference
from harness.analysis.inference.load import load_answers
from harness.analysis.inference.results import InferenceResult
from harness.analysis.inference.summary import inference_verdicts_to_json
from harness.analysis.match import match_study
from harness.analysis.projection.results import LABEL
from harness.analysis.results import Check, MatchResult
from harness.analysis.summary import SCHEMA_VERSION, verdicts_to_json
from harness.analysis.verdicts import ClaimSpec, ClaimVerdict
from harness.core.store import Store
from harness.core.study import load_study
from harness.core.units import format_digits

NO_STUDY = (
    "there is no study to judge; run one (isojoule run -m experiment=iso_loss_quick), "
    "then type: isojoule claims runs/iso_loss_quick"
)
MEASURED_TITLE = "Measured here"
PUBLISHED_TITLE = "Published arithmetic (other people's figures, no verdict)"
PROJECTED_TITLE = "Projected (grade D, a model)"
_WIDTH = 110
_PROMISED = {True: "promised", False: "looked at afterwards"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Verdicts of one study (or the reason why there are none), published rows, and projected rows.

    `match` is what the verdicts rest on: a matched study, or one in which nothing was trained.

    `promised` are the ids that the study named before its first run; verdicts on others were looked at afterwards.
    """

    match: MatchResult | InferenceResult | None
    measured_reason: str | None
    verdicts: tuple[ClaimVerdict, ...]
    promised: frozenset[str]
    published: tuple[PublishedRow, ...]
    projected: tuple[ProjectedRow, ...]


def build_overview(store: Path | None, folder: Traversable | None = None) -> Overview:
    """Judge every shipped claim on the study at `store`, those it promised first; ``None`` stands for no study.

    Raises:
        RecordError: `store` holds no records, or they must not be pooled.
        ConfigError: a claim file is wrong, or the study promised a claim that is not known.
    """
    every = load_claims(folder=folder)
    published = tuple(load_published(folder))
    if store is None:
        return Overview(
            match=None,
            measured_reason=NO_STUDY,
            verdicts=tuple(skip_all(every, NO_STUDY)),
            promised=frozenset(),
            published=published,
            projected=projected_rows(),
        )
    study = load_study(store)
    records, unreadable = Store(store).load_records()
    match: MatchResult | InferenceResult
    if is_inference(records, study):
        match = compare_inference(records, load_answers(Store(store), records), study, unreadable)
    else:
        match = match_study(records, study, unreadable)
    first = load_claims(study.claims if study is not None else (), folder)
    promised = frozenset(claim.id for claim in first)
    claims = [*first, *(claim for claim in every if claim.id not in promised)]
    verdicts = judge_inference(claims, match) if isinstance(match, InferenceResult) else judge_all(claims, match)
    return Overview(
        match=match,
        measured_reason=None,
        verdicts=tuple(verdicts),
        promised=promised,
        published=published,
        projected=projected_rows(),
    )


def overview_to_json(overview: Overview) -> dict[str, Any]:
    """Return the keys of ``verdicts_to_json`` with the terms of each claim, and published and projected rows beside it.

    Without a study only ``claims`` (each *not measured*) and ``measured_reason`` stand for the measured part.
    """
    if isinstance(overview.match, InferenceResult):
        content = inference_verdicts_to_json(overview.verdicts, overview.match)
    elif overview.match is not None:
        content = verdicts_to_json(overview.verdicts, overview.match)
    else:
        claims = [_bare(verdict) for verdict in overview.verdicts]
        content = {"schema_version": SCHEMA_VERSION, "study": None, "claims": claims}
    for entry, verdict in zip(content["claims"], overview.verdicts, strict=True):
        entry["promised"] = verdict.claim.id in overview.promised
        entry["terms"] = _terms(verdict.claim)
    return {
        **content,
        "measured_reason": overview.measured_reason,
        "published": [row_to_json(row) for row in overview.published],
        "projected": [
            {
                "id": row.id,
                "bears_on": row.bears_on,
                "text": row.text,
                "values": dict(row.values),
                "grade": row.grade,
                "label": LABEL,
            }
            for row in overview.projected
        ],
    }


def overview_to_text(overview: Overview) -> str:
    """Return the three parts for the terminal, without colours."""
    parts = [_head(MEASURED_TITLE), *_measured_lines(overview)]
    parts += ["", _head(PUBLISHED_TITLE), *_published_lines(overview.published)]
    parts += ["", _head(PROJECTED_TITLE)]
    parts += [f"{LABEL}; isojoule project --pair NAME shows one in full"]
    parts += [f"{row.id}: {row.text}" for row in overview.projected]
    return "\n".join(parts)


def _bare(verdict: ClaimVerdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "metric": claim.metric,
        "factor": claim.factor,
        "kind": claim.kind,
        "verdict": verdict.verdict,
        "text": verdict.text,
    }


def _terms(claim: ClaimSpec) -> dict[str, Any]:
    selectors = dataclasses.asdict(claim.selectors)
    return {
        "comparator": claim.comparator,
        "tolerance": claim.tolerance,
        "limit": claim.limit,
        "min_n": claim.min_n,
        "tag": claim.tag,
        "selectors": {**selectors, "boundary": list(selectors["boundary"])},
    }


def _measured_lines(overview: Overview) -> list[str]:
    if overview.match is None:
        lines = [f"{overview.measured_reason}.", ""]
        return lines + [
            f"{verdict.claim.id}: {verdict.verdict}\n  {verdict.claim.statement} ({describe_claim(verdict.claim)})"
            for verdict in overview.verdicts
        ]
    lines = [f"study {overview.match.study}; rule: {overview.match.rule}", *_check_lines(overview.match.checks), ""]
    for verdict in overview.verdicts:
        mark = _PROMISED[verdict.claim.id in overview.promised]
        lines.append(f"{verdict.claim.id} ({mark}): {verdict.verdict}\n  {verdict.text}")
    return lines


def _check_lines(checks: Sequence[Check]) -> list[str]:
    """Return how many fairness checks passed, and every other one with its reason (isojoule match lists all)."""
    counts = {word: sum(check.outcome == word for check in checks) for word in ("pass", "fail", "unknown")}
    lines = ["fairness checks: " + ", ".join(f"{count} {word}" for word, count in counts.items())]
    for check in checks:
        if check.outcome == "fail":
            effect = "only discloses"
            if check.blocking:
                effect = "blocks a direction" + (" of claims on energy and time" if check.energy_only else "")
            lines.append(f"  FAIL ({effect}) {check.title}: {check.text}")
        elif check.outcome == "unknown":
            lines.append(f"  ? {check.title}: {check.text}")
    return lines


def _published_lines(rows: Sequence[PublishedRow]) -> list[str]:
    """Return three lines per row: id, value, tags and axis; the statement; the formula with its numbers."""
    if not rows:
        return ["there are none"]
    width = max(len(row.id) for row in rows)
    lines = [
        "tag: D computed < P primary, S secondary, D derived inputs; isolates: only the architecture differs",
        f"{'claim':<{width}}  {'value':>8}  {'unit':<24}{'tag':<8}{'isolates':<10}axis",
    ]
    for row in rows:
        tags = f"{row.tag}<{','.join(row.input_tags)}"
        isolates = "yes" if row.isolates_architecture else "no"
        cells = f"{format_digits(row.value):>8}  {row.unit:<24}{tags:<8}{isolates:<10}{row.axis}"
        lines.append(f"{row.id:<{width}}  {cells}")
        lines.append(f"    {textwrap.shorten(row.statement, _WIDTH, placeholder=' ...')}")
        lines.append(f"    = {textwrap.shorten(row.filled_formula, _WIDTH, placeholder=' ...')}{_compare(row)}")
    return lines


def _compare(row: PublishedRow) -> str:
    if row.expected is None:
        return ""
    return f"  (published: {row.expected:g}, {'agrees' if row.agrees else 'DIFFERS'})"


def _head(title: str) -> str:
    return f"{title}\n{'-' * len(title)}"
