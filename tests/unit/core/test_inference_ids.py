"""Ids of runs that train nothing: contents and names count, places do not; a record keeps no path."""

from __future__ import annotations

import dataclasses

import pytest

from harness.core.config import (
    RunConfig,
    is_inference,
    validate_run,
)
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig, name_model
from harness.core.run_id import config_without_places, hash_config, make_run_id
from harness.core.task_config import KindConfig, ServerConfig, TaskConfig

HF = RunConfig(arm="moe", model=HuggingFaceConfig(path="/a/b/olmoe", size="olmoe"))


def _hash(config: RunConfig, contents: str = "c") -> str:
    return hash_config(config, contents, 1)


def test_the_folders_place_is_no_part_of_the_id_and_its_contents_are() -> None:
    moved = dataclasses.replace(HF, model=HuggingFaceConfig(path="elsewhere", dense="x", moe="y", size="olmoe"))
    assert _hash(moved) == _hash(HF)
    assert _hash(HF, "other weights") != _hash(HF)
    assert _hash(dataclasses.replace(HF, model=dataclasses.replace(HF.model, dtype="bf16"))) != _hash(HF)


def test_a_file_of_questions_may_move_too() -> None:
    def asked(path: str, **more: str) -> RunConfig:
        return dataclasses.replace(
            HF, task=TaskConfig(kinds={"mine": KindConfig(name="jsonl", options={"path": path, **more})})
        )

    assert _hash(asked("a.jsonl")) == _hash(asked("/b/c.jsonl"))
    assert _hash(asked("a.jsonl", field="question")) != _hash(asked("a.jsonl"))


def test_tasks_of_lm_eval_count_by_name_and_their_folder_does_not() -> None:
    def judged(folder: str, *names: str) -> RunConfig:
        return dataclasses.replace(HF, task=TaskConfig(lm_eval=list(names), lm_eval_dir=folder))

    assert _hash(judged("/a/tasks", "x")) == _hash(judged("b", "x"))
    assert _hash(judged("b", "x")) != _hash(judged("b", "x", "y"))
    assert config_without_places(judged("/a/tasks", "x"))["task"]["lm_eval_dir"] == "tasks"
    validate_run(judged("b", "x"))
    for config, words in (
        (judged("", "x"), "task.lm_eval_dir is empty"),
        (RunConfig(task=TaskConfig(lm_eval=["x"], lm_eval_dir="b")), "published models only"),
    ):
        with pytest.raises(ConfigError, match=words):
            validate_run(config)


def test_a_servers_address_is_a_place_and_its_models_name_is_not() -> None:
    def served(**changes: str) -> RunConfig:
        return RunConfig(task=TaskConfig(mode="server"), server=ServerConfig(model="m", **changes))

    first = served(base_url="http://one:1")
    assert _hash(first) == _hash(served(base_url="http://two:2", dense="a", moe="b"))
    assert _hash(first) != _hash(RunConfig(task=TaskConfig(mode="server"), server=ServerConfig(model="n")))
    assert make_run_id(first, "0" * 64) == "adhoc-dense-s-server-s0-00000000"


def test_a_run_that_trains_nothing_has_no_budget_in_its_id_and_must_be_single() -> None:
    assert make_run_id(HF, "0" * 64) == "adhoc-moe-olmoe-hf-s0-00000000"
    assert is_inference(HF)
    assert not is_inference(RunConfig())
    validate_run(HF)
    for wrong in ({"role": "trunk"}, {"save_model": True}):
        with pytest.raises(ConfigError, match="trains nothing"):
            validate_run(dataclasses.replace(HF, **wrong))


def test_a_record_keeps_names_in_place_of_paths() -> None:
    kinds = {"mine": KindConfig(name="jsonl", options={"path": "/srv/me/q.jsonl"})}
    config = dataclasses.replace(HF, task=TaskConfig(kinds=kinds))
    values = config_without_places(config)
    assert values["model"]["path"] == "olmoe"
    assert values["task"]["kinds"]["mine"]["options"]["path"] == "q.jsonl"
    assert config.model.path == "/a/b/olmoe", "the configuration itself is left alone"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/a/b/Qwen3-30B-A3B/", "Qwen3-30B-A3B"),
        ("./my model (v2)", "my_model_v2"),
        ("allenai/OLMoE-1B-7B-0924", "OLMoE-1B-7B-0924"),
        ("/c/hub/models--allenai--OLMoE-1B-7B-0924/snapshots/0123abc", "OLMoE-1B-7B-0924"),
        ("..", "model"),
        ("", "model"),
    ],
)
def test_a_models_own_name(place: str, name: str) -> None:
    assert name_model(place) == name
