"""``python -m harness`` is ``isojoule``."""

import sys

from harness.cli import main

sys.exit(main())
