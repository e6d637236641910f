"""Runs of a study that go at once: one by one on this machine, in waves where a launcher has room for several.

A wave is everything that can start now: runs without a trunk, and branches whose trunk is finished. Two commands, on
one host or several, may work on one study: a run that has an owner elsewhere is passed over and looked at again later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from harness.experiments.study_job import StudyJob
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from harness.core.clock import utc_label
from harness.core.errors import ConfigError, RecordError, RunInterruptedError, RunTakenError
from harness.core.markers import BEAT_S, DEAD_AFTER_S, owner_state
from harness.core.records import RunRecord
from harness.run.outline import failed_record

POLL_S = 5.0
Decision = Literal["run", "wait", "done", "stop"]


def runs_at_once(launcher: Launcher) -> bool:
    """Return whether `launcher` has room for several runs; Hydra's basic one runs them in this process in turn."""
    return not isinstance(launcher, BasicLauncher)


def run_in_waves(
    jobs: Sequence[StudyJob],
    decide: Callable[[StudyJob, set[str]], Decision],
    launch: Callable[[list[StudyJob]], list[StudyJob]],
    *,
    at_once: bool,
    poll_s: float = POLL_S,
) -> None:
    """Launch `jobs` in their order, each alone, or `at_once` all that can go, until none is left.

    `decide` gets a job and the ids of the runs that are not settled yet, among them every trunk that is still to come
    or is under way. ``wait`` brings the job back later, ``stop`` ends it all after the wave so far. `launch` returns
    the jobs that must be looked at again, since somebody else works on them.
    """
    left, stopped = list(jobs), False
    while left and not stopped:
        ahead = {job.run_id for job in left}
        wave: list[StudyJob] = []
        later: list[StudyJob] = []
        for job in left:
            decision = decide(job, ahead)
            stopped = decision == "stop"
            if stopped:
                break
            if decision == "wait":
                later.append(job)
            elif decision == "run" and at_once:
                wave.append(job)
            elif decision == "run" and launch([job]):
                later.append(job)
            else:
                ahead.discard(job.run_id)
        if wave:
            later.extend(launch(wave))
        waits_for_others = len(later) == len(left)
        again = {job.run_id for job in later}
        left = [job for job in left if job.run_id in again]
        if waits_for_others and not stopped:
            time.sleep(poll_s)


def launch_wave(
    launcher: Launcher,
    runs: Sequence[StudyJob],
    first_index: int,
    on_record: Callable[[RunRecord, float], None] | None = None,
) -> list[StudyJob]:
    """Hand `runs` to `launcher`, wait for their ends, and return those that somebody else works on.

    Whatever the launcher raises, a run has the record that it wrote. A run without one, of which the launcher says that
    it ended for good (killed, timed out too often, its node lost), becomes one failed record with the launcher's
    words. `on_record` gets each new record and the seconds since the launch, as the records appear.
    """
    before = {run.run_id: _fingerprint(run) for run in runs}
    with _Watch(runs, before, on_record):
        ends = _launch(launcher, runs, first_index)
    elsewhere = []
    for run, end in zip(runs, ends, strict=True):
        if _fingerprint(run) != before[run.run_id]:
            continue
        marker = run.store.marker_path(run.run_id)
        if end is not None and _is_abandoned(run, before[run.run_id]):
            run.store.write_failure(failed_record(run.config, run.run_id, utc_label(), end))
            if on_record is not None:
                on_record(failed_record(run.config, run.run_id, utc_label(), end), 0.0)
        elif _fingerprint(run) == before[run.run_id] and owner_state(marker) == "alive":
            elsewhere.append(run)
    return elsewhere


def _launch(launcher: Launcher, runs: Sequence[StudyJob], first_index: int) -> list[str | None]:
    """Return for each run why it ended without finishing its job, ``None`` where the job came back."""
    try:
        returned: Sequence[Any] = launcher.launch([list(run.overrides) for run in runs], initial_job_idx=first_index)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - submitit and Ray raise errors of their own when a job was killed
        return [_describe(error)] * len(runs)
    words = [_words_of(item) for item in returned]
    return [*words, *[None] * (len(runs) - len(words))]


def _words_of(returned: Any) -> str | None:
    """Return why a job failed.

    Raises:
        RunInterruptedError: the command itself was told to stop while it ran the job.
    """
    if not isinstance(returned, JobReturn) or returned.status != JobStatus.FAILED:
        return None
    error = returned._return_value  # noqa: SLF001 - the public name raises what the job raised
    if isinstance(error, RunInterruptedError):
        raise error
    return None if isinstance(error, RunTakenError) else _describe(error)


def _describe(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return f"the launcher said: {text}"


def _is_abandoned(run: StudyJob, before: tuple[int, int] | None) -> bool:
    """Return whether nobody works on `run` any more; on another host its owner seems to live for a while after it died.

    An owner that beats on is somebody else: this run's own job has ended.
    """
    marker = run.store.marker_path(run.run_id)
    deadline = time.monotonic() + DEAD_AFTER_S + 2 * BEAT_S
    while _fingerprint(run) == before:
        if owner_state(marker) != "alive":
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return False


def _fingerprint(run: StudyJob) -> tuple[int, int] | None:
    """Return what changes when the record of `run` is written, ``None`` where there is none."""
    try:
        status = run.store.record_path(run.run_id).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


class _Watch:
    """Tells of the records of a wave as they appear, from a thread of its own."""

    def __init__(
        self,
        runs: Sequence[StudyJob],
        before: dict[str, tuple[int, int] | None],
        on_record: Callable[[RunRecord, float], None] | None,
    ) -> None:
        self._left = {run.run_id: run for run in runs}
        self._before = before
        self._on_record = on_record
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        if self._on_record is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._on_record is not None:
            self._thread.join()
            self._look()

    def _follow(self) -> None:
        while not self._ended.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        for run_id, run in list(self._left.items()):
            if _fingerprint(run) == self._before[run_id] or self._on_record is None:
                continue
            try:
                record = run.store.load_record(run_id)
            except RecordError:
                continue
            if record is not None:
                del self._left[run_id]
                self._on_record(record, time.monotonic() - self._began)
