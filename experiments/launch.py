"""Hydra's entry point behind ``isojoule run``."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence

import hydra
from harness.experiments.arguments import read_arguments
from harness.experiments.compose import CONFIG_MODULE, CONFIG_NAME, compose_app
from harness.experiments.job import ended, run_job
from harness.experiments.preflight import check_before_run, check_budget
from harness.experiments.schedule import choices, find_job_state, outcome
from hydra.core.plugins import Plugins

from harness.core.errors import EXIT_OK, EXIT_RUN_FAILED, EXIT_SWEEP_INCOMPLETE
from harness.core.store import Store
from harness.core.terminal import escape_controls
from harness.run.run_states import STATES, State

_NAMED = 3
_OWN_FLAGS = ("--retry-failed", "--stop-at-first")


def launch(arguments: list[str]) -> int:
    """Check the overrides, hand over to Hydra, and return the exit code from the records.

    Raises:
        ConfigError: a mistake in the overrides, in one line.
    """
    typed = read_arguments(arguments)
    first = typed.first_choices()
    app = compose_app(first, typed.config_dir)
    is_launched = any(override.startswith("hydra/launcher=") for override in typed.overrides)
    multirun = typed.multirun or bool(app.sweep.cells) or is_launched
    check_budget(app, multirun=multirun)
    check_before_run(app, lambda more: compose_app([*first, *more], typed.config_dir))
    _register_sweeper()
    choices.retry_failed, choices.stop_at_first = typed.retry_failed, typed.stop_at_first
    outcome.jobs, outcome.stopped = [], None
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come back to us, and become one line
    flags = ["-m"] if multirun else []
    if typed.config_dir:
        flags += ["--config-dir", typed.config_dir]
    sys.argv = ["isojoule run", *flags, *typed.overrides]
    ended.clear()
    hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME)(run_job)()
    if app.sweep.cells:
        root = Store(app.store).root
        code = _tell_unfinished(arguments, str(root))
        if code == EXIT_OK:
            print(root)
        return code
    failed = [record for record in ended if record.status == "failed"]
    for record in failed:
        print(escape_controls(f"isojoule: {record.run_id} failed: {record.error}"), file=sys.stderr)
    for record in ended:
        print(Store(app.store).record_path(record.run_id))
    if multirun:
        return _tell_unfinished(arguments, "this list")
    return EXIT_RUN_FAILED if failed else EXIT_OK


def _tell_unfinished(arguments: Sequence[str], where: str) -> int:
    """Say which runs are left and what to type, and return the exit code: 0 where all are done."""
    states = {job.run_id: find_job_state(job) for job in outcome.jobs}
    left = {run_id: state for run_id, state in states.items() if state is not None}
    if not left:
        return EXIT_OK
    stopped = outcome.stopped
    if stopped is not None:
        print(escape_controls(f"isojoule: stopped: {stopped}."), file=sys.stderr)
    counts = Counter(left.values())
    parts = [f"{counts[state]} {state} ({_name_some(left, state)})" for state in STATES if counts[state]]
    again = [argument for argument in arguments if argument not in _OWN_FLAGS]
    hints = []
    if stopped is not None and stopped.startswith("sweep.budget"):
        hints.append("a higher sweep.budget goes on with them")
    elif len(left) > counts["failed"]:
        hints.append("the same command goes on with the others" if counts["failed"] else "the same command goes on")
    if counts["failed"]:
        hints.append(f"failed ones run again with: isojoule run --retry-failed {shlex.join(again)}")
    text = f"{len(left)} of {len(states)} runs of {where} did not finish: {', '.join(parts)}; {'; '.join(hints)}"
    print(escape_controls(f"isojoule: {text}"), file=sys.stderr)
    return EXIT_SWEEP_INCOMPLETE


def _name_some(left: dict[str, State], state: State) -> str:
    names = [run_id for run_id, found in left.items() if found == state]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _register_sweeper() -> None:
    """Make the sweeper known: Hydra's own discovery finds it in a wheel but not in an editable install."""
    plugins = Plugins.instance()
    from hydra_plugins.isojoule.block_sweeper import BlockSweeper  # noqa: PLC0415 - only after Plugins exists

    plugins.register(BlockSweeper)
