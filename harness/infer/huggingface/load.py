"""Published models through `transformers`: loaded as they are, and what was pinned when they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.core.errors import ConfigError, RunFailedError
from harness.core.inference import ModelSource
from harness.core.model_config import HuggingFaceConfig
from harness.infer.huggingface.checks import OFFLINE, first_line, hide_folder, quiet, refuse_fp16
from harness.infer.huggingface.experts import find_experts
from harness.infer.huggingface.folder import HFFolder
from harness.infer.huggingface.text import HFText, load_text

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory with its text, and what the record says of it."""

    model: Any
    text: HFText
    source: ModelSource

    @property
    def folder(self) -> HFFolder:
        """Return the folder that it came from."""
        return self.text.folder


def load_model(config: HuggingFaceConfig, device: torch.device, text: HFText | None = None) -> LoadedModel:
    """Load the model of `config`, for greedy answers on `device` (or where its map puts it); `text`: its tokenizer.

    Raises:
        ConfigError: see `load_text`; or a data type, implementation or map that cannot be used.
        RunFailedError: it does not fit into the GPU's memory.
    """
    text = text or load_text(config)
    import transformers  # noqa: PLC0415 - optional

    folder = text.folder
    with quiet():
        model = _load_weights(config, folder, device)
    model.eval()
    source = ModelSource(
        name=folder.name,
        architecture=type(model).__name__,
        model_type=str(model.config.model_type),
        precision=_precision_of(model),
        config_sha256=folder.config_sha256,
        weights_sha256=folder.weights_sha256,
        library="transformers",
        library_version=transformers.__version__,
        device_map=config.device_map or None,
        experts_implementation=_experts_implementation(model),
        attention_implementation=getattr(model.config, "_attn_implementation", None),
        chat_template=text.chat_template,
        tokenizer=type(text.tokenizer).__name__,
    )
    return LoadedModel(model, text, source)


def _load_weights(config: HuggingFaceConfig, folder: HFFolder, device: torch.device) -> Any:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - optional

    asked: dict[str, Any] = {"dtype": "auto" if config.dtype == "auto" else DTYPES[config.dtype]}
    if config.attention_implementation:
        asked["attn_implementation"] = config.attention_implementation
    if config.experts_implementation:
        asked["experts_implementation"] = config.experts_implementation
    if config.device_map:
        asked["device_map"] = config.device_map
    try:
        model = AutoModelForCausalLM.from_pretrained(folder.path, **OFFLINE, **asked)
        if not config.device_map:
            model.to(device)
    except torch.cuda.OutOfMemoryError as error:
        raise RunFailedError(
            f"'{folder.name}' does not fit into the memory of {device}; take a larger device, model.dtype=bf16, or "
            "model.device_map=auto."
        ) from error
    except (OSError, ValueError, ImportError, TypeError, KeyError, RuntimeError) as error:
        reason = hide_folder(first_line(error), folder.path)
        raise ConfigError(f"transformers cannot load '{folder.name}': {reason}") from error
    if model.device.type == "cpu" and any(weight.dtype == torch.float16 for weight in model.parameters()):
        refuse_fp16(config, folder)
    _check_experts(config, folder, model)
    return model


def _check_experts(config: HuggingFaceConfig, folder: HFFolder, model: Any) -> None:
    """Refuse an implementation of experts that the model took no notice of; a record would say what was not so."""
    wanted = config.experts_implementation
    if wanted and _experts_implementation(model) != wanted:
        raise ConfigError(
            f"'{folder.name}' does not run its experts by model.experts_implementation={wanted}; leave that out (dense "
            "models, and sparse ones of older versions of transformers, have none to choose)."
        )


def _experts_implementation(model: Any) -> str | None:
    """Return how the loaded model runs its experts; ``None`` for a dense one, or where the library does not say."""
    chosen = getattr(model.config.get_text_config(), "_experts_implementation", None)
    return str(chosen) if chosen and find_experts(model) else None


def _precision_of(model: Any) -> str:
    """Return the precision of most of the weights in memory, or the method where they are quantised."""
    quantisation = getattr(model.config, "quantization_config", None)
    if quantisation is not None:
        method = quantisation.get("quant_method") if isinstance(quantisation, dict) else quantisation.quant_method
        return str(getattr(method, "value", method))
    amounts: dict[torch.dtype, int] = {}
    for weight in model.parameters():
        amounts[weight.dtype] = amounts.get(weight.dtype, 0) + weight.numel()
    most = max(amounts, key=lambda dtype: amounts[dtype])
    return _PRECISIONS.get(most, str(most).removeprefix("torch."))
