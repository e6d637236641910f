"""The verb over a step's energy: ``isojoule roofline [STORE] [--hardware NAME] [--json FILE] [--constants FILE]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls


def add_roofline_verb(verbs: Any, find_store: Callable[[Path | None], Path]) -> None:
    """Add ``roofline`` to the parser; `find_store` turns what was typed, or nothing, into the folder of a study."""
    roofline = verbs.add_parser(
        "roofline",
        help="fit J per step, byte and FLOP of prefill and decode, and predict the candidate by the baseline's",
        description="Fits the energy of a step to a study's windows, and holds the candidate against the prediction.",
    )
    roofline.add_argument("store", nargs="?", type=Path, help="folder of a study (default: the newest under runs/)")
    roofline.add_argument("--hardware", metavar="NAME", help="shipped card or .yaml whose power limit caps predictions")
    roofline.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    roofline.add_argument(
        "--constants", type=Path, metavar="FILE", help="write the baseline's decode constants for isojoule project"
    )
    roofline.set_defaults(handler=lambda options: _roofline(find_store(options.store), options))


def _roofline(store: Path, options: argparse.Namespace) -> int:
    from harness.analysis.projection.hardware import load_card
    from harness.analysis.roofline.study import load_roofline
    from harness.analysis.roofline.summary import constants_to_json, roofline_to_json
    from harness.analysis.roofline.text import roofline_to_text

    card = load_card(options.hardware) if options.hardware is not None else None
    roofline = load_roofline(store, card)
    print(escape_controls(roofline_to_text(roofline)))
    if options.json is not None:
        _write(options.json, roofline_to_json(roofline))
    if options.constants is not None:
        _write(options.constants, constants_to_json(roofline))
    return EXIT_OK


def _write(path: Path, content: object) -> None:
    try:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}.") from error
