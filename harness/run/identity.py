"""The name of a run: a finished record is found by it."""

from __future__ import annotations

from harness.core.config import RunConfig, hash_config, make_run_id
from harness.flops.formulas import FORMULA_VERSION


def identify_run(config: RunConfig, data_sha256: str) -> tuple[str, str]:
    """Return (run id, config hash) of a run on the data with this content hash."""
    config_hash = hash_config(config, data_sha256, FORMULA_VERSION)
    return make_run_id(config, config_hash), config_hash
