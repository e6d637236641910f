"""The suite from the command line: shipped kinds, a kind less, an option changed, questions of one's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from harness.experiments.compose import compose_app, to_run_config

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.data.mixture import validate_mixture
from harness.tasks.suite import KINDS, build_suite, check_suite


def _compose(*overrides: str) -> RunConfig:
    return to_run_config(compose_app(["task=suite", "data=python_and_tasks", *overrides]))


def test_every_registered_kind_has_a_file_and_every_file_is_registered() -> None:
    files = {Path(file.name).stem for file in (resources.files("harness.conf") / "kind").iterdir()}
    assert files == set(KINDS)


def test_the_shipped_suite_and_mixture_fit_together() -> None:
    config = _compose()
    check_suite(config.task)
    validate_mixture(config.data)
    assert list(config.task.kinds) == [name for name in KINDS if name != "jsonl"]
    assert {name: kind.options for name, kind in config.data.kinds.items()} == {
        name: config.task.kinds[name].options for name in config.data.kinds
    }
    generated = {name: config.task.kinds[name] for name in config.data.kinds}
    assert all(len(questions) == 64 for questions in build_suite(generated, ()).values())


def test_a_kind_can_be_left_out_and_an_option_changed() -> None:
    config = _compose("~task.kinds.sorting", "task.kinds.arithmetic.options.num_operands=3")
    assert "sorting" not in config.task.kinds
    assert config.task.kinds["arithmetic"].options["num_operands"] == 3


def test_questions_of_ones_own_are_one_more_kind(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"prompt": "2 + 2 =", "answer": "4"}\n')
    config = _compose("+kind@task.kinds.mine=jsonl", f"task.kinds.mine.options.path={path}")
    check_suite(config.task)
    questions = build_suite({"mine": config.task.kinds["mine"]}, ())["mine"]
    assert [(question.prompt, question.answer) for question in questions] == [("2 + 2 =", "4")]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.kinds.arithmetic.options.max_opernd=3", r"Did you mean 'task\.kinds\.arithmetic\.options\.max_operand'"),
        ("task.kinds.arithmetc.num_examples=3", r"Did you mean 'task\.kinds\.arithmetic'"),
        ("task.kinds.sorting.num_exmples=3", r"Did you mean 'task\.kinds\.sorting\.num_examples'"),
        ("train.batchsize=3", r"Did you mean 'train\.batch_size'"),
        ("learning_rate=3", r"Did you mean 'train\.learning_rate'"),
        ("+kind@task.kinds.mine=sortin", "no 'sortin' in group 'kind'.*Did you mean 'sorting'"),
        ("task.kinds.sorting.num_examples=0", r"task\.kinds\.sorting\.num_examples is 0"),
    ],
)
def test_a_slip_gets_the_nearest_word(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _compose(override)


def test_the_study_asks_what_it_trains_on() -> None:
    config = to_run_config(compose_app(["experiment=tasks_cpu"]))
    check_suite(config.task)
    validate_mixture(config.data)
    for name, kind in config.data.kinds.items():
        assert config.task.kinds[name].options == kind.options
    build_suite({name: config.task.kinds[name] for name in config.data.kinds}, ())
