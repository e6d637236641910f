"""Hydra's entry point behind ``isojoule run``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from harness.experiments.compose import CONFIG_MODULE, CONFIG_NAME, compose_app
from harness.experiments.job import ended, run_job
from harness.experiments.preflight import check_before_run
from harness.experiments.study import is_settled
from hydra.core.plugins import Plugins

from harness.core.errors import EXIT_OK, EXIT_RUN_FAILED, EXIT_SWEEP_INCOMPLETE, ConfigError
from harness.core.store import Store
from harness.core.study import load_study
from harness.core.terminal import escape_controls


def launch(arguments: list[str]) -> int:
    """Check the overrides, hand over to Hydra, and return the exit code from the records.

    Raises:
        ConfigError: a mistake in the overrides, in one line.
    """
    multirun, config_dir, overrides = _split(arguments)
    # Comma lists belong to the sweeper; the first of each shows whether the rest composes.
    first = [_first_choice(override) for override in overrides]
    app = compose_app(first, config_dir)
    check_before_run(app, lambda more: compose_app([*first, *more], config_dir))
    multirun = multirun or bool(app.sweep.cells)
    _register_sweeper()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come back to us, and become one line
    flags = ["-m"] if multirun else []
    if config_dir:
        flags += ["--config-dir", config_dir]
    sys.argv = ["isojoule run", *flags, *overrides]
    ended.clear()
    hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME)(run_job)()
    if app.sweep.cells:
        return _study_exit_code(Store(app.store))
    failed = [record for record in ended if record.status == "failed"]
    for record in failed:
        print(escape_controls(f"isojoule: {record.run_id} failed: {record.error}"), file=sys.stderr)
    for record in ended:
        print(Store(app.store).record_path(record.run_id))
    if not failed:
        return EXIT_OK
    return EXIT_SWEEP_INCOMPLETE if multirun else EXIT_RUN_FAILED


def _study_exit_code(store: Store) -> int:
    study = load_study(store.root)
    is_trial = study is not None and study.purpose == "tuning"
    runs = study.runs if study is not None else ()
    unfinished = [run.run_id for run in runs if not is_settled(store, run.run_id, is_trial=is_trial)]
    if not unfinished:
        print(store.root)
        return EXIT_OK
    some = ", ".join(unfinished[:5])
    print(f"isojoule: {len(unfinished)} runs of {store.root} did not finish: {some}", file=sys.stderr)
    return EXIT_SWEEP_INCOMPLETE


def _split(arguments: list[str]) -> tuple[bool, str | None, list[str]]:
    multirun, config_dir, overrides = False, None, []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-m", "--multirun"):
            multirun = True
        elif argument in ("--config-dir", "-cd"):
            config_dir = str(Path(next(rest, "")).resolve())
            if not Path(config_dir).is_dir():
                raise ConfigError(f"--config-dir '{config_dir}' is not a folder.")
        elif argument.startswith("-"):
            raise ConfigError(f"unknown option '{argument}'; isojoule run --help shows the options.")
        else:
            overrides.append(argument)
    return multirun, config_dir, overrides


def _first_choice(override: str) -> str:
    key, equals, value = override.partition("=")
    if equals and "," in value and not value.startswith(("[", "{", "'", '"')):
        return f"{key}={value.partition(',')[0]}"
    return override


def _register_sweeper() -> None:
    """Make the sweeper known: Hydra's own discovery finds it in a wheel but not in an editable install."""
    plugins = Plugins.instance()
    from hydra_plugins.isojoule.block_sweeper import BlockSweeper  # noqa: PLC0415 - only after Plugins exists

    plugins.register(BlockSweeper)
