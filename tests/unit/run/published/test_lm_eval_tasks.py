"""Tasks of lm-evaluation-harness from a folder, offline: readings with standard errors, failures that keep the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.core.config import MeasureConfig, RunConfig, SensorConfig
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.core.store import Store
from harness.core.task_config import KindConfig, TaskConfig
from harness.infer.huggingface.load import LoadedModel, load_model
from harness.run.execute import execute_run
from harness.run.identity import identify
from harness.run.published.lm_eval import check_lm_eval, judge_by_lm_eval
from tests.hf_models import save_llama
from tests.tools import require_module

require_module("transformers")
require_module("lm_eval")
YAML = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: questions.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{text}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 3}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "good.yaml").write_text(YAML.format(name="good", text="{{question}}"))
    (folder / "broken.yaml").write_text(YAML.format(name="broken", text="{{1 / 0}}"))
    rows = [
        {"question": f"Which letter follows {c}?", "choices": ["b", "c", "d"], "label": i % 3}
        for i, c in enumerate("abcd")
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_each_metric_is_a_reading_and_a_task_that_fails_says_why(folder, tmp_path):
    loaded = load_model(HuggingFaceConfig(path=str(save_llama(tmp_path / "llama"))), torch.device("cpu"))
    task = TaskConfig(lm_eval=["broken", "good"], lm_eval_dir=str(folder), batch_size=4)
    check_lm_eval(task)
    broken, good = judge_by_lm_eval(loaded, task)
    assert (broken.task, broken.value) == ("lm_eval:broken", None)
    assert "ZeroDivisionError" in (broken.reason or "")
    assert (good.task, good.metric, good.task_version, good.num_samples) == ("lm_eval:good", "lm_eval_acc", 3, 4)
    assert good.value in {0.0, 0.25, 0.5, 0.75, 1.0}
    expected = (good.value * (1 - good.value) / 3) ** 0.5
    assert good.stderr == (pytest.approx(expected) if expected else None)
    assert (good.reason is None) == (good.stderr is not None)
    assert good.higher_is_better


def test_a_run_judges_by_them_outside_its_windows_and_their_files_are_part_of_what_it_is(folder, tmp_path):
    kinds = {"sums": KindConfig(name="arithmetic", num_examples=2, max_answer_tokens=7, context_bytes=60)}
    config = RunConfig(
        device="cpu", num_threads=1, model=HuggingFaceConfig(path=str(save_llama(tmp_path / "llama"))),
        task=TaskConfig(kinds=kinds, min_window_s=0.01, lm_eval=["good"], lm_eval_dir=str(folder)),
        measure=MeasureConfig(sensor=SensorConfig(names=["synthetic"]), idle_s=0.02),
    )  # fmt: skip
    record = execute_run(config, Store(tmp_path / "store"), lambda _: None)
    assert [quality.task for quality in record.quality] == ["sums", "lm_eval:good"]
    assert record.windows[-1].phase == "idle_after"
    assert record.config["task"]["lm_eval_dir"] == "tasks"
    assert identify(config)[0] == record.run_id
    with (folder / "questions.jsonl").open("a") as file:
        file.write('{"question": "?", "choices": ["x", "y", "z"], "label": 0}\n')
    assert identify(config)[0] != record.run_id


def test_a_task_or_a_folder_that_is_not_there_is_one_line(folder):
    with pytest.raises(ConfigError, match=r"known: broken, good. Did you mean 'good'"):
        check_lm_eval(TaskConfig(lm_eval=["goood"], lm_eval_dir=str(folder)))
    with pytest.raises(ConfigError, match="is no folder"):
        check_lm_eval(TaskConfig(lm_eval=["good"], lm_eval_dir=str(folder / "nothing")))


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    return load_model(HuggingFaceConfig(path=str(save_llama(tmp_path / "llama"))), torch.device("cpu"))


def test_groups_and_tags_without_a_number_of_their_own_give_those_of_their_members(folder, loaded):
    """The library files what a tag names under its members alone: a key error would lose all that was measured."""
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(YAML.format(name=name, text="{{question}}") + "tag: pair\n")
    (folder / "group.yaml").write_text("group: both\ntask: [one, two]\n")
    (folder / "mean.yaml").write_text(
        "group: mean\ntask: [one, two]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    )

    def judge(name: str) -> list[tuple[str, int]]:
        task = TaskConfig(lm_eval=[name], lm_eval_dir=str(folder), batch_size=4)
        check_lm_eval(task)
        return [(quality.task, quality.num_samples) for quality in judge_by_lm_eval(loaded, task)]

    members = [("lm_eval:one", 4), ("lm_eval:two", 4)]
    assert judge("pair") == members
    assert judge("both") == members
    assert judge("mean") == [("lm_eval:mean", 8)]


def test_what_is_no_number_is_none_and_a_reason_names_no_path(folder, loaded):
    """A NaN cannot be written, and the run would be lost; a path is the user's own affair."""
    text = YAML.format(name="nan", text="{{question}}").replace("aggregation: mean", "aggregation: !function own.nan")
    (folder / "nan.yaml").write_text(text)
    (folder / "own.py").write_text("def nan(scores):\n    return float('nan')\n")
    gone = YAML.format(name="gone", text="{{question}}").replace("questions.jsonl", "nothing.jsonl")
    (folder / "gone.yaml").write_text(gone)
    task = TaskConfig(lm_eval=["nan", "gone"], lm_eval_dir=str(folder), batch_size=4)
    nan, missing = judge_by_lm_eval(loaded, task)
    assert (nan.value, nan.stderr, nan.reason) == (None, None, "the library gave nan")
    assert missing.value is None
    assert "nothing.jsonl" in (missing.reason or "")
    assert str(folder.parent) not in (missing.reason or "")
