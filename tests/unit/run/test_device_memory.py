"""Peak memory of a CPU process: its own, and no more once it begins anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import torch
from harness.run.device import peak_memory_bytes, reset_peak_memory
cpu = torch.device("cpu")
block = torch.ones(128 << 18)
del block
before = peak_memory_bytes(cpu)
reset_peak_memory(cpu)
print(before, peak_memory_bytes(cpu))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells and resets the peak")
def test_the_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    """A run is a child of a command that may have held more than it ever does."""
    block = bytearray(1 << 30)
    for place in range(0, len(block), 4096):
        block[place] = 1
    made = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    del block
    before, after = map(int, made.stdout.split())
    assert after < before < 1 << 30
    assert after <= before - (100 << 20)
