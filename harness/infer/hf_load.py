"""Published models through `transformers`: checked, loaded as they are, and what was pinned when they were.

`transformers` is optional and is imported when a model is asked for. Nothing is downloaded, and code that comes with a
model is never run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from harness.core.errors import ConfigError
from harness.core.inference import ModelSource
from harness.core.model_config import HuggingFaceConfig
from harness.infer.hf_folder import HFFolder, find_hf_folder

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}
_OFFLINE = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory with its tokenizer, the folder that it came from, and what the record says of it."""

    model: Any
    tokenizer: Any
    folder: HFFolder
    source: ModelSource


def check_model(config: HuggingFaceConfig) -> HFFolder:
    """Check, without loading weights, that `transformers` can run the model of `config` as it is; return its folder.

    Raises:
        ConfigError: `transformers` is missing, the folder is not whole, or the architecture is not a causal language
            model that `transformers` has.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError("model=hf needs transformers, which is not installed; type: pip install 'isojoule[hf]'")
    folder = find_hf_folder(config.path)
    read = _read_config(folder)
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING  # noqa: PLC0415 - optional

    if type(read) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ConfigError(
            f"'{folder.name}' is a '{read.model_type}', which transformers has as no causal language model; give "
            "another model."
        )
    if config.device_map and importlib.util.find_spec("accelerate") is None:
        raise ConfigError("model.device_map needs accelerate; type: pip install 'isojoule[hf]', or leave it out.")
    return folder


def load_model(config: HuggingFaceConfig, device: torch.device) -> LoadedModel:
    """Load the model of `config` with its tokenizer, for greedy answers on `device` (or where its map puts it).

    Raises:
        ConfigError: see `check_model`; or a data type, implementation or map that cannot be used here.
    """
    import transformers  # noqa: PLC0415 - optional

    folder = check_model(config)
    with _quiet():
        tokenizer = _load_tokenizer(folder)
        model = _load_weights(config, folder, device)
    if config.chat_template and not getattr(tokenizer, "chat_template", None):
        raise ConfigError(f"'{folder.name}' has no chat template; set model.chat_template=false.")
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
        chat_template=config.chat_template,
        tokenizer=type(tokenizer).__name__,
    )
    return LoadedModel(model, tokenizer, folder, source)


def _read_config(folder: HFFolder) -> Any:
    from transformers import AutoConfig  # noqa: PLC0415 - optional

    if "auto_map" in folder.config and not _is_known(str(folder.config.get("model_type"))):
        raise ConfigError(
            f"'{folder.name}' needs code that comes with it, which is never run here (trust_remote_code is off); give "
            "a model whose architecture transformers has itself."
        )
    try:
        with _quiet():
            return AutoConfig.from_pretrained(folder.path, **_OFFLINE)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"transformers cannot read the config.json of '{folder.name}': {_first_line(error)}"
        ) from error


def _is_known(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # noqa: PLC0415 - optional

    return model_type in CONFIG_MAPPING_NAMES


def _load_tokenizer(folder: HFFolder) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415 - optional

    try:
        return AutoTokenizer.from_pretrained(folder.path, **_OFFLINE)
    except (OSError, ValueError, ImportError, TypeError, KeyError) as error:
        raise ConfigError(f"'{folder.name}' has no tokenizer that can be loaded: {_first_line(error)}") from error


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
        model = AutoModelForCausalLM.from_pretrained(folder.path, **_OFFLINE, **asked)
    except (OSError, ValueError, ImportError, TypeError, KeyError, RuntimeError) as error:
        raise ConfigError(f"transformers cannot load '{folder.name}': {_first_line(error)}") from error
    if not config.device_map:
        model.to(device)
    if model.device.type == "cpu" and any(weight.dtype == torch.float16 for weight in model.parameters()):
        stored = " (as its weights are stored)" if config.dtype == "auto" else ""
        raise ConfigError(
            f"'{folder.name}' would run in fp16{stored} on a CPU, which has no fast products for it; set "
            "model.dtype=fp32 or model.dtype=bf16."
        )
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
    has_experts = any(type(module).__name__.endswith("Experts") for module in model.modules())
    chosen = getattr(model.config.get_text_config(), "_experts_implementation", None)
    return str(chosen) if has_experts and chosen else None


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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and notes of loading out of the worker's output; errors are raised as before."""
    from transformers.utils import logging as hf_logging  # noqa: PLC0415 - optional

    before = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(before)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
