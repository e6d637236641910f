"""``python -m harness`` is ``isojoule``."""

import sys

from harness.cli.command import run_program

sys.exit(run_program())
