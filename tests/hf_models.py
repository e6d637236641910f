"""Small Hugging Face models with random weights, built and saved by the tests: dense Llama, OLMoE, Qwen3-MoE."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SPECIAL = ("<pad>", "<s>", "</s>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    # Weights large enough that answers differ from prompt to prompt and that no two logits are nearly equal.
    "initializer_range": 0.4,
}


def save_tokenizer(folder: Path, *, chat: bool = True) -> int:
    """Save a byte-level tokenizer of 256 bytes and three special tokens; return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2]
    )
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return len(vocabulary)


def save_llama(folder: Path, *, seed: int = 0, chat: bool = True, **changes: Any) -> Path:
    """Save a dense Llama of 2 layers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return _save(folder, LlamaConfig, LlamaForCausalLM, seed, chat, {"intermediate_size": 64, **changes})


def save_olmoe(folder: Path, *, seed: int = 1, chat: bool = True, **changes: Any) -> Path:
    """Save an OLMoE of 2 layers, 8 experts, 2 of them chosen."""
    from transformers import OlmoeConfig, OlmoeForCausalLM

    experts = {"num_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 32}
    return _save(folder, OlmoeConfig, OlmoeForCausalLM, seed, chat, {**experts, **changes})


def save_qwen3_moe(folder: Path, *, seed: int = 2, chat: bool = True, **changes: Any) -> Path:
    """Save a Qwen3-MoE of 2 layers, 8 experts, 2 of them chosen."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    experts = {
        "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "intermediate_size": 64, "head_dim": 8,
    }  # fmt: skip
    return _save(folder, Qwen3MoeConfig, Qwen3MoeForCausalLM, seed, chat, {**experts, **changes})


def _save(  # noqa: PLR0917 - the three above call it
    folder: Path, config: Callable[..., Any], model: Callable[..., Any], seed: int, chat: bool, changes: dict[str, Any]
) -> Path:
    dtype = changes.pop("dtype", torch.float32)
    vocab_size = save_tokenizer(folder, chat=chat)
    torch.manual_seed(seed)
    model(config(**{**_SIZES, "vocab_size": vocab_size, **changes})).to(dtype).save_pretrained(folder)
    return folder
