"""``python -m harness`` is ``isojoule``."""

import sys

from harness.cli.command import main

sys.exit(main())
