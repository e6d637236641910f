"""The name of a run: a finished record is found by it."""

from __future__ import annotations

from harness.core.config import RunConfig, hash_config, make_run_id
from harness.flops.formulas import FORMULA_VERSION
from harness.tasks.suite import identify_files


def identify_run(config: RunConfig, data_sha256: str) -> tuple[str, str]:
    """Return (run id, config hash) of a run on the data with this content hash; questions of the user's are part of it.

    Raises:
        ConfigError: a file of questions cannot be read.
    """
    files_sha256 = identify_files(config.task.kinds) if config.task.answer else ""
    config_hash = hash_config(config, data_sha256 + files_sha256, FORMULA_VERSION)
    return make_run_id(config, config_hash), config_hash
