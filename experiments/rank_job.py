"""Writes a run's job for ranks on several machines: ``python -m harness.experiments.rank_job JOB.json KEY=VALUE ...``.

The keys are those of ``isojoule run``. Prints the run id. Every machine then starts its ranks on the file with
``torchrun ... -m harness.run.rank JOB.json`` (see `harness.run.rank`); file and store lie where all of them can read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.experiments.compose import compose_app, to_run_config

from harness.core.config import config_to_dict
from harness.core.errors import EXIT_OK, ConfigError, HarnessError
from harness.core.store import write_text_atomically
from harness.run.identity import identify


def main(arguments: list[str]) -> int:
    """Write the job file; return the exit code."""
    try:
        if not arguments or "=" in arguments[0]:
            raise ConfigError("give a file first: python -m harness.experiments.rank_job JOB.json parallel=fsdp ...")
        app = compose_app(arguments[1:])
        config = to_run_config(app)
        run_id, _ = identify(config)
    except HarnessError as error:
        print(f"isojoule: {error}", file=sys.stderr)
        return error.exit_code
    job = {"run_id": run_id, "store": str(Path(app.store).resolve()), "config": config_to_dict(config)}
    write_text_atomically(Path(arguments[0]), json.dumps(job))
    print(run_id)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
