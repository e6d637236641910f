"""The verb ``isojoule plan [OVERRIDES ...] [--json FILE|-]``: what ``isojoule run`` would do, and what it takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls

_HELP = """\
usage: isojoule plan [-m] [--config-dir DIR] [--retry-failed] [--json FILE] [OVERRIDE ...]

Say what `isojoule run` would do with the same overrides, and start nothing: every run in order with its state in the
store, training FLOPs by formula, and estimates of time and energy from finished runs of this machine.

  isojoule plan experiment=iso_loss_quick                          the quick study, run by run
  isojoule plan experiment=iso_loss_cpu sweep.budget.joules=20000  and where such a budget would end it
  isojoule plan model=dense_s,moe_s seed=0,1 --json -              as JSON on the screen

  --retry-failed   count failed runs among those to come
  --json FILE      write the plan as JSON; - prints it in place of the table
"""


def plan(arguments: Sequence[str]) -> int:
    """Print the plan; return the exit code."""
    if {"-h", "--help"} & set(arguments):
        print(_HELP, end="")
        return EXIT_OK
    from harness.experiments.arguments import read_arguments
    from harness.experiments.plan import make_plan
    from harness.run.study_plan import plan_to_json
    from harness.run.study_plan_text import plan_to_text

    typed = read_arguments(arguments, "plan")
    made = make_plan(typed)
    if typed.json != "-":
        print(escape_controls(plan_to_text(made)))
    if typed.json is not None:
        write_json(typed.json, plan_to_json(made))
    return EXIT_OK


def write_json(target: str, content: object) -> None:
    """Write `content` as JSON to a file, or to the screen for ``-``.

    Raises:
        ConfigError: the file cannot be written.
    """
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    if target == "-":
        print(text, end="")
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write '{target}': {error.strerror}.") from error
