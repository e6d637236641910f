"""What can be loaded is loaded as it is and recorded; what cannot is one clear line, and nothing is fetched or run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.infer.huggingface.checks import check_model
from harness.infer.huggingface.counts import count_steps
from harness.infer.huggingface.engine import HuggingFaceEngine
from harness.infer.huggingface.experts import watch_choices
from harness.infer.huggingface.folder import find_hf_folder
from harness.infer.huggingface.load import load_model
from harness.infer.huggingface.text import load_text
from tests.hf_models import save_llama, save_olmoe
from tests.tools import require_module

require_module("transformers")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("models") / "my-llama", chat=False)


@pytest.fixture(scope="module")
def olmoe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_olmoe(tmp_path_factory.mktemp("models") / "my-olmoe")


def _config(folder: Path, **changes: str | bool) -> HuggingFaceConfig:
    return HuggingFaceConfig(path=str(folder), **changes)


def test_the_record_says_what_was_loaded_and_how_and_names_no_path(llama, olmoe):
    source = load_model(_config(llama), CPU).source
    assert (source.name, source.architecture, source.model_type) == ("my-llama", "LlamaForCausalLM", "llama")
    assert (source.precision, source.experts_implementation, source.attention_implementation) == ("fp32", None, "sdpa")
    assert not any(str(value).startswith("/") for value in (source.name, source.tokenizer, source.library_version))
    pinned = load_model(
        _config(olmoe, experts_implementation="eager", attention_implementation="eager", dtype="bf16"), CPU
    )
    assert pinned.source.experts_implementation == "eager"
    assert pinned.source.attention_implementation == "eager"
    assert pinned.source.precision == "bf16"
    assert load_model(_config(olmoe), CPU).source.experts_implementation is not None, "the default is recorded too"


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
def test_a_pinned_implementation_of_experts_answers_alike(olmoe, implementation):
    def answer(**changes: str) -> list[list[int]]:
        engine = HuggingFaceEngine(load_model(_config(olmoe, **changes), CPU))
        answers: list[list[int]] = engine.decode(engine.prefill([engine.encode("abc def")], 8), 8).tolist()
        return answers

    assert answer(experts_implementation=implementation) == answer()


def test_a_device_map_is_recorded_and_answers_alike(olmoe):
    def answer(**changes: str) -> list[list[int]]:
        engine = HuggingFaceEngine(load_model(_config(olmoe, **changes), CPU))
        assert engine.loaded.source.device_map == changes.get("device_map")
        answers: list[list[int]] = engine.decode(
            engine.prefill([engine.encode("abc"), engine.encode("d")], 6), 6
        ).tolist()
        return answers

    assert answer(device_map="auto") == answer()
    with pytest.raises(ConfigError, match="transformers cannot load 'my-olmoe'"):
        load_model(_config(olmoe, device_map="moon"), CPU)


def test_an_implementation_that_is_not_there_or_has_nothing_to_do_is_refused(llama, olmoe):
    with pytest.raises(ConfigError, match="transformers cannot load 'my-olmoe'"):
        load_model(_config(olmoe, experts_implementation="nonsense"), CPU)
    with pytest.raises(ConfigError, match="does not run its experts by"):
        load_model(_config(llama, experts_implementation="eager"), CPU)


def test_fp16_on_a_cpu_is_refused_asked_for_or_stored(llama, tmp_path):
    with pytest.raises(ConfigError, match=r"set model\.dtype=fp32 or model\.dtype=bf16"):
        load_model(_config(llama, dtype="fp16"), CPU)
    stored = save_llama(tmp_path / "half", dtype=torch.float16)
    with pytest.raises(ConfigError, match="as its weights are stored"):
        load_model(_config(stored), CPU)
    assert load_model(_config(stored, dtype="fp32"), CPU).source.precision == "fp32"


def test_a_chat_template_that_is_not_there_is_refused(llama):
    with pytest.raises(ConfigError, match="has no chat template"):
        load_model(_config(llama, chat_template=True), CPU)


def test_code_that_comes_with_a_model_is_never_run(llama, tmp_path):
    folder = tmp_path / "custom"
    shutil.copytree(llama, folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="mine", auto_map={"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ConfigError, match="trust_remote_code is off"):
        check_model(_config(folder))


def test_what_is_no_causal_language_model_is_refused(llama, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(llama, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(ConfigError, match="no causal language model"):
        check_model(_config(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": "nobody_knows"}))
    with pytest.raises(ConfigError, match=r"cannot read the config\.json of 'encoder'"):
        check_model(_config(folder))


def test_a_folder_that_is_not_whole_is_one_line(llama, tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        find_hf_folder(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="nor a repository of that name in the local cache"):
        find_hf_folder("nobody/has-this-model")
    folder = tmp_path / "half"
    shutil.copytree(llama, folder)
    (folder / "model.safetensors").rename(folder / "kept")
    with pytest.raises(ConfigError, match="holds no weights"):
        find_hf_folder(str(folder))
    index = {"weight_map": {"a": "model-00001.safetensors", "b": "model-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "kept").rename(folder / "model-00001.safetensors")
    with pytest.raises(ConfigError, match=r"lacks 1 of 2 weight files, such as model-00002\.safetensors"):
        find_hf_folder(str(folder))


def test_a_folder_is_known_by_its_contents_and_a_changed_tokenizer_is_another_model(llama, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(llama, copy)
    (copy / "README.md").write_text("says nothing to a model")
    assert find_hf_folder(str(copy)).contents_sha256 == find_hf_folder(str(llama)).contents_sha256
    (copy / "tokenizer_config.json").write_text("{}")
    assert find_hf_folder(str(copy)).contents_sha256 != find_hf_folder(str(llama)).contents_sha256
    assert find_hf_folder(str(copy)).weights_sha256 == find_hf_folder(str(llama)).weights_sha256


def test_counts_that_disagree_leave_costs_out_and_say_so(llama):
    loaded = load_model(_config(llama), CPU)
    loaded.folder.config["intermediate_size"] += 1
    steps = count_steps(loaded)
    assert [finding.code for finding in steps.findings] == ["param_counts_disagree"]
    assert steps.count_decode(1, 10, 1) == (None, None, None)
    assert steps.params is not None


def test_a_family_without_formulas_has_parameters_and_no_costs(llama):
    loaded = load_model(_config(llama), CPU)
    loaded.folder.config["model_type"] = "gpt_neox"
    steps = count_steps(loaded)
    assert [finding.code for finding in steps.findings] == ["no_flop_formula"]
    assert steps.count_prefill(1, 10) == (None, None, None)
    assert steps.params is not None


def test_choices_of_routers_are_counted_for_tokens_and_not_for_padding(olmoe, llama):
    engine = HuggingFaceEngine(load_model(_config(olmoe), CPU))
    prompts = [engine.encode("abcdefgh"), engine.encode("xyz")]
    with watch_choices(engine.model) as counter:
        engine.counter = counter
        engine.decode(engine.prefill(prompts, 4), 4)
    assert counter.num_tokens == 8 + 3 + 3 * 2
    assert [tuple(chosen.shape) for chosen in counter.passes] == [(2, 11, 2), *[(2, 2, 2)] * 3]
    assert counter.count_load().sum(dim=1).tolist() == [2 * counter.num_tokens] * 2
    with watch_choices(engine.model) as alone:
        engine.counter = alone
        for prompt in prompts:
            engine.prefill([prompt], 1)
    assert torch.equal(torch.cat(alone.passes, dim=1), counter.passes[0]), "padding changed whom tokens choose"
    dense = HuggingFaceEngine(load_model(_config(llama), CPU))
    with watch_choices(dense.model) as nothing:
        dense.prefill([dense.encode("abc")], 1)
    assert nothing.passes == []


def test_packed_or_unstacked_weights_leave_parameters_to_the_config_and_say_so(olmoe, monkeypatch):
    loaded = load_model(_config(olmoe), CPU)
    counted = count_steps(loaded)
    assert counted.findings == ()
    monkeypatch.setattr("harness.infer.huggingface.counts.find_experts", lambda _: [])
    unstacked = count_steps(loaded)
    assert [finding.code for finding in unstacked.findings] == ["params_of_config"]
    assert unstacked.params == counted.params
    monkeypatch.setattr(loaded.model.config, "quantization_config", {"quant_method": "fp8"}, raising=False)
    packed = count_steps(loaded)
    assert packed.params == counted.params
    assert "quantised" in packed.findings[0].text
    loaded.folder.config["model_type"] = "nobody_knows"
    assert [finding.code for finding in count_steps(loaded).findings] == ["params_unknown", "no_flop_formula"]


def test_the_most_positions_are_known_of_older_families_too(llama, tmp_path):
    """GPT-2 calls them `n_positions`; a longer prompt would end in an index error in mid-run."""
    assert load_text(_config(llama)).max_length == 1024
    gpt2 = tmp_path / "gpt2"
    shutil.copytree(llama, gpt2)
    (gpt2 / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 64}))
    assert load_text(_config(gpt2)).max_length == 64


def test_a_folder_with_an_adapter_is_refused(llama, tmp_path):
    """Where `peft` is installed the library lays it on the weights, and no hash of the record would know of it."""
    folder = tmp_path / "adapted"
    shutil.copytree(llama, folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"holds an adapter .*merge it into the weights"):
        find_hf_folder(str(folder))


@pytest.mark.parametrize("name", ["tekken.json", "spiece.model", "vocab.txt", "chat_template.jinja"])
def test_whatever_file_holds_the_tokenizer_is_part_of_what_a_model_is(llama, tmp_path, name):
    folder = tmp_path / "other"
    shutil.copytree(llama, folder)
    before = find_hf_folder(str(folder)).contents_sha256
    (folder / name).write_text("another")
    assert find_hf_folder(str(folder)).contents_sha256 != before
