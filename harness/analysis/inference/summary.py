"""Results for other programs: JSON with every number about tasks, unknown ones as null."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from harness.analysis.inference.load import TaskStudy
from harness.analysis.inference.results import InferenceDetail, InferenceResult
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.summary import SCHEMA_VERSION, plain_data, verdict_to_json
from harness.analysis.verdicts import ClaimVerdict


def tasks_to_json(study: TaskStudy) -> dict[str, Any]:
    """Return all of `study` as plain dicts, lists and scalars, for ``isojoule tasks --json``."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "detail": _detail_to_json(study.detail)}
    if study.inference is not None:
        content["inference"] = dataclasses.asdict(study.inference)
    if study.match is not None:
        match = study.match
        content["matched"] = {
            "study": match.study,
            "baseline_arm": match.baseline_arm,
            "candidate_arm": match.candidate_arm,
            "matched_loss": match.matched_loss,
            "matched_loss_reason": match.matched_loss_reason,
            "arm_tasks": [dataclasses.asdict(task) for task in match.arm_tasks],
            "task_ratios": [dataclasses.asdict(ratio) for ratio in match.task_ratios],
            "task_devices": [dataclasses.asdict(arm) for arm in match.task_devices],
            "kinds": [dataclasses.asdict(kind) for kind in match.kinds],
            "task_pairs": [dataclasses.asdict(pair) for pair in match.task_pairs],
        }
    result: dict[str, Any] = plain_data(content)
    return result


def inference_verdicts_to_json(
    verdicts: Sequence[ClaimVerdict], result: InferenceResult, sensitivity: Sensitivity | None = None
) -> dict[str, Any]:
    """Return the verdicts on an inference study with all that they rest on, for ``verdicts.json``.

    With `sensitivity` also what would overturn them.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "purpose": "inference",
        "claims": [verdict_to_json(verdict) for verdict in verdicts],
        **dataclasses.asdict(result),
        "excluded": [{"run_id": run_id, "reason": reason} for run_id, reason in result.excluded],
    }
    if sensitivity is not None:
        content["sensitivity"] = dataclasses.asdict(sensitivity)
    found: dict[str, Any] = plain_data(content)
    return found


def _detail_to_json(detail: InferenceDetail) -> dict[str, Any]:
    """Return the detail as plain dicts; the figures of single runs are made here, each with its interval."""
    regimes = [
        {
            **{field.name: getattr(cost, field.name) for field in dataclasses.fields(cost)},
            "regime": dataclasses.asdict(cost.regime),
            "figures": {name: dataclasses.asdict(estimate) for name, estimate in cost.figures.items()},
        }
        for cost in detail.regimes
    ]
    return {**dataclasses.asdict(dataclasses.replace(detail, regimes=())), "regimes": regimes}
