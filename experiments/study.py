"""A study as jobs: from cells and seeds to composed runs with their ids, and the promise written beforehand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from harness.experiments.compose import to_app_config
from harness.experiments.job import build_job
from harness.experiments.promise import build_rule, check_promise
from harness.experiments.schema import AppConfig, CellConfig, TuningConfig
from omegaconf import DictConfig

from harness.analysis.divergence import has_diverged
from harness.core.config import RunConfig, is_inference
from harness.core.errors import ConfigError, RecordError
from harness.core.records import Grade
from harness.core.store import Store
from harness.core.study import PlannedRun, Purpose, StudyInfo, TuningNote, load_study, save_study
from harness.flops.formulas import count_train_flops_per_token
from harness.run.plan import (
    TRAINING_SETTINGS,
    Cell,
    Trunk,
    budgets_in_tokens,
    build_inference_cell,
    check_one_purpose,
    expand_grid,
    lay_out,
)
from harness.train.schedule import fork_step, tokens_per_step

# What a run costs beside its training, as training FLOPs of a small machine: only for the ETA.
_OVERHEAD_FLOPS = 5e11

Compose = Callable[[Sequence[str]], DictConfig]


@dataclass(frozen=True, slots=True)
class StudyJob:
    """One run of the plan: `overrides` for a launcher, `weight` for the ETA, `trunk_id` for a branch."""

    run_id: str
    overrides: tuple[str, ...]
    config: RunConfig
    block: int
    weight: float

    @property
    def trunk_id(self) -> str | None:
        """The trunk that must be finished before this run, or ``None``."""
        return self.config.trunk_id


def plan_study(compose: Compose, arguments: Sequence[str]) -> tuple[list[StudyJob], AppConfig]:
    """Compose every run of the study that `arguments` describe, in the order in which they run.

    Raises:
        ConfigError: the study has no cells, a cell cannot be composed, or two cells ask for the same run.
    """
    app = to_app_config(compose(arguments))
    check_promise(app.sweep)
    cells = [part for cell in app.sweep.cells for part in _resolve_cell(compose, arguments, cell)]
    check_one_purpose(cells)
    trunks = lay_out(cells, list(app.sweep.seeds), app.sweep.order_seed)
    jobs: list[StudyJob] = []
    for trunk in trunks:
        jobs.extend(_trunk_jobs(compose, arguments, trunk, app.sweep.order_seed, first_index=len(jobs)))
    seen: set[str] = set()
    for job in jobs:
        if job.run_id in seen:
            raise ConfigError(f"two cells ask for the same run '{job.run_id}'; leave one out (sweep.cells).")
        seen.add(job.run_id)
    return jobs, app


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


def is_settled(store: Store, run_id: str, *, is_trial: bool) -> bool:
    """Return whether the run need not be made again: it finished, or is a trial whose answer is that it diverged."""
    if store.is_finished(run_id):
        return True
    try:
        record = store.load_record(run_id) if is_trial else None
    except RecordError:
        return False
    return record is not None and has_diverged(record) is not None


def trunk_is_needed(store: Store, trunk: StudyJob, branches: Sequence[StudyJob]) -> bool:
    """Return whether `trunk` must run: it is unfinished, or a branch to come lacks its checkpoint."""
    if not store.is_finished(trunk.run_id):
        return True
    from harness.train.checkpoint import checkpoint_path  # noqa: PLC0415 - brings torch in, only when needed

    root = store.checkpoint_dir(trunk.run_id)
    return any(
        not store.is_finished(branch.run_id)
        and not checkpoint_path(root, fork_step(branch.config.train, branch.config.train.budget.tokens)).exists()
        for branch in branches
    )


def _build_note(note: TuningConfig) -> TuningNote:
    if note.energy_grade not in (None, *get_args(Grade)):
        raise ConfigError(f"sweep.tuning: energy_grade is '{note.energy_grade}'; it is A, B, C, D or null.")
    lists = {"learning_rates": tuple(note.learning_rates), "batch_sizes": tuple(note.batch_sizes)}
    return TuningNote(**{**_plain(note), **lists})


def _resolve_cell(compose: Compose, arguments: Sequence[str], cell: CellConfig) -> list[Cell]:
    """Return the cell with its budgets, its trials where it is a grid, or as it is where nothing is trained."""
    app = to_app_config(compose([*arguments, f"arm={cell.arm}", f"model={cell.model}", *cell.overrides]))
    if is_inference(app):
        given = [name for name in TRAINING_SETTINGS if getattr(cell, name) not in (None, [])]
        return [build_inference_cell(Cell(cell.arm, cell.model, None, (), tuple(cell.overrides)), given)]
    model = app.model
    if model.vocab_size == 0:
        vocab = 256 if app.data.tokenizer == "byte" else app.data.vocab_size
        model = dataclasses.replace(model, vocab_size=vocab)
    train = app.train
    if cell.batch_sizes:
        # Whole steps of every batch, so that all trials see the same tokens.
        train = dataclasses.replace(train, batch_size=math.lcm(*cell.batch_sizes) or 1)
    budgets = budgets_in_tokens(model, train, list(cell.tokens), list(cell.flops))
    resolved = Cell(cell.arm, cell.model, cell.learning_rate, budgets, tuple(cell.overrides))
    if not (cell.learning_rates or cell.batch_sizes):
        return [resolved]
    return expand_grid(resolved, list(cell.learning_rates), list(cell.batch_sizes))


def _trunk_jobs(
    compose: Compose, arguments: Sequence[str], trunk: Trunk, order_seed: int, first_index: int
) -> list[StudyJob]:
    cell = trunk.cell
    common = [*arguments, f"arm={cell.arm}", f"model={cell.model}", f"seed={trunk.seed}", *cell.overrides]
    if cell.learning_rate is not None:
        common.append(f"train.learning_rate={cell.learning_rate}")
    if cell.batch_size is not None:
        common.append(f"train.batch_size={cell.batch_size}")

    def make(index: int, *extra: str) -> StudyJob:
        overrides = (*common, f"plan_position=[{trunk.block},{index},{order_seed}]", *extra)
        job = build_job(compose(overrides))
        return StudyJob(job.run_id, overrides, job.config, trunk.block, _weight(job.config))

    if cell.is_inference:
        return [make(first_index)]
    if cell.is_trial:
        return [make(first_index, f"train.budget.tokens={trunk.branches[0]}")]
    budgets = ",".join(str(tokens) for tokens in sorted(trunk.branches))
    longest = max(trunk.branches)
    first = make(first_index, "role=trunk", f"branch_tokens=[{budgets}]", f"train.budget.tokens={longest}")
    branches = [
        make(first_index + 1 + place, "role=branch", f"trunk_id={first.run_id}", f"train.budget.tokens={tokens}")
        for place, tokens in enumerate(trunk.branches)
    ]
    return [first, *branches]


def _weight(config: RunConfig) -> float:
    if is_inference(config):
        return 1.0  # all runs of such a study are alike, as far as can be told beforehand
    train = config.train
    steps = fork_step(train, train.budget.tokens)
    if config.role != "trunk":
        steps = train.budget.tokens // tokens_per_step(train) - (steps if config.role == "branch" else 0)
    model = dataclasses.replace(config.model, vocab_size=config.model.vocab_size or config.data.vocab_size)
    per_token = count_train_flops_per_token(model, train.context_length)
    return steps * tokens_per_step(train) * per_token + _OVERHEAD_FLOPS


def _plain(node: Any) -> dict[str, Any]:
    return dataclasses.asdict(node)
