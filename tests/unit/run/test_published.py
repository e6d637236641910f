"""A published model as it is: one record and the answers of every question, or one clear line; nothing is trained."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.config import DataConfig, MeasureConfig, RunConfig, SensorConfig
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig, ModelConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.task_config import KindConfig, RegimeConfig, TaskConfig
from harness.data import prepare_data
from harness.infer.hf_load import load_model
from harness.infer.huggingface import HuggingFaceEngine
from harness.models.folder import load_model as load_own_model
from harness.models.huggingface.checkpoint import export_model
from harness.run.execute import execute_run
from harness.run.weights import find_model
from harness.tasks.own_engine import OwnEngine
from harness.tasks.suite import build_suite, cut_prompt
from tests.hf_models import save_llama, save_olmoe
from tests.tools import require_module
from tests.unit.run.tiny import DENSE, MOE, ROOT, run_here, tiny_run

require_module("transformers")
SUMS = KindConfig(name="arithmetic", num_examples=5, max_answer_tokens=7, context_bytes=80)
LINES = KindConfig(name="line_completion", num_examples=4, max_answer_tokens=3, context_bytes=120)
DATA = DataConfig(corpus="text_files", globs=[f"{ROOT}/harness/**/*.py"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"dense": save_llama(root / "small-llama"), "moe": save_olmoe(root / "small-olmoe")}


def _run(folder: Path, task: TaskConfig | None = None, **model: Any) -> RunConfig:
    task = task or TaskConfig(kinds={"sums": SUMS}, batch_size=4, min_window_s=0.01, repetitions=2)
    return RunConfig(
        device="cpu",
        num_threads=1,
        model=HuggingFaceConfig(path=str(folder), size=folder.name, **model),
        data=DATA,
        task=task,
        measure=MeasureConfig(sensor=SensorConfig(names=["synthetic"]), idle_s=0.02),
    )


def _execute(config: RunConfig, store: Path) -> tuple[RunRecord, Store]:
    return execute_run(config, Store(store), lambda _: None), Store(store)


@pytest.fixture(scope="module")
def moe(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, Store]:
    return _execute(_run(folders["moe"]), tmp_path_factory.mktemp("store"))


def test_the_record_is_read_back_and_says_what_ran_on_what(moe, folders):
    record, store = moe
    assert store.load_record(record.run_id) == record
    assert record.status == "finished"
    assert record.run_id.startswith("adhoc-dense-small-olmoe-hf-s0-")
    assert record.model_source.name == "small-olmoe"
    assert str(folders["moe"].parent) not in json.dumps(dataclasses.asdict(record))
    assert record.data is None
    assert record.path is None
    assert record.mfu is None
    assert "transformers" in record.environment.packages
    assert record.peak_flops_per_s > 0
    assert record.peak_bytes_per_s > 0


def test_windows_stand_in_order_and_idle_with_the_model_comes_before_the_answers(moe):
    record, _ = moe
    assert [(window.phase, window.repetition) for window in record.windows] == [
        ("idle_before", 0), ("warmup", 0), ("idle_resident", 0),
        ("prefill", 0), ("decode", 0), ("prefill", 1), ("decode", 1), ("idle_after", 0),
    ]  # fmt: skip
    for window in record.windows_of("prefill", "decode"):
        assert window.work.flops > 0
        assert window.work.num_bytes > 0
        assert window.regime.kind == "sums"
        assert window.energy[0].net_energy_j is not None


def test_each_question_has_a_row_a_repetition_and_the_share_of_its_windows(moe):
    record, store = moe
    rows = store.load_answers(record.run_id)
    assert [(row.index, row.repetition) for row in rows] == [(index, rep) for rep in (0, 1) for index in range(5)]
    assert {row.num_output_tokens for row in rows} == {7}
    first, again = rows[:5], rows[5:]
    assert [row.answer for row in first] == [row.answer for row in again], "greedy answers repeat"
    (quality,) = record.quality
    assert quality.value == sum(row.correct for row in first) / 5
    assert (quality.task, quality.num_samples) == ("sums", 5)


def test_counts_of_formula_module_and_operators_agree(moe):
    record, _ = moe
    assert record.params.active < record.params.total
    assert record.flops.relative_gap == pytest.approx(0, abs=1e-3)
    codes = {finding.code for finding in record.findings}
    assert not codes & {"flop_formula_gap", "param_counts_disagree", "no_flop_formula", "flops_not_traced"}


def test_routing_and_coverage_of_a_sparse_model_are_counted_and_a_dense_one_has_none(moe, folders, tmp_path):
    record, _ = moe
    (routing,) = record.task_routing
    assert routing.kind == "sums"
    assert all(sum(row) == pytest.approx(1) for row in routing.load)
    assert (routing.active_params_per_token, routing.total_params) == (record.params.active, record.params.total)
    whole = next(coverage for coverage in record.expert_coverage if coverage.batch_size == 4)
    assert 2 <= whole.measured <= 8
    assert whole.num_experts == 8
    sources = [window.work.bytes_source for window in record.windows_of("decode")]
    assert all("touched" in source for source in sources), "bytes rest on the experts that were counted"
    dense, _ = _execute(_run(folders["dense"]), tmp_path)
    assert dense.task_routing == ()
    assert dense.expert_coverage == ()
    assert [finding.code for finding in dense.findings if "routing" in finding.code] == []


def test_held_out_files_are_in_the_record_where_prompts_are_cut_from_them_and_a_sweep_is_measured(folders, tmp_path):
    regimes = RegimeConfig(
        batch_sizes=[1, 2],
        context_lengths=[16],
        answer_lengths=[3],
        repetitions=1,
        min_window_s=0.01,
        free_answers=True,
    )
    task = TaskConfig(kinds={"lines": LINES}, batch_size=4, min_window_s=0.01, regimes=regimes)
    record, store = _execute(_run(folders["moe"], task), tmp_path)
    assert record.data is not None
    swept = {
        (w.phase, w.regime.batch_size, w.regime.answer_length)
        for w in record.windows
        if w.regime and w.regime.kind == "sweep"
    }
    assert swept == {
        (phase, batch, length)
        for phase in ("prefill", "decode", "generate")
        for batch in (1, 2)
        for length in ("fixed", "free")
    }
    assert {coverage.kind for coverage in record.expert_coverage} == {"lines", "sweep"}
    assert all(len(row.expected) > 0 for row in store.load_answers(record.run_id))


def test_without_kinds_lines_of_held_out_files_are_completed(folders, tmp_path):
    task = TaskConfig(num_examples=3, max_answer_tokens=2, batch_size=4, min_window_s=0.01)
    record, _ = _execute(_run(folders["dense"], task), tmp_path)
    assert [(quality.task, quality.num_samples) for quality in record.quality] == [("line_completion", 3)]
    assert record.config["task"]["kinds"] == {}


def test_answers_are_those_of_generate(moe, folders):
    record, store = moe
    engine = HuggingFaceEngine(load_model(HuggingFaceConfig(path=str(folders["moe"])), torch.device("cpu")))
    for question, row in zip(build_suite({"sums": SUMS}, ())["sums"], store.load_answers(record.run_id), strict=False):
        ids = engine.encode(cut_prompt(question, SUMS.context_bytes))
        made = engine.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
            max_new_tokens=7, pad_token_id=0,
        )  # fmt: skip
        assert engine.decode_text(made[0, len(ids) :].tolist()).split("\n")[0].strip() == row.answer


@pytest.mark.parametrize(
    "own", [DENSE, dataclasses.replace(MOE, attention="gqa", router="olmoe", num_shared_experts=0, num_dense_layers=0)]
)
def test_a_model_of_ours_answers_alike_in_our_engine_and_exported(own: ModelConfig, tmp_path):
    record = run_here(tiny_run(own, save_model=True), Store(tmp_path / "store"))
    kept = find_model(tmp_path / "store", record.run_id)
    export_model(kept, tmp_path / "exported")
    theirs = HuggingFaceEngine(load_model(HuggingFaceConfig(path=str(tmp_path / "exported")), torch.device("cpu")))
    ours = OwnEngine(load_own_model(kept.folder), prepare_data(DATA).tokenizer)
    texts = ("def main(argv):\n    retu", "import numpy as np\nimpo", "x = [1, 2, 3]\nfor y in")
    prompts = [ours.encode(text)[-20:] for text in texts]
    assert [theirs.encode(text)[-20:] for text in texts] == prompts
    answers = ours.decode(ours.prefill(prompts, 8), 8).tolist()
    assert theirs.decode(theirs.prefill(prompts, 8), 8).tolist() == answers
    assert [theirs.decode_text(ids) for ids in answers] == [ours.decode_text(ids) for ids in answers]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (TaskConfig(answer=False), "task.answer is false, and nothing is trained"),
        (
            TaskConfig(kinds={"sums": dataclasses.replace(SUMS, context_bytes=2000)}),
            "lower task.kinds.sums.context_bytes",
        ),
        (
            TaskConfig(
                kinds={"sums": SUMS}, regimes=RegimeConfig(batch_sizes=[1], context_lengths=[1020], answer_lengths=[9])
            ),
            "lower task.regimes.context_lengths",
        ),
    ],
)
def test_what_cannot_be_asked_of_the_model_is_refused(folders, tmp_path, task, words):
    with pytest.raises(ConfigError, match=words):
        _execute(_run(folders["dense"], task), tmp_path)


def test_penalties_of_the_generation_configuration_are_named_and_left_out(tmp_path):
    folder = save_llama(tmp_path / "llama")
    generation = folder / "generation_config.json"
    generation.write_text(json.dumps({**json.loads(generation.read_text()), "repetition_penalty": 1.05}))
    record, _ = _execute(_run(folder), tmp_path / "store")
    (found,) = [finding for finding in record.findings if finding.code == "generation_config_left_out"]
    assert "repetition_penalty=1.05" in found.text
