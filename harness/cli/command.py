"""The command ``isojoule``: thin verbs over the layers below, imported only when asked for."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import __version__
from harness.cli.energy import add_sensors_verb, measure
from harness.cli.export import add_export_verb
from harness.cli.fit import add_fit_verb
from harness.cli.import_serving import add_import_serving_verb
from harness.cli.model import add_model_verb
from harness.cli.plan import plan
from harness.cli.project import add_project_verb
from harness.cli.report import add_report_verb
from harness.cli.roofline import add_roofline_verb
from harness.cli.status import add_status_verb
from harness.cli.tasks import add_tasks_verb
from harness.cli.tune import add_tune_verb
from harness.core.errors import EXIT_OK, EXIT_USER_MISTAKE, ConfigError, HarnessError, RecordError
from harness.core.parting import leave, parts_at_once
from harness.core.terminal import escape_controls

_RUN_HELP = """\
usage: isojoule run [-m] [--config-dir DIR] [--retry-failed] [--stop-at-first] [OVERRIDE ...]

Run one configuration, or a whole study when the experiment lists cells (or with -m and comma lists).

  isojoule run experiment=smoke                        a tiny study in under a minute
  isojoule run -m experiment=iso_loss_quick            the study behind `make report`
  isojoule run model=moe_s train.budget.tokens=500000  one run
  isojoule run -m model=dense_s,moe_s seed=0,1         single runs, shuffled

A study that is started again skips finished runs, goes on with interrupted ones and leaves failed ones as they are. A
run named by itself is made whatever became of it before.

  --retry-failed        of a study or a list: make failed runs again too
  --stop-at-first       stop at the first run that fails; without it the others go on
  sweep.budget.seconds=3600 sweep.budget.joules=50000 sweep.budget.flops=1e15
                        the most that a whole study may spend, over all its starts; it stops before the run that
                        would exceed it

`isojoule plan` says what a command would do, `isojoule status` how far a study is. `isojoule ls` lists the configs,
`isojoule cp experiment/smoke FILE` copies one out to edit.
exit code: 0 ok, 1 the run failed, 2 your mistake, 3 some runs of a study failed or are left
"""

# What a disk or its owner did, wherever it strikes: no fault of this program, and nothing a traceback would tell.
_FROM_OUTSIDE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


def run_program() -> int:
    """Run the command as the program of this process, which may end here."""
    with parts_at_once():
        return leave(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code (2 with one clear line for a user's mistake)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        raw = {"run": _run, "plan": plan, "measure": measure}.get(arguments[0] if arguments else "")
        if raw is not None:
            return raw(arguments[1:])
        options = _parser().parse_args(arguments)
        handler: Callable[[argparse.Namespace], int] = options.handler
        return handler(options)
    except HarnessError as error:
        print(f"isojoule: {escape_controls(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        if error.errno not in _FROM_OUTSIDE:
            raise
        name = f"'{error.filename}' cannot be used: " if error.filename else ""
        text = f"{name}{error.strerror}; what is finished is kept, and the same command goes on when that is mended."
        print(f"isojoule: {escape_controls(text)}", file=sys.stderr)
        return EXIT_USER_MISTAKE
    except KeyboardInterrupt:
        print("isojoule: stopped; finished runs are kept, the same command goes on from there.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="isojoule", description="Joules at equal quality: dense and sparse-expert language models, measured."
    )
    parser.add_argument("--version", action="version", version=f"isojoule {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("run", help="run a configuration or a study", add_help=False)
    verbs.add_parser("plan", help="what run would do: every run with FLOPs, time and energy", add_help=False)
    add_status_verb(verbs)

    add_report_verb(verbs, _store_root)

    match = verbs.add_parser("match", help="print multipliers at matched loss, equal budgets, equivalence and laws")
    match.add_argument("store", nargs="?", type=Path)
    match.add_argument("--json", type=Path, metavar="FILE")
    match.set_defaults(handler=_match)

    claims = verbs.add_parser("claims", help="verdicts on each claim, beside published arithmetic")
    claims.add_argument(
        "store", nargs="?", type=Path, help="folder of a study (default: the newest under runs/, if any)"
    )
    claims.add_argument("--json", type=Path, metavar="FILE")
    claims.set_defaults(handler=_claims)

    add_tasks_verb(verbs, _store_root)
    add_roofline_verb(verbs, _store_root)
    verbs.add_parser("measure", help="energy of any command: isojoule measure -- COMMAND", add_help=False)
    add_sensors_verb(verbs)
    add_export_verb(verbs, _store_root)
    add_import_serving_verb(verbs)
    add_fit_verb(verbs)
    add_model_verb(verbs)
    add_project_verb(verbs)
    add_tune_verb(verbs)

    doctor = verbs.add_parser("doctor", help="say what this machine can measure, and what would be needed for more")
    doctor.set_defaults(handler=_doctor)

    ls = verbs.add_parser("ls", help="list the shipped configs")
    ls.add_argument("group", nargs="?", default="", help="e.g. experiment, model")
    ls.set_defaults(handler=_ls)

    cp = verbs.add_parser("cp", help="copy a shipped config out to edit")
    cp.add_argument("config", help="e.g. experiment/smoke")
    cp.add_argument("target", type=Path)
    cp.set_defaults(handler=_cp)
    return parser


def _run(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(_RUN_HELP, end="")
        return EXIT_OK
    from harness.experiments.launch import launch

    return launch(arguments)


def _match(options: argparse.Namespace) -> int:
    from harness.analysis.laws.matched import fit_matched
    from harness.analysis.laws.summary import matched_to_json
    from harness.analysis.laws.text import matched_to_text
    from harness.analysis.match import load_and_match
    from harness.analysis.summary import match_to_json
    from harness.analysis.text import match_to_text

    match = load_and_match(_store_root(options.store))
    laws = fit_matched(match)
    print(escape_controls(match_to_text(match)))
    print(escape_controls(f"\n{matched_to_text(laws)}"))
    _write_json(options.json, {**match_to_json(match), "laws": matched_to_json(laws)})
    return EXIT_OK


def _claims(options: argparse.Namespace) -> int:
    from harness.analysis.claims.overview import build_overview, overview_to_json, overview_to_text

    overview = build_overview(options.store if options.store is not None else _newest_store())
    print(escape_controls(overview_to_text(overview)))
    _write_json(options.json, overview_to_json(overview))
    return EXIT_OK


def _doctor(_: argparse.Namespace) -> int:
    from harness.run.doctor import diagnose

    print(diagnose())
    return EXIT_OK


def _ls(options: argparse.Namespace) -> int:
    from harness.experiments.catalog import list_configs

    print("\n".join(list_configs(options.group)))
    return EXIT_OK


def _cp(options: argparse.Namespace) -> int:
    from harness.experiments.catalog import copy_config

    print(copy_config(options.config, options.target))
    return EXIT_OK


def _store_root(given: Path | None) -> Path:
    """Return the store that was named, or the newest study under runs/."""
    found = given if given is not None else _newest_store()
    if found is None:
        raise RecordError("no study under runs/; name a store (isojoule report FOLDER) or run one first.")
    return found


def _newest_store() -> Path | None:
    """Return the newest study under runs/, ``None`` where there is none."""
    stores = [path.parent for path in Path("runs").glob("*/records")]
    return max(stores, key=lambda path: (path / "records").stat().st_mtime, default=None)


def _write_json(path: Path | None, content: object) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}.") from error
