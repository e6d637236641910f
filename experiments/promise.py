"""What a study promises, checked before its first run: a rule that can be followed, margins, and claims that exist."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, get_args

from harness.experiments.schema import AppConfig, MatchConfig, SweepConfig, TuningConfig
from harness.experiments.study_job import StudyJob

from harness.analysis.claims import load_claims
from harness.core.config import is_inference
from harness.core.errors import ConfigError
from harness.core.readings import Grade
from harness.core.store import Store
from harness.core.strict import StrictReader
from harness.core.study import MatchRule, PlannedRun, Purpose, StudyInfo, TuningNote, load_study, save_study
from harness.run.study_budget import StudyBudget, validate_budget

_RULE = StrictReader(MatchRule)


def check_promise(sweep: SweepConfig) -> None:
    """Check the rule of matching, the claims and the budget of a study.

    Raises:
        ConfigError: a value that the analysis could not follow, a claim that is not known, or a limit not above 0.
    """
    build_budget(sweep)
    build_rule(sweep.match)
    load_claims(sweep.claims)


def build_budget(sweep: SweepConfig) -> StudyBudget:
    """Return the budget of the whole study; it is no part of the promise.

    Raises:
        ConfigError: a limit is not above 0.
    """
    budget = StudyBudget(**dataclasses.asdict(sweep.budget))
    validate_budget(budget)
    return budget


def build_rule(config: MatchConfig) -> MatchRule:
    """Return the rule that `config` describes.

    Raises:
        ConfigError: a word that is not known, a fixed rule without a loss, a loss that is not above zero, or
            a margin that is not above zero (of accuracy: and below one).
    """
    values = dataclasses.asdict(config)
    try:
        rule = _RULE.take(values)
    except ValueError as error:
        key, _, told = str(error).partition(": ")
        raise ConfigError(f"sweep.match.{key} is '{values.get(key)}': {told}.") from error
    if rule.rule == "fixed" and rule.loss is None:
        raise ConfigError("sweep.match.rule is 'fixed' and gives no loss; add sweep.match.loss=BITS_PER_BYTE.")
    if rule.loss is not None and rule.loss <= 0:
        raise ConfigError(f"sweep.match.loss is {rule.loss:g}; bits per byte are above 0.")
    if rule.num_losses < 1:
        raise ConfigError(f"sweep.match.num_losses is {rule.num_losses}; give 1 or more.")
    for name in ("margin_bits_per_byte", "margin_accuracy"):
        margin = getattr(rule, name)
        if margin is not None and not (margin > 0 and math.isfinite(margin)):
            raise ConfigError(f"sweep.match.{name} is {margin:g}; a margin is above 0.")
    if rule.margin_accuracy is not None and rule.margin_accuracy >= 1:
        raise ConfigError(f"sweep.match.margin_accuracy is {rule.margin_accuracy:g}; it is a share, below 1.")
    return rule


def promise_study(store: Store, app: AppConfig, jobs: Sequence[StudyJob], command: str) -> None:
    """Write the study's promise, or check that the one already there is the same.

    Raises:
        ConfigError: the store holds another promise; its records must not mix with this study's.
    """
    sweep = app.sweep
    info = StudyInfo(
        study=app.study,
        title=sweep.title or app.study,
        command=command,
        baseline_arm=sweep.baseline_arm,
        candidate_arm=sweep.candidate_arm,
        match=build_rule(sweep.match),
        order_seed=sweep.order_seed,
        runs=tuple(
            PlannedRun(
                run_id=job.run_id,
                arm=job.config.arm,
                size=job.config.model.size,
                role=job.config.role,
                seed=job.config.seed,
                tokens=0 if is_inference(job.config) else job.config.train.budget.tokens,
                block=job.block,
            )
            for job in jobs
        ),
        claims=tuple(sweep.claims),
        tuning=tuple(_build_note(note) for note in sweep.tuning),
        notes=sweep.notes,
        purpose=_purpose(app, jobs),
    )
    earlier = load_study(store.root)
    if earlier is None:
        save_study(store.root, info)
        return
    for field in dataclasses.fields(StudyInfo):
        if field.name != "command" and getattr(earlier, field.name) != getattr(info, field.name):
            raise ConfigError(
                f"'{store.root}' holds a study with other {field.name}; give this one a store of its own "
                f"(study=another_name or store=FOLDER), or remove that folder."
            )


def _purpose(app: AppConfig, jobs: Sequence[StudyJob]) -> Purpose:
    if any(is_inference(job.config) for job in jobs):
        return "inference"
    is_tuning = any(cell.learning_rates or cell.batch_sizes for cell in app.sweep.cells)
    return "tuning" if is_tuning else "comparison"


def _build_note(note: TuningConfig) -> TuningNote:
    if note.energy_grade not in (None, *get_args(Grade)):
        raise ConfigError(f"sweep.tuning: energy_grade is '{note.energy_grade}'; it is A, B, C, D or null.")
    lists = {"learning_rates": tuple(note.learning_rates), "batch_sizes": tuple(note.batch_sizes)}
    return TuningNote(**{**_plain(note), **lists})


def _plain(node: Any) -> dict[str, Any]:
    return dataclasses.asdict(node)
