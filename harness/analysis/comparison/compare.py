"""The whole comparison of studies, and its JSON."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.analysis.comparison.differences import compare_ratios, list_ratios, pool_counted
from harness.analysis.comparison.facts import LETTERS, build_side
from harness.analysis.comparison.load import JudgedStore, judge_content, load_content, name_stores, require_store
from harness.analysis.comparison.pooling import judge_pooling
from harness.analysis.comparison.results import Side, StudyComparison
from harness.analysis.comparison.settings import compare_settings
from harness.analysis.summary import SCHEMA_VERSION, plain_data, verdict_to_json
from harness.core.errors import ConfigError, RecordError

MOST_STUDIES = 8


def load_and_compare(roots: Sequence[Path]) -> StudyComparison:
    """Read, judge and compare the stores at `roots`, in the order in which they are named.

    Raises:
        RecordError: one is no store, or its own records must not be pooled.
        ConfigError: a store is named twice, or there are too many for one page.
    """
    if len(roots) > MOST_STUDIES:
        raise ConfigError(f"{len(roots)} stores were given; one page puts at most {MOST_STUDIES} side by side.")
    for root in roots:
        require_store(root)
    name_stores(roots)
    judged = []
    for root in roots:
        content = load_content(root)
        try:
            judged.append(judge_content(content))
        except RecordError as error:
            raise RecordError(f"'{root}': {error}") from error
    return compare_studies(judged)


def compare_studies(judged: Sequence[JudgedStore]) -> StudyComparison:
    """Put judged stores side by side; every pair of them is held against each other. Pure.

    Raises:
        ValueError: there are fewer than two, or more than letters.
    """
    if not 2 <= len(judged) <= len(LETTERS):
        raise ValueError("a comparison is of two studies or more")
    sides = tuple(build_side(position, store) for position, store in enumerate(judged))
    settings = compare_settings(sides)
    pooling, differences, pooled = [], [], []
    for first, second in itertools.combinations(sides, 2):
        lines = judge_pooling(first, second, settings)
        pooling += lines
        differences += compare_ratios(first, second, lines)
        pooled += pool_counted(first, second, lines)
    return StudyComparison(
        sides=sides,
        ratios=tuple(row for side in sides for row in list_ratios(side)),
        pooling=tuple(pooling),
        differences=tuple(differences),
        pooled=tuple(pooled),
        settings=settings,
    )


def comparison_to_json(comparison: StudyComparison) -> dict[str, Any]:
    """Return the comparison as plain dicts, lists and scalars; unknown numbers are ``None``."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "purpose": "study_comparison",
        "studies": [_side_to_json(side) for side in comparison.sides],
        "ratios": [dataclasses.asdict(row) for row in comparison.ratios],
        "pooling": [
            {**dataclasses.asdict(line), "may_compare": line.may_compare, "may_pool": line.may_pool}
            for line in comparison.pooling
        ],
        "differences": [dataclasses.asdict(row) for row in comparison.differences],
        "pooled": [dataclasses.asdict(row) for row in comparison.pooled],
        "settings": [dataclasses.asdict(row) for row in comparison.settings],
    }
    found: dict[str, Any] = plain_data(content)
    return found


def _side_to_json(side: Side) -> dict[str, Any]:
    result = side.judged.result
    return {
        "letter": side.letter,
        "study": side.name,
        "baseline_arm": result.baseline_arm,
        "candidate_arm": result.candidate_arm,
        "rule": result.rule,
        "matched_loss": getattr(result, "matched_loss", None),
        "facts": side.facts,
        "seeds": side.seeds,
        "num_finished": side.num_finished,
        "num_failed": side.num_failed,
        "num_missing": side.num_missing,
        "claims": [verdict_to_json(verdict) for verdict in side.judged.verdicts],
        "checks": [dataclasses.asdict(check) for check in result.checks],
        "unreadable": side.judged.content.unreadable,
    }
