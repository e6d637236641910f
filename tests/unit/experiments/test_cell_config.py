"""A run that is a copy of its cell's configuration is the run that Hydra composes from all of its overrides."""

from __future__ import annotations

import pytest
from harness.experiments.cell_config import CellComposer
from harness.experiments.compose import CONFIG_MODULE, CONFIG_NAME, to_app_config, to_run_config
from harness.experiments.schema import register_schemas
from harness.experiments.study import plan_study
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

STUDIES = {
    "trunks and branches": ["experiment=smoke", "sweep.seeds=[0,3]"],
    "a value of its own in a cell": [
        "experiment=smoke",
        "sweep.cells=[{arm: a, model: dense_s, tokens: [40000], overrides: ['train.batch_size=4', 'seed=9']}]",
    ],
    "a grid of trials": [
        "experiment=smoke",
        "sweep.cells=[{arm: a, model: dense_s, tokens: [40000], learning_rates: [0.001, 0.003], batch_sizes: [4, 8]}]",
    ],
}


@pytest.fixture(autouse=True)
def _hydra():
    register_schemas()
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        yield


def _compose(overrides) -> DictConfig:
    return compose(CONFIG_NAME, overrides=list(overrides))


@pytest.mark.parametrize("arguments", STUDIES.values(), ids=STUDIES)
def test_every_run_of_a_study_is_what_its_overrides_compose(arguments):
    jobs, _ = plan_study(_compose, arguments)
    for job in jobs:
        app = to_app_config(_compose(job.overrides))
        assert to_run_config(app) == job.config
    assert len({job.run_id for job in jobs}) == len(jobs)


def test_the_seed_of_the_study_counts_whatever_a_cell_says():
    jobs, _ = plan_study(_compose, STUDIES["a value of its own in a cell"])
    assert {job.config.seed for job in jobs} == {0}
    assert {job.config.train.batch_size for job in jobs} == {4}


def test_runs_do_not_share_what_they_set():
    composer = CellComposer(_compose)
    first = composer(["experiment=smoke"], ["seed=1", "train.budget.tokens=1000"])
    second = composer(["experiment=smoke"], ["seed=2"])
    assert (first.seed, first.train.budget.tokens, second.seed) == (1, 1000, 2)
    assert second.train.budget.tokens == _compose(["experiment=smoke"]).train.budget.tokens


@pytest.mark.parametrize("own", ["no_such_key=1", "seed=word"])
def test_a_value_that_cannot_be_set_is_an_error_as_in_a_composition(own):
    with pytest.raises((HydraException, OmegaConfBaseException)):
        CellComposer(_compose)(["experiment=smoke"], [own])
