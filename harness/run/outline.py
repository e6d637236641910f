"""What every record of a run says first, finished or failed."""

from __future__ import annotations

import dataclasses

from harness.core.clock import utc_label
from harness.core.config import RunConfig
from harness.core.provenance import PlanPosition
from harness.core.records import SCHEMA_VERSION, RunRecord
from harness.core.run_id import CONFIG_HASH_LENGTH, config_without_places


def failed_record(config: RunConfig, run_id: str, started_utc: str, error: str) -> RunRecord:
    """Return a failed record; only the short hash inside `run_id` is known to a parent whose child died."""
    record = begin_record(config, run_id, run_id[-CONFIG_HASH_LENGTH:], started_utc)
    return dataclasses.replace(record, status="failed", error=error, ended_utc=utc_label())


def begin_record(config: RunConfig, run_id: str, config_hash: str, started_utc: str) -> RunRecord:
    """Return a finished record with nothing measured in it yet."""
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        study=config.study,
        role=config.role,  # type: ignore[arg-type]  # validate_run has checked the word
        arm=config.arm,
        size=config.model.size,
        seed=config.seed,
        status="finished",
        started_utc=started_utc,
        config=config_without_places(config),
        config_hash=config_hash,
        plan_position=_plan_position(config),
    )


def _plan_position(config: RunConfig) -> PlanPosition | None:
    if not config.plan_position:
        return None
    block, index, order_seed = config.plan_position
    return PlanPosition(block=block, index=index, order_seed=order_seed)
