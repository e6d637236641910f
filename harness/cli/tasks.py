"""The verb over tasks and regimes: ``isojoule tasks [STORE] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls


def add_tasks_verb(verbs: Any, find_store: Callable[[Path | None], Path]) -> None:
    """Add ``tasks`` to the parser; `find_store` turns what was typed, or nothing, into the folder of a study."""
    tasks = verbs.add_parser("tasks", help="what tasks cost: by kind, batch, context and answer length, and servers")
    tasks.add_argument("store", nargs="?", type=Path, help="folder of a study (default: the newest under runs/)")
    tasks.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    tasks.set_defaults(handler=lambda options: _tasks(find_store(options.store), options))


def _tasks(store: Path, options: argparse.Namespace) -> int:
    from harness.analysis.inference.load import load_tasks
    from harness.analysis.inference.summary import tasks_to_json
    from harness.analysis.inference.text import tasks_to_text

    study = load_tasks(store)
    print(escape_controls(tasks_to_text(study)))
    if options.json is not None:
        text = json.dumps(tasks_to_json(study), indent=1, allow_nan=False) + "\n"
        try:
            options.json.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write '{options.json}': {error.strerror}.") from error
    return EXIT_OK
