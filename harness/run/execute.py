"""Executes any run: one that trains, a published model that answers as it is, or a server that is asked."""

from __future__ import annotations

from harness.core.config import RunConfig
from harness.core.model_config import HuggingFaceConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run.pretrain import Emit


def execute_run(config: RunConfig, store: Store, emit: Emit) -> RunRecord:
    """Run `config` to the end by what executes its sort of run, and return its record, which stands in `store`.

    Raises:
        HarnessError: a configuration, model, corpus or sensor that cannot be used; nothing is written.
    """
    if config.task.mode == "server":
        from harness.run.serving import execute_serving  # noqa: PLC0415 - httpx is an extra

        return execute_serving(config, store, emit)
    if isinstance(config.model, HuggingFaceConfig) and config.task.mode == "engine":
        from harness.run.published import execute_published  # noqa: PLC0415 - only what is run is imported

        return execute_published(config, store, emit)
    from harness.run.runner import execute  # noqa: PLC0415 - the same

    return execute(config, store, emit)
