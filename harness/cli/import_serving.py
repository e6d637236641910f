"""``isojoule import-serving``: results of other serving benchmarks in one table, beside our energy."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls


def add_import_serving_verb(verbs: Any) -> None:
    """Add ``import-serving`` to the parser."""
    verb = verbs.add_parser(
        "import-serving",
        help="results of vLLM's benchmark, GuideLLM and AIPerf in one table, with energy per request and token",
        epilog="the tool is recognised by the file's content; measure it with: isojoule measure --json E -- BENCHMARK",
    )
    verb.add_argument("files", nargs="+", type=Path, metavar="FILE", help="result files, JSON or AIPerf's CSV")
    verb.add_argument(
        "--energy",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="JSON of isojoule measure; once for each result file, in their order",
    )
    verb.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    verb.set_defaults(handler=_import_serving)


def _import_serving(options: argparse.Namespace) -> int:
    from harness.analysis.imported.beside_energy import import_serving
    from harness.analysis.imported.text import imported_to_json, imported_to_text

    if options.energy and len(options.energy) != len(options.files):
        raise ConfigError(
            f"{len(options.files)} result files and {len(options.energy)} --energy files; "
            "give one --energy FILE for each result file, in the same order, or none."
        )
    imported = import_serving(options.files, options.energy)
    print(escape_controls(imported_to_text(imported)))
    if options.json is not None:
        content = json.dumps(imported_to_json(imported), indent=1, sort_keys=True, allow_nan=False)
        try:
            options.json.write_text(content + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write '{options.json}': {error.strerror}.") from error
    return EXIT_OK
