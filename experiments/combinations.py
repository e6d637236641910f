"""Runs that comma lists describe: every combination once, in a shuffled order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

from harness.experiments.compose import to_app_config
from harness.experiments.study_job import Compose, StudyJob, build_study_job
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser

from harness.core.errors import ConfigError


def has_comma_lists(arguments: Sequence[str], loader: ConfigLoader | None = None) -> bool:
    """Return whether one of the overrides lists several values."""
    return any(override.is_sweep_override() for override in _parse(arguments, loader))


def plan_combinations(compose: Compose, arguments: Sequence[str], loader: ConfigLoader | None = None) -> list[StudyJob]:
    """Compose a single run of each combination of the comma lists in `arguments`, in the order in which they run.

    Raises:
        ConfigError: the experiment lists cells of its own, a list that is none, or two combinations are the same run.
    """
    batch = _product(arguments, loader)
    if to_app_config(compose(batch[0])).sweep.cells:
        raise ConfigError("comma lists make single runs; this experiment lists cells of its own (sweep.cells).")
    random.Random(len(batch)).shuffle(batch)
    jobs: list[StudyJob] = []
    seen = set()
    for overrides in batch:
        job = build_study_job(compose(overrides), overrides, 0)
        if job.store.record_path(job.run_id) in seen:
            raise ConfigError(
                f"two of the combinations ask for the same run '{job.run_id}' (an address or a folder is no part "
                "of it); run them one by one, each with a study of its own (study=NAME)."
            )
        seen.add(job.store.record_path(job.run_id))
        jobs.append(job)
    return jobs


def _parse(arguments: Sequence[str], loader: ConfigLoader | None) -> list[Any]:
    parsed: list[Any] = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    return parsed


def _product(arguments: Sequence[str], loader: ConfigLoader | None) -> list[list[str]]:
    """Return one list of overrides for each combination of the comma lists."""
    choices = []
    for override in _parse(arguments, loader):
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices.append([f"{key}={override.get_value_element_as_str()}"])
        elif override.is_discrete_sweep():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise ConfigError(f"'{key}' asks for a range that is not a list; write {key}=1,2,3.")
    return [list(item) for item in itertools.product(*choices)]
