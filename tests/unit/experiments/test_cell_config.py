"""A run that is a copy of its cell's configuration is the run that Hydra composes from all of its overrides."""

from __future__ import annotations

import dataclasses

import pytest
from harness.experiments.cell_config import CellComposer
from harness.experiments.compose import CONFIG_MODULE, CONFIG_NAME, to_app_config, to_run_config
from harness.experiments.schema import register_schemas
from harness.experiments.study import plan_study
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from harness.core.errors import ConfigError
from harness.flops.formulas import count_train_flops_per_token

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


BYTES = ["data.tokenizer=byte", "data.vocab_size=256"]
SWEEP = "task.regimes={batch_sizes: [1, 4], context_lengths: [16], answer_lengths: [4]}"


def test_only_the_named_budgets_of_a_cell_measure_the_sweep():
    cells = (
        "sweep.cells=[{arm: a, model: dense_s, flops: [6e10, 1.2e11], regimes_at_flops: [1.2e11]},"
        "{arm: b, model: moe_s, flops: [6e10, 1.2e11]}]"
    )
    jobs, _ = plan_study(_compose, ["experiment=smoke", SWEEP, cells])
    found = {
        (job.config.arm, rank): job.config.task.regimes.batch_sizes
        for arm in "ab"
        for rank, job in enumerate(
            sorted(
                (job for job in jobs if job.config.role == "branch" and job.config.arm == arm),
                key=lambda job: job.config.train.budget.tokens,
            )
        )
    }
    assert found == {("a", 0): [], ("a", 1): [1, 4], ("b", 0): [1, 4], ("b", 1): [1, 4]}
    for job in jobs:
        assert to_run_config(to_app_config(_compose(job.overrides))) == job.config


@pytest.mark.parametrize(
    ("cell", "more", "words"),
    [
        ("flops: [6e10], regimes_at_flops: [7e10]", [SWEEP], r"7e\+10, which is none of its flops \(6e\+10\)"),
        ("tokens: [40000], regimes_at_flops: [7e10]", [SWEEP], r"none of its flops \(none\)"),
        ("flops: [6e10], regimes_at_flops: [6e10]", [], "there is no sweep"),
    ],
)
def test_a_sweep_that_no_run_would_measure_is_refused(cell, more, words):
    arguments = ["experiment=smoke", *more, f"sweep.cells=[{{arm: a, model: dense_s, {cell}}}]"]
    with pytest.raises(ConfigError, match=words):
        plan_study(_compose, arguments)


@pytest.mark.parametrize(
    "name", ["iso_loss_cpu", "iso_loss_quick", "iso_loss_rehearsal", "smoke", "tasks_cpu", "tune_lr"]
)
def test_a_shipped_study_can_be_laid_out(name):
    jobs, app = plan_study(_compose, [f"experiment={name}", "sweep.seeds=[0]", *BYTES])
    assert len(jobs) >= len(app.sweep.cells) * len(app.sweep.seeds)


@pytest.mark.parametrize("name", ["iso_loss_h200", "iso_loss_h200_long", "tune_lr_h200"])
def test_a_study_of_a_gpu_trains_both_families_on_equal_work(name):
    """Active feed-forward width, attention and training FLOPs of a token agree within 3% in each pair of sizes."""
    jobs, _ = plan_study(_compose, [f"experiment={name}", "sweep.seeds=[0]", "data=python_source"])
    per_token = {
        (job.config.arm, job.config.model.size): count_train_flops_per_token(
            dataclasses.replace(job.config.model, vocab_size=8192), job.config.train.context_length
        )
        for job in jobs
    }
    assert {arm for arm, _ in per_token} == {"dense", "moe"}
    for (arm, size), flops in per_token.items():
        if arm == "moe":
            assert flops == pytest.approx(per_token["dense", size.partition("_")[0]], rel=0.03)


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
