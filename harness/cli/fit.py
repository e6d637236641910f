"""The verb ``isojoule fit POINTS.csv``: scaling laws per family."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls

MIN_RESAMPLES = 100


def add_fit_verb(verbs: Any) -> None:
    """Add ``fit`` to the parser."""
    fit = verbs.add_parser(
        "fit",
        help="scaling law per family from a CSV of runs: isojoule fit POINTS.csv",
        description="Fit L(N, D) = E + A N^-alpha + B D^-beta, or L(C) = E + A C^-alpha, with bootstrap intervals.",
        epilog="columns: loss; params and tokens (or params and flops, or flops alone); family, seed "
        "and trunk (runs that branched off one path) as wished",
    )
    fit.add_argument("points", type=Path, metavar="POINTS.csv", help="one row a run; units are free")
    fit.add_argument("--json", metavar="FILE", help="write everything as JSON; - prints it in place of the table")
    fit.add_argument("--budget", metavar="FLOPS", help="predict the compute-optimal run at this budget")
    fit.add_argument("--resamples", metavar="N", default="2000", help="bootstrap resamples (default: 2000)")
    fit.add_argument("--seed", metavar="N", default="0", help="of the resamples (default: 0)")
    fit.set_defaults(handler=_fit)


def _fit(options: argparse.Namespace) -> int:
    from harness.analysis.laws.read import read_points
    from harness.analysis.laws.study import fit_study
    from harness.analysis.laws.summary import study_to_json
    from harness.analysis.laws.text import study_to_text

    budget = None if options.budget is None else _positive("--budget", options.budget)
    resamples = _whole_number("--resamples", options.resamples, MIN_RESAMPLES)
    seed = _whole_number("--seed", options.seed, 0)
    points, notes = read_points(options.points)
    study = fit_study(points, notes=notes, budget=budget, resamples=resamples, seed=seed)
    if options.json != "-":
        print(escape_controls(study_to_text(study)))
    if options.json is not None:
        _write_json(options.json, json.dumps(study_to_json(study), indent=1, allow_nan=False) + "\n")
    return EXIT_OK


def _write_json(target: str, text: str) -> None:
    if target == "-":
        print(text, end="")
        return
    try:
        Path(target).write_text(text)
    except OSError as error:
        raise ConfigError(f"cannot write '{target}': {error.strerror}.") from error


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} is '{text}'; give training FLOPs above 0, e.g. {name} 1e21.")
    return value


def _whole_number(name: str, text: str, least: int) -> int:
    """Return `text` as a whole number of at least `least`."""
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ConfigError(f"{name} is '{text}'; give a whole number, {least} or more.")
    return int(text)
