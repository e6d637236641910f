"""Where a study stands: the state of every run, what was spent, what is left and how long it will take.

Read from records, markers, logs and the study's promise; needs no torch and no hydra, and writes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import RecordError
from harness.core.store import Store
from harness.core.study import PlannedRun, StudyInfo, load_study
from harness.run.estimate import THIS_STORE, Estimate, Estimator, Pool, RunToCome, describe_sources
from harness.run.run_figures import DeviceKey, RunFigures, load_figures
from harness.run.run_states import StartMark, State, find_state, list_markers, read_log_tail, read_mark
from harness.run.schedule_file import load_schedule
from harness.run.study_budget import Spent, StudyBudget, add_up

LOG_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """One run: its state, for a run that began the mark it left, for a failed one its error and the end of its log.

    `estimate` is of a run that is not done.
    """

    run_id: str
    arm: str | None
    size: str | None
    role: str | None
    state: State
    mark: StartMark | None = None
    error: str | None = None
    log_tail: tuple[str, ...] = ()
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """A whole store at `now_s`. `planned` is ``None`` where its runs were made one by one.

    `left_s` and `left_j` are estimates of all that is not done; ``None``, for `left_reason`, where one of those runs
    has none. `eta_s` shares the time among the runs that go on side by side. `num_unplanned` records are no part of the
    study and count nowhere. In a tuning study a failed run may be a trial that diverged, which is an answer.
    """

    root: Path
    title: str | None
    now_s: float
    planned: int | None
    runs: tuple[RunStatus, ...]
    counts: dict[State, int]
    spent: Spent
    budget: StudyBudget
    left_s: float | None
    left_j: float | None
    left_reason: str | None
    eta_s: float | None
    sources: tuple[str, ...]
    between_s: float | None
    unreadable: tuple[str, ...] = ()
    num_unplanned: int = 0
    is_tuning: bool = False


def read_status(root: Path, now_s: float | None = None) -> StudyStatus:
    """Return the status of the store at `root`.

    Raises:
        RecordError: there is nothing of a study there, or its promise or schedule cannot be read.
    """
    now_s = time.time() if now_s is None else now_s
    study = load_study(root)
    marked = frozenset(list_markers(root))
    figures, unreadable = load_figures(root)
    if study is None and not marked and not figures and not unreadable:
        raise RecordError(f"no runs under '{root}'; give the folder of a study (it holds study.json or records/).")
    schedule = load_schedule(root)
    known = {one.run_id: one for one in figures}
    run_ids = [run.run_id for run in study.runs] if study is not None else sorted(marked.union(known))
    mine = [known[run_id] for run_id in run_ids if run_id in known]
    estimator = Estimator(Pool(THIS_STORE, mine, _newest_device(mine)))
    store = Store(root)
    planned = {run.run_id: run for run in study.runs} if study is not None else {}
    to_come = _runs_to_come(study, mine, schedule.train_flops)
    runs = tuple(
        _describe_run(store, run_id, known.get(run_id), planned.get(run_id), to_come, estimator, run_id in marked)
        for run_id in run_ids
    )
    counts: Counter[State] = Counter(run.state for run in runs)
    left_s, left_j, reason = _add_left(runs, now_s)
    return StudyStatus(
        root=root,
        title=study.title if study is not None else None,
        now_s=now_s,
        planned=len(study.runs) if study is not None else None,
        runs=runs,
        counts=dict(counts),
        spent=add_up(mine, estimator.between_s),
        budget=schedule.budget,
        left_s=left_s,
        left_j=left_j,
        left_reason=reason,
        eta_s=None if left_s is None else left_s / max(1, counts["running"]),
        sources=tuple(text for text, _ in describe_sources(r.estimate for r in runs if r.estimate is not None)),
        between_s=estimator.between_s,
        unreadable=tuple(unreadable),
        num_unplanned=len(figures) - len(mine),
        is_tuning=study is not None and study.purpose == "tuning",
    )


def _describe_run(  # noqa: PLR0917 - called once, above
    store: Store,
    run_id: str,
    figures: RunFigures | None,
    planned: PlannedRun | None,
    to_come: dict[str, RunToCome],
    estimator: Estimator,
    is_marked: bool,
) -> RunStatus:
    state = find_state(store, run_id, figures, is_marked=is_marked)
    of = planned or figures
    coming = to_come.get(run_id)
    is_left = state in ("running", "interrupted", "waiting")
    unknown = Estimate(reason="what it trains is not known before a run of its arm and size is finished")
    return RunStatus(
        run_id=run_id,
        arm=of.arm if of else None,
        size=of.size if of else None,
        role=of.role if of else None,
        state=state,
        mark=read_mark(store, run_id) if state in ("running", "interrupted") else None,
        error=figures.error if figures is not None and state == "failed" else None,
        log_tail=read_log_tail(store.log_path(run_id), LOG_LINES) if state == "failed" else (),
        estimate=(estimator.estimate(coming) if coming is not None else unknown) if is_left else None,
    )


def _runs_to_come(
    study: StudyInfo | None, figures: Sequence[RunFigures], train_flops: Mapping[str, float]
) -> dict[str, RunToCome]:
    """Return what each planned run trains, as the schedule says.

    Where there is none it comes from finished runs of the same sort, since the promise has tokens alone: a trial trains
    all of them and a branch those after its fork, and a run of another seed does the same work.
    """
    if study is None:
        return {}
    planned = {run.run_id: run for run in study.runs}
    done: dict[tuple[str, str, str, int], float] = {}
    per_token: dict[tuple[str, str, str], float] = {}
    for one in figures:
        run = planned.get(one.run_id)
        if run is not None and one.status == "finished":
            done[run.arm, run.size, run.role, run.tokens] = one.train_flops
            if run.tokens > 0:
                per_token[run.arm, run.size, run.role] = one.train_flops / run.tokens
    found = {}
    for run in study.runs:
        flops = train_flops.get(run.run_id, done.get((run.arm, run.size, run.role, run.tokens)))
        if flops is None and (run.arm, run.size, run.role) in per_token:
            flops = per_token[run.arm, run.size, run.role] * run.tokens
        if flops is None and run.tokens == 0:
            flops = 0.0
        if flops is not None:
            found[run.run_id] = RunToCome(arm=run.arm, size=run.size, role=run.role, train_flops=flops)
    return found


def _newest_device(figures: Sequence[RunFigures]) -> DeviceKey | None:
    dated = [one for one in figures if one.started_s is not None and one.device is not None]
    return max(dated, key=lambda one: one.started_s or 0.0).device if dated else None


def _add_left(runs: Sequence[RunStatus], now_s: float) -> tuple[float | None, float | None, str | None]:
    """Return seconds and joules of what is not done; a run under way has what is left of its estimate."""
    seconds, joules = 0.0, 0.0
    unknown, unread, reason = False, False, None
    for run in runs:
        if run.estimate is None:
            continue
        if run.estimate.seconds is None:
            unknown, reason = True, reason or f"{run.run_id}: {run.estimate.reason}"
            continue
        share = 1.0
        if run.state == "running" and run.mark is not None and run.mark.since_s is not None:
            gone_s = max(0.0, now_s - run.mark.since_s)
            share = max(0.0, 1 - gone_s / run.estimate.seconds) if run.estimate.seconds > 0 else 0.0
        seconds += share * run.estimate.seconds
        unread = unread or run.estimate.joules is None
        joules += share * (run.estimate.joules or 0.0)
    return (None if unknown else seconds), (None if unknown or unread else joules), reason
