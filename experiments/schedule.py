"""What becomes of each run of a plan, decided when its turn comes: made, skipped, failed with its trunk, or the end.

A study that is started again skips finished runs, goes on with interrupted ones and leaves failed ones as they are,
unless it is asked to try them again. Before each run its budget is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.experiments.study_job import StudyJob

from harness.analysis.divergence import has_diverged
from harness.core.errors import RecordError
from harness.core.markers import load_marker
from harness.core.store import Store
from harness.run.estimate import Estimator
from harness.run.estimate_sources import build_estimator, describe_machine
from harness.run.run_figures import RunFigures, load_figures, read_figures
from harness.run.run_states import State, find_state
from harness.run.study_budget import Spent, StudyBudget, add_up, why_stop
from harness.train.schedule import fork_step

Action = Literal["run", "skip", "fail", "leave", "stop"]


@dataclass(slots=True, kw_only=True)
class Choices:
    """What the user chose for this start of a study: failed runs again, and the end at the first that fails."""

    retry_failed: bool = False
    stop_at_first: bool = False


@dataclass(slots=True)
class Outcome:
    """What the command reads when the sweeper is done: the runs it was given, and why it stopped before the last."""

    jobs: list[StudyJob] = field(default_factory=list)
    stopped: str | None = None


# Hydra makes the sweeper, so what it is asked and what it leaves stand here.
choices = Choices()
outcome = Outcome()


class Schedule:
    """Decides for the jobs of one plan, in order, and keeps the account of what they spent.

    ``decide`` is asked when a job's turn comes; whoever launches it says so by ``note`` when it has ended. Jobs that
    were decided on and have not ended yet count with their estimates, so that several may be under way.
    """

    def __init__(self, jobs: Sequence[StudyJob], budget: StudyBudget, estimator: Estimator, chosen: Choices) -> None:
        self.jobs = tuple(jobs)
        self.budget = budget
        self.estimator = estimator
        self.chosen = chosen
        self.stopped: str | None = None
        self._figures: dict[str, RunFigures] = {}
        self._under_way: dict[str, StudyJob] = {}
        self._branches: dict[str, list[StudyJob]] = {}
        for job in self.jobs:
            if job.trunk_id is not None:
                self._branches.setdefault(job.trunk_id, []).append(job)
            self._read(job)

    def decide(self, job: StudyJob) -> Action:
        """Return what becomes of `job`: ``run`` it, ``skip`` it since it is settled, record that it must ``fail``.

        ``leave`` it to another process or until its trunk is done, or ``stop`` the study before it (`stopped`).
        """
        if self.stopped is not None:
            return "stop"
        if job.run_id not in self._figures:  # another process may have made it meanwhile
            self._read(job)
        if not self._is_wanted(job):
            return "skip"
        if self.state(job) == "running":
            return "leave"
        if job.trunk_id is not None and not job.store.is_finished(job.trunk_id):
            return "fail" if self._has_failed(job.store, job.trunk_id) else "leave"
        self.stopped = self._why_over_budget(job)
        if self.stopped is not None:
            return "stop"
        self._under_way[job.run_id] = job
        return "run"

    def note(self, job: StudyJob) -> None:
        """Take into account that `job` has ended, whatever became of it."""
        self._under_way.pop(job.run_id, None)
        self._figures.pop(job.run_id, None)
        self._read(job)
        one = self._figures.get(job.run_id)
        if one is None:
            return
        self.estimator.store.add(one)
        if one.status == "failed" and self.chosen.stop_at_first:
            self.stopped = f"{job.run_id} failed, and --stop-at-first was given"

    def state(self, job: StudyJob) -> State:
        """Return the state of `job` in its store; a marker that names no owner says nothing of another process."""
        marker = job.store.marker_path(job.run_id)
        is_marked = marker.exists()
        found = find_state(job.store, job.run_id, self._figures.get(job.run_id), is_marked=is_marked)
        if found == "running" and "owner" not in (load_marker(marker) or {}):
            return "interrupted"
        return found

    def branches_of(self, job: StudyJob) -> Sequence[StudyJob]:
        """Return the branches of a trunk."""
        return self._branches.get(job.run_id, ())

    def siblings_of(self, job: StudyJob) -> Sequence[StudyJob]:
        """Return all branches of the trunk of a branch, itself among them."""
        return self._branches.get(job.trunk_id or "", ())

    @property
    def spent(self) -> Spent:
        """Return what the runs of this plan have spent, by their records."""
        return add_up(self._figures.values(), self.estimator.between_s)

    def _is_wanted(self, job: StudyJob) -> bool:
        """Return whether `job` is to be made now, as far as its own record says."""
        if is_settled(job.store, job.run_id, is_trial=job.is_trial):
            branches = [other for other in self.branches_of(job) if self._is_wanted(other)]
            return bool(branches) and lacks_checkpoint(job, branches)
        return self.chosen.retry_failed or self.state(job) != "failed"

    def _has_failed(self, store: Store, run_id: str) -> bool:
        try:
            record = store.load_record(run_id)
        except RecordError:
            return False
        return record is not None and record.status == "failed" and not store.marker_path(run_id).exists()

    def _why_over_budget(self, job: StudyJob) -> str | None:
        if not self.budget:
            return None
        spent = self.spent
        seconds, joules, flops = spent.seconds, spent.joules or 0.0, spent.flops
        for other in self._under_way.values():
            estimate = self.estimator.estimate(other.to_come())
            seconds, joules = seconds + (estimate.seconds or 0.0), joules + (estimate.joules or 0.0)
            flops += other.train_flops
        spent = Spent(
            seconds=seconds,
            joules=joules,
            flops=flops,
            unknown_joules=spent.unknown_joules,
            energy_reason=spent.energy_reason,
        )
        estimate = self.estimator.estimate(job.to_come())
        return why_stop(self.budget, spent, job.run_id, estimate, job.train_flops)

    def _read(self, job: StudyJob) -> None:
        path = job.store.record_path(job.run_id)
        try:
            if path.exists():
                self._figures[job.run_id] = read_figures(path)
        except RecordError:
            return  # as if there was none: it is made again


def plan_estimates(jobs: Sequence[StudyJob]) -> Estimator:
    """Return an estimator for `jobs` on this machine, from their stores and those beside."""
    root = jobs[0].store.root
    run_ids = {job.run_id for job in jobs}
    figures = [one for one in load_figures(root)[0] if one.run_id in run_ids]
    return build_estimator(root, figures, describe_machine(job.config for job in jobs), [job.to_come() for job in jobs])


def is_settled(store: Store, run_id: str, *, is_trial: bool) -> bool:
    """Return whether the run need not be made again: it finished, or is a trial whose answer is that it diverged."""
    try:
        record = store.load_record(run_id)
    except RecordError:
        return False
    if record is None:
        return False
    return record.status == "finished" or (is_trial and has_diverged(record) is not None)


def find_job_state(job: StudyJob) -> State | None:
    """Return the state of a job as its store has it now, ``None`` where it need not be made again."""
    if is_settled(job.store, job.run_id, is_trial=job.is_trial):
        return None
    try:
        figures = read_figures(job.store.record_path(job.run_id))
    except RecordError:
        figures = None
    is_marked = job.store.marker_path(job.run_id).exists()
    return find_state(job.store, job.run_id, figures, is_marked=is_marked)


def lacks_checkpoint(trunk: StudyJob, branches: Sequence[StudyJob]) -> bool:
    """Return whether a checkpoint of `trunk` that one of these `branches` starts from is not there, or damaged."""
    from harness.train.checkpoint import checkpoint_path  # noqa: PLC0415 - brings torch in, only when needed
    from harness.train.integrity import find_damage  # noqa: PLC0415 - the same

    root = trunk.store.checkpoint_dir(trunk.run_id)
    return any(
        find_damage(checkpoint_path(root, fork_step(branch.config.train, branch.config.train.budget.tokens)))
        is not None
        for branch in branches
    )
