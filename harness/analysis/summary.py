"""Results for other programs: JSON with every number of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from harness.analysis.results import MatchResult
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.verdicts import ClaimVerdict

SCHEMA_VERSION = 1
CLAIM_KEYS = ("id", "statement", "source", "metric", "factor", "kind")


def match_to_json(match: MatchResult) -> dict[str, Any]:
    """Return all of `match` as plain dicts, lists and scalars; unknown numbers are ``None``."""
    return {"schema_version": SCHEMA_VERSION, **plain_data(dataclasses.asdict(match))}


def verdicts_to_json(
    verdicts: Sequence[ClaimVerdict], match: MatchResult, sensitivity: Sensitivity | None = None
) -> dict[str, Any]:
    """Return verdicts with what they rest on: matched loss, the curves of multipliers, headline and checks.

    With `sensitivity` also what would overturn them.
    """
    result: dict[str, Any] = plain_data(
        {
            "schema_version": SCHEMA_VERSION,
            "study": match.study,
            "baseline_arm": match.baseline_arm,
            "candidate_arm": match.candidate_arm,
            "rule": match.rule,
            "matched_loss": match.matched_loss,
            "matched_loss_reason": match.matched_loss_reason,
            "common_losses": match.common_losses,
            "claims": [verdict_to_json(verdict) for verdict in verdicts],
            "headline": {m.resource: dataclasses.asdict(m) for m in match.headline},
            "curve": {
                resource: [dataclasses.asdict(m) for m in match.curve if m.resource == resource]
                for resource in dict.fromkeys(m.resource for m in match.curve)
            },
            "arm_tasks": [dataclasses.asdict(task) for task in match.arm_tasks],
            "task_ratios": [dataclasses.asdict(ratio) for ratio in match.task_ratios],
            "task_devices": [dataclasses.asdict(arm) for arm in match.task_devices],
            "accuracy": None if match.accuracy is None else dataclasses.asdict(match.accuracy),
            "equal_budgets": {
                resource: [dataclasses.asdict(gap) for gap in match.budget_gaps if gap.resource == resource]
                for resource in dict.fromkeys(gap.resource for gap in match.budget_gaps)
            },
            "equivalence": [dataclasses.asdict(test) for test in match.equivalence],
            "axes": [dataclasses.asdict(axis) for axis in match.axes],
            "slices": [dataclasses.asdict(piece) for piece in match.slices],
            "decay": match.decay,
            "checks": [dataclasses.asdict(check) for check in match.checks],
            "findings": [dataclasses.asdict(finding) for finding in match.findings],
            "excluded": [{"run_id": run_id, "reason": reason} for run_id, reason in match.excluded],
        }
    )
    if match.kinds:  # a study of one kind of task keeps the keys that it always had
        result["kinds"] = plain_data([dataclasses.asdict(kind) for kind in match.kinds])
        result["task_pairs"] = plain_data([dataclasses.asdict(pair) for pair in match.task_pairs])
    if sensitivity is not None:
        result["sensitivity"] = plain_data(dataclasses.asdict(sensitivity))
    return result


def verdict_to_json(verdict: ClaimVerdict) -> dict[str, Any]:
    """Return a verdict with the claim's own keys; its terms (comparator, tolerance, ...) are in the claims' JSON."""
    values = dataclasses.asdict(verdict)
    claim = values.pop("claim")
    return {**{key: claim[key] for key in CLAIM_KEYS}, **values}


def plain_data(value: Any) -> Any:
    """Turn tuples into lists, so that the result equals itself after a round trip through JSON."""
    if isinstance(value, dict):
        return {str(key): plain_data(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(part) for part in value]
    return value
