"""Text of a published model: its tokenizer and, where the configuration asks for it, its chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.infer.huggingface.checks import OFFLINE, check_model, first_line, hide_folder, quiet
from harness.infer.huggingface.folder import HFFolder

# What configurations call the most positions; of older families, GPT-2 among them, it is `n_positions`.
_LENGTH_NAMES = ("max_position_embeddings", "n_positions")


@dataclass(frozen=True, slots=True)
class HFText:
    """The tokenizer of the model in `folder`; with `chat_template` prompts are a user's message."""

    folder: HFFolder
    tokenizer: Any
    chat_template: bool

    @property
    def max_length(self) -> int | None:
        """Return the most positions that the model was made for; ``None`` where its config does not say."""
        config = self.folder.config
        text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
        given = (part.get(name) for part in (text, config) for name in _LENGTH_NAMES)
        return next((length for length in given if isinstance(length, int) and length > 0), None)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a prompt, with the special tokens that the tokenizer or the template adds."""
        if self.chat_template:
            message = [{"role": "user", "content": text}]
            text = self.tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self.tokenizer(text)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of new tokens, special tokens left out."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def load_text(config: HuggingFaceConfig) -> HFText:
    """Load the tokenizer of the model of `config`, after `harness.infer.huggingface.checks.check_model`.

    Raises:
        ConfigError: the model cannot be run, has no tokenizer that can be loaded, or no chat template and one is asked.
    """
    folder = check_model(config)
    from transformers import AutoTokenizer  # noqa: PLC0415 - optional

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder.path, **OFFLINE)
    except (OSError, ValueError, ImportError, TypeError, KeyError) as error:
        reason = hide_folder(first_line(error), folder.path)
        raise ConfigError(f"'{folder.name}' has no tokenizer that can be loaded: {reason}") from error
    if config.chat_template and not getattr(tokenizer, "chat_template", None):
        raise ConfigError(f"'{folder.name}' has no chat template; set model.chat_template=false.")
    return HFText(folder, tokenizer, config.chat_template)
