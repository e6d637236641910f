"""Whether `transformers` can run a published model as it is; asked before a study, without loading weights or torch.

`transformers` is optional and is imported when a model is asked for. Nothing is downloaded, and code that comes with a
model is never run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.infer.huggingface.folder import HFFolder, find_hf_folder

OFFLINE = {"local_files_only": True, "trust_remote_code": False}


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


def check_dtype(config: HuggingFaceConfig, folder: HFFolder, *, on_cpu: bool) -> None:
    """Check that the weights will not be fp16 on a CPU, be it asked for or how they are stored.

    Raises:
        ConfigError: they would.
    """
    stored = folder.config.get("dtype") or folder.config.get("torch_dtype")
    if on_cpu and (config.dtype == "fp16" or (config.dtype == "auto" and stored == "float16")):
        refuse_fp16(config, folder)


def refuse_fp16(config: HuggingFaceConfig, folder: HFFolder) -> NoReturn:
    """Raise the error that says what to do about fp16 on a CPU."""
    stored = " (as its weights are stored)" if config.dtype == "auto" else ""
    raise ConfigError(
        f"'{folder.name}' would run in fp16{stored} on a CPU, which has no fast products for it; set "
        "model.dtype=fp32 or model.dtype=bf16."
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and notes of loading out of the worker's output; errors are raised as before."""
    from transformers.utils import logging as hf_logging  # noqa: PLC0415 - optional

    before = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(before)


def first_line(error: Exception) -> str:
    """Return the first line of an error that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def hide_folder(text: str, folder: Path) -> str:
    """Return `text` with the last part of a folder's path in place of the path: a record names none."""
    folder = folder.expanduser()
    for path in sorted({str(folder.resolve()), str(folder.absolute()), str(folder)}, key=len, reverse=True):
        if len(path) > 1:
            text = text.replace(path, folder.resolve().name)
    return text


def _read_config(folder: HFFolder) -> Any:
    from transformers import AutoConfig  # noqa: PLC0415 - optional

    if "auto_map" in folder.config and not _is_known(str(folder.config.get("model_type"))):
        raise ConfigError(
            f"'{folder.name}' needs code that comes with it, which is never run here (trust_remote_code is off); give "
            "a model whose architecture transformers has itself."
        )
    try:
        with quiet():
            return AutoConfig.from_pretrained(folder.path, **OFFLINE)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = hide_folder(first_line(error), folder.path)
        raise ConfigError(f"transformers cannot read the config.json of '{folder.name}': {reason}") from error


def _is_known(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # noqa: PLC0415 - optional

    return model_type in CONFIG_MAPPING_NAMES
