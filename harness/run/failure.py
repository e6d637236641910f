"""The record of a run that failed: what it was, and why."""

from __future__ import annotations

from harness.core.config import CONFIG_HASH_LENGTH, RunConfig, config_to_dict
from harness.core.records import SCHEMA_VERSION, PlanPosition, RunRecord


def failed_record(config: RunConfig, run_id: str, started_utc: str, error: str) -> RunRecord:
    """Return a failed record; only the short hash inside `run_id` is known to a parent whose child died."""
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        study=config.study,
        role=config.role,  # type: ignore[arg-type]  # validate_run has checked the word
        arm=config.arm,
        size=config.model.size,
        seed=config.seed,
        status="failed",
        started_utc=started_utc,
        config=config_to_dict(config),
        config_hash=run_id[-CONFIG_HASH_LENGTH:],
        plan_position=plan_position(config),
        error=error,
    )


def plan_position(config: RunConfig) -> PlanPosition | None:
    """Return block, index and order seed when the run belongs to a plan."""
    if not config.plan_position:
        return None
    block, index, order_seed = config.plan_position
    return PlanPosition(block=block, index=index, order_seed=order_seed)
