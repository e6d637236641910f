"""``isojoule export``: a store in the formats of others."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls

_FORMATS = "csv, parquet, mlperf, ai_energy_score, model_card, sci"


def add_export_verb(verbs: Any, find_store: Callable[[Path | None], Path]) -> None:
    """Add ``export`` to the parser; `find_store` returns the store that was named, or the newest."""
    export = verbs.add_parser(
        "export",
        help="write a store as tables, MLPerf energy fields, AI Energy Score, model card or SCI",
        epilog="csv, parquet and model_card write several files: --out is a folder. The others write one JSON file.",
    )
    export.add_argument("store", nargs="?", type=Path, help="folder of a study (default: the newest under runs/)")
    export.add_argument("--to", required=True, metavar="FORMAT", help=_FORMATS)
    export.add_argument("--out", required=True, type=Path, metavar="PATH", help="the file or folder to write")
    export.add_argument("--run", metavar="RUN_ID", help="this run alone")
    export.add_argument("--per", default="task", metavar="UNIT", help="sci: per task (default), correct or token")
    export.add_argument("--grams-per-kwh", type=float, metavar="G", help="sci, model_card: g CO2e per kWh")
    export.add_argument(
        "--country", metavar="ISO3", help="sci, model_card: intensity from codecarbon's table, e.g. DEU"
    )
    export.add_argument("--location", metavar="TEXT", help="model_card: where the run ran (default: the country)")
    export.add_argument(
        "--embodied-grams", type=float, metavar="G", help="sci: embodied g CO2e of the hardware for one unit of --per"
    )
    export.set_defaults(handler=functools.partial(_export, find_store))


def _export(find_store: Callable[[Path | None], Path], options: argparse.Namespace) -> int:
    from harness.core.errors import did_you_mean
    from harness.exports.formats import FORMATS, export_store
    from harness.exports.options import UNITS, ExportOptions

    FORMATS.get(options.to)
    if options.per not in UNITS:
        raise ConfigError(f"--per is '{options.per}'; it is task, correct or token.{did_you_mean(options.per, UNITS)}")
    exported = export_store(
        find_store(options.store),
        options.to,
        options.out,
        ExportOptions(
            run_id=options.run,
            per=options.per,
            grams_per_kwh=options.grams_per_kwh,
            country=options.country,
            embodied_grams=options.embodied_grams,
            location=options.location,
        ),
    )
    for note in exported.notes:
        print(f"isojoule: {escape_controls(note)}", file=sys.stderr)
    for path in exported.paths:
        print(escape_controls(str(path)))
    return EXIT_OK
