"""A study as jobs: from cells and seeds to composed runs with their ids, in the order in which they run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from harness.experiments.cell_config import CellComposer
from harness.experiments.compose import to_app_config
from harness.experiments.promise import check_promise
from harness.experiments.schema import AppConfig, CellConfig
from harness.experiments.study_job import Compose, StudyJob, build_study_job, with_vocabulary

from harness.core.config import is_inference
from harness.core.errors import ConfigError
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

_NO_SWEEP = tuple(f"task.regimes.{name}=[]" for name in ("batch_sizes", "context_lengths", "answer_lengths"))


def plan_study(compose: Compose, arguments: Sequence[str]) -> tuple[list[StudyJob], AppConfig]:
    """Compose every run of the study that `arguments` describe, in the order in which they run.

    Raises:
        ConfigError: the study has no cells, a cell cannot be composed, or two cells ask for the same run.
    """
    app = to_app_config(compose(arguments))
    check_promise(app.sweep)
    composer = CellComposer(compose)
    cells = [part for cell in app.sweep.cells for part in _resolve_cell(composer, arguments, cell)]
    check_one_purpose(cells)
    trunks = lay_out(cells, list(app.sweep.seeds), app.sweep.order_seed)
    jobs: list[StudyJob] = []
    for trunk in trunks:
        jobs.extend(_trunk_jobs(composer, arguments, trunk, app.sweep.order_seed, first_index=len(jobs)))
    seen: set[str] = set()
    for job in jobs:
        if job.run_id in seen:
            raise ConfigError(f"two cells ask for the same run '{job.run_id}'; leave one out (sweep.cells).")
        seen.add(job.run_id)
    return jobs, app


def _resolve_cell(composer: CellComposer, arguments: Sequence[str], cell: CellConfig) -> list[Cell]:
    """Return the cell with its budgets, its trials where it is a grid, or as it is where nothing is trained."""
    app = to_app_config(composer([*arguments, f"arm={cell.arm}", f"model={cell.model}", *cell.overrides]))
    if is_inference(app):
        given = [name for name in TRAINING_SETTINGS if getattr(cell, name) not in (None, [])]
        return [build_inference_cell(Cell(cell.arm, cell.model, None, (), tuple(cell.overrides)), given)]
    model = with_vocabulary(app.model, app.data)
    train = app.train
    if cell.batch_sizes:
        # Whole steps of every batch, so that all trials see the same tokens.
        train = dataclasses.replace(train, batch_size=math.lcm(*cell.batch_sizes) or 1)
    budgets = budgets_in_tokens(model, train, list(cell.tokens), list(cell.flops))
    swept = None
    if cell.regimes_at_flops:
        _check_swept(cell, app)
        swept = budgets_in_tokens(model, train, [], list(cell.regimes_at_flops))
    resolved = Cell(cell.arm, cell.model, cell.learning_rate, budgets, tuple(cell.overrides), swept=swept)
    if not (cell.learning_rates or cell.batch_sizes):
        return [resolved]
    return expand_grid(resolved, list(cell.learning_rates), list(cell.batch_sizes))


def _check_swept(cell: CellConfig, app: AppConfig) -> None:
    """Check that the cell sweeps budgets that it has, and that there is a sweep.

    Raises:
        ConfigError: it does not, or there is none.
    """
    name = f"cell {cell.arm}/{cell.model}"
    other = next((budget for budget in cell.regimes_at_flops if budget not in cell.flops), None)
    if other is not None:
        known = ", ".join(f"{budget:g}" for budget in cell.flops) or "none"
        raise ConfigError(
            f"{name} has regimes_at_flops {other:g}, which is none of its flops ({known}); give one of them."
        )
    if not app.task.regimes.batch_sizes:
        raise ConfigError(
            f"{name} has regimes_at_flops and there is no sweep; give task.regimes.batch_sizes and so on."
        )


def _trunk_jobs(
    composer: CellComposer, arguments: Sequence[str], trunk: Trunk, order_seed: int, first_index: int
) -> list[StudyJob]:
    cell = trunk.cell
    shared = [*arguments, f"arm={cell.arm}", f"model={cell.model}", *cell.overrides]
    common = [f"seed={trunk.seed}"]
    if cell.learning_rate is not None:
        common.append(f"train.learning_rate={cell.learning_rate}")
    if cell.batch_size is not None:
        common.append(f"train.batch_size={cell.batch_size}")

    def make(index: int, *extra: str) -> StudyJob:
        own = (*common, f"plan_position=[{trunk.block},{index},{order_seed}]", *extra)
        composed = composer(shared, own)
        return build_study_job(composed, (*shared, *own), trunk.block, is_trial=cell.is_trial)

    if cell.is_inference:
        return [make(first_index)]
    if cell.is_trial:
        return [make(first_index, f"train.budget.tokens={trunk.branches[0]}")]
    budgets = ",".join(str(tokens) for tokens in sorted(trunk.branches))
    longest = max(trunk.branches)
    first = make(first_index, "role=trunk", f"branch_tokens=[{budgets}]", f"train.budget.tokens={longest}")
    branches = [
        make(
            first_index + 1 + place,
            "role=branch",
            f"trunk_id={first.run_id}",
            f"train.budget.tokens={tokens}",
            *(() if cell.swept is None or tokens in cell.swept else _NO_SWEEP),
        )
        for place, tokens in enumerate(trunk.branches)
    ]
    return [first, *branches]
