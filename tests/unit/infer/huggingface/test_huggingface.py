"""Published models answer as `transformers` itself generates, alone or padded in a batch, and costs fit the module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.core.model_config import HuggingFaceConfig
from harness.flops.traced import trace_flops
from harness.infer.huggingface.engine import HuggingFaceEngine
from harness.infer.huggingface.load import load_model
from tests.hf_models import save_llama, save_olmoe, save_qwen3_moe, save_tokenizer
from tests.tools import require_module

require_module("transformers")
SAVE: dict[str, Callable[..., Path]] = {"llama": save_llama, "olmoe": save_olmoe, "qwen3_moe": save_qwen3_moe}
TEXTS = ("x", "def main(argv):\n    return", "The quick brown fox jumps over the lazy dog. " * 3, "a = 1\nb = ")


@pytest.fixture(scope="module", params=list(SAVE))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceEngine:
    folder = SAVE[request.param](tmp_path_factory.mktemp("models") / request.param)
    return HuggingFaceEngine(load_model(HuggingFaceConfig(path=str(folder)), torch.device("cpu")))


def _generate(engine: HuggingFaceEngine, prompt: list[int], num_new_tokens: int, *, stops: bool) -> list[int]:
    ids = torch.tensor([prompt])
    ends = {} if stops else {"eos_token_id": None, "min_new_tokens": num_new_tokens}
    made = engine.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=num_new_tokens, pad_token_id=0, **ends
    )
    new: list[int] = made[0, len(prompt) :].tolist()
    return new


def _never_ends(engine: HuggingFaceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.model.generation_config, "eos_token_id", None)


def test_decode_is_generate_token_by_token_alone_and_padded(engine, monkeypatch):
    _never_ends(engine, monkeypatch)
    prompts = [engine.encode(text) for text in TEXTS]
    assert len({len(prompt) for prompt in prompts}) == len(TEXTS)
    expected = [_generate(engine, prompt, 12, stops=False) for prompt in prompts]
    assert len({tuple(ids) for ids in expected}) > 1, "the answers say nothing of the prompts"
    state = engine.prefill(prompts, 12)
    assert engine.decode(state, 12).tolist() == expected
    alone = [engine.decode(engine.prefill([prompt], 12), 12).tolist()[0] for prompt in prompts]
    assert alone == expected


def test_a_padded_batch_is_generate_of_the_same_padded_batch(engine, monkeypatch):
    _never_ends(engine, monkeypatch)
    prompts = [engine.encode(text) for text in TEXTS]
    engine.text.tokenizer.padding_side = "left"
    padded = engine.text.tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
    made = engine.model.generate(**padded, do_sample=False, max_new_tokens=10, pad_token_id=0)
    expected = made[:, padded["input_ids"].shape[1] :].tolist()
    assert engine.decode(engine.prefill(prompts, 10), 10).tolist() == expected


def test_a_state_is_decoded_again_shorter_or_longer_than_it_was_made_for(engine):
    state = engine.prefill([engine.encode(text) for text in TEXTS], 6)
    longer = engine.decode(state, 9).tolist()
    assert [row[:6] for row in longer] == engine.decode(state, 6).tolist()
    assert [row[:1] for row in longer] == engine.decode(state, 1).tolist()


def test_free_answers_end_at_the_end_token_or_the_stop_and_are_the_fixed_ones_cut(engine):
    prompts = [engine.encode(text) for text in TEXTS]
    state = engine.prefill(prompts, 24)
    fixed = engine.decode(state, 24).tolist()
    letters = [[engine.decode_text([index]) for index in row[3:]] for row in fixed]
    stops = [next(letter for letter in row if letter and letter.isascii()) for row in letters]
    freed = engine.decode_free(state, 24, stops)
    for free, row, stop in zip(freed, fixed, stops, strict=True):
        end = next(n for n in range(1, 25) if n == 24 or engine.is_stop(row[:n], stop))
        assert free == row[:end]
    assert min(map(len, freed)) < 24
    never = engine.decode_free(state, 24, [""] * len(prompts))
    ends = [row.index(2) + 1 if 2 in row else 24 for row in fixed]
    assert [len(free) for free in never] == ends


def test_an_end_token_ends_an_answer_and_is_no_text(engine):
    ids = engine.encode("ab")
    assert engine.is_stop([*ids, 2], "\n")
    assert engine.is_stop(engine.encode("a\n"), "\n")
    assert not engine.is_stop(ids, "\n")
    assert not engine.is_stop(ids, "")
    assert engine.decode_text([*ids, 2, 0]) == "ab"


def test_the_chat_template_wraps_prompts_only_where_it_is_asked_for(engine):
    folder = str(engine.loaded.folder.path)
    plain = engine.encode("hello")
    assert engine.decode_text(plain) == "hello"
    chat = HuggingFaceEngine(load_model(HuggingFaceConfig(path=folder, chat_template=True), torch.device("cpu")))
    ids = chat.encode("hello")
    assert ids[0] == 1, "one begin token, from the template"
    assert ids.count(1) == 2
    assert chat.decode_text(ids) == "user: helloassistant: "


def test_flops_by_formula_are_those_of_the_operators_that_ran(engine):
    prompts = [engine.encode(TEXTS[1])] * 3
    length = len(prompts[0])
    made = []
    traced = trace_flops(lambda: made.append(engine.prefill(prompts, 4)))
    assert engine.count_prefill(3, length).flops == pytest.approx(traced, rel=1e-3)
    traced = trace_flops(lambda: engine.decode(made[0], 4))
    assert engine.count_decode(3, length, 3).flops == pytest.approx(traced, rel=1e-3)


def test_parameters_of_the_module_and_of_its_config_agree(engine):
    steps = engine.steps
    assert steps.findings == ()
    total = sum(weight.numel() for weight in engine.model.parameters())
    assert steps.params.total == total
    is_sparse = engine.loaded.source.experts_implementation is not None
    assert (steps.params.active < total) == is_sparse
    cost = engine.count_decode(1, 10, 1)
    outside = steps.params.active - steps.params.embedding
    assert cost.num_bytes == pytest.approx(4 * outside + 4 * 11 * engine.model.config.num_key_value_heads * 2 * 2 * 8)
    assert ("experts" in (cost.bytes_source or "")) == is_sparse


def test_a_model_without_attention_answers_padded_as_alone(tmp_path):
    """Its state holds no padding, so the mask of the prompt must not be laid on later tokens."""
    from transformers import MambaConfig, MambaForCausalLM

    vocab_size = save_tokenizer(tmp_path, chat=False)
    torch.manual_seed(0)
    config = MambaConfig(
        vocab_size=vocab_size, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.4, bos_token_id=1,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    MambaForCausalLM(config).save_pretrained(tmp_path)
    engine = HuggingFaceEngine(load_model(HuggingFaceConfig(path=str(tmp_path)), torch.device("cpu")))
    prompts = [engine.encode(text) for text in TEXTS]
    alone = [engine.decode(engine.prefill([prompt], 8), 8).tolist()[0] for prompt in prompts]
    assert len({tuple(ids) for ids in alone}) > 1
    assert engine.decode(engine.prefill(prompts, 8), 8).tolist() == alone
