"""The verb over a learning-rate search: ``isojoule tune STORE [--json FILE] [--yaml FILE] [--by arm]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls


def add_tune_verb(verbs: Any) -> None:
    """Add ``tune`` to the parser."""
    tune = verbs.add_parser("tune", help="rank the trials of a learning-rate search: isojoule tune STORE")
    tune.add_argument("store", type=Path, help="folder of a search, e.g. runs/tune_lr")
    tune.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    tune.add_argument("--yaml", type=Path, metavar="FILE", help="write the block for sweep.tuning, not print it")
    tune.add_argument(
        "--by", choices=("size", "arm"), default="size", help="choose for each size, or once for all sizes of a family"
    )
    tune.set_defaults(handler=_tune)


def _tune(options: argparse.Namespace) -> int:
    from harness.analysis.tuning.format import tuning_to_json, tuning_to_text, tuning_to_yaml
    from harness.analysis.tuning.search import load_tuning

    tuning = load_tuning(options.store)
    block = tuning_to_yaml(tuning, options.by)
    print(escape_controls(tuning_to_text(tuning)))
    if options.yaml is None:
        print(f"\nto paste under sweep.tuning\n\n{block}", end="")
    else:
        _write(options.yaml, block)
    if options.json is not None:
        _write(options.json, json.dumps(tuning_to_json(tuning), indent=1, allow_nan=False) + "\n")
    return EXIT_OK


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}.") from error
