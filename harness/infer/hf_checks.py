"""Whether `transformers` can run a published model as it is; asked before a study, without loading weights or torch.

`transformers` is optional and is imported when a model is asked for. Nothing is downloaded, and code that comes with a
model is never run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from typing import Any

from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.infer.hf_folder import HFFolder, find_hf_folder

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
        raise ConfigError(
            f"transformers cannot read the config.json of '{folder.name}': {first_line(error)}"
        ) from error


def _is_known(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # noqa: PLC0415 - optional

    return model_type in CONFIG_MAPPING_NAMES
