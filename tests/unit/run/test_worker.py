"""The worker never outlives the command that started it, not even one that died while the worker was starting."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_worker_whose_parent_is_gone_already_does_no_work(tmp_path):
    job = {"run_id": "orphan", "store": str(tmp_path), "config": {}, "parent_pid": os.getpid() + 1}
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job))
    done = subprocess.run((sys.executable, "-m", "harness.run.worker", str(file)), check=False, timeout=60)
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == [file]
