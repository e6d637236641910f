"""The verb ``isojoule status [STORE] [--json FILE|-]``: where a study stands; needs no torch and writes nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, RecordError
from harness.core.terminal import escape_controls


def add_status_verb(verbs: Any) -> None:
    """Add ``status`` to the parser."""
    status = verbs.add_parser(
        "status",
        help="where a study stands: finished, running, failed, interrupted, waiting; spent, left, how long",
        description="Read from records, start markers and logs; a run whose process is gone counts as interrupted.",
    )
    status.add_argument("store", nargs="?", type=Path, help="folder of a study (default: the newest under runs/)")
    status.add_argument("--json", metavar="FILE", help="write everything as JSON; - prints it in place of the text")
    status.set_defaults(handler=_status)


def _status(options: argparse.Namespace) -> int:
    from harness.cli.plan import write_json
    from harness.run.study_status import read_status
    from harness.run.study_status_text import status_to_json, status_to_text

    status = read_status(options.store if options.store is not None else _newest_store())
    if options.json != "-":
        print(escape_controls(status_to_text(status)))
    if options.json is not None:
        write_json(options.json, status_to_json(status))
    return EXIT_OK


def _newest_store() -> Path:
    """Return the store under runs/ that was written to last; one that has only just begun counts too."""
    found = [
        (part.stat().st_mtime, part.parent)
        for name in ("records", "started")
        for part in Path("runs").glob(f"*/{name}")
    ]
    if not found:
        raise RecordError("no study under runs/; name a store (isojoule status FOLDER) or run one first.")
    return max(found)[1]
