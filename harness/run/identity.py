"""The name of a run: a finished record is found by it."""

from __future__ import annotations

from harness.core.config import RunConfig, is_inference
from harness.core.model_config import HuggingFaceConfig
from harness.core.run_id import hash_config, make_run_id
from harness.data import prepare_data
from harness.flops.formulas import FORMULA_VERSION
from harness.infer.huggingface.folder import find_hf_folder
from harness.tasks.lm_eval_files import identify_lm_eval
from harness.tasks.suite import identify_files

# Kinds of tasks whose examples are cut from held-out documents.
CORPUS_KINDS = ("line_completion", "identifier_recall")


def identify(config: RunConfig) -> tuple[str, str]:
    """Return (run id, config hash) of a run; prepares its corpus (cached), since that is part of what it is.

    Raises:
        HarnessError: a corpus, a model's folder or a file of questions that cannot be used.
    """
    return identify_run(config, prepare_data(config.data).identity_sha256 if needs_corpus(config) else "")


def identify_run(config: RunConfig, data_sha256: str) -> tuple[str, str]:
    """Return (run id, config hash) of a run on the corpus with this content hash, empty where none is used.

    The user's own questions, and the weights of a published model, are part of it by their contents.

    Raises:
        ConfigError: a file of questions or a model's folder cannot be read.
    """
    files_sha256 = identify_files(config.task.kinds) if config.task.answer else ""
    model_sha256 = identify_lm_eval(config.task)
    if isinstance(config.model, HuggingFaceConfig) and config.task.mode == "engine":
        model_sha256 += find_hf_folder(config.model.path).contents_sha256
    config_hash = hash_config(config, data_sha256 + files_sha256 + model_sha256, FORMULA_VERSION)
    return make_run_id(config, config_hash), config_hash


def needs_corpus(config: RunConfig) -> bool:
    """Return whether a run reads held-out documents: to be trained, or since prompts are cut from them.

    Those of line completion are, which is asked where no kinds are given, and those of a sweep of regimes.
    """
    task = config.task
    is_swept = bool(task.regimes.batch_sizes) and task.mode == "engine"
    is_cut = not task.kinds or any(kind.name in CORPUS_KINDS for kind in task.kinds.values())
    return not is_inference(config) or is_swept or is_cut
