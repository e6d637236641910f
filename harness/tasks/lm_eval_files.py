"""Files of the tasks of lm-evaluation-harness that a run asks: part of what the run is. No torch, nor the library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.core.errors import ConfigError
from harness.core.task_config import TaskConfig


def identify_lm_eval(task: TaskConfig) -> str:
    """Return a hash of all files of the tasks' folder, part of a run's identity; empty where no such task is asked.

    Raises:
        ConfigError: the folder is not there, or a file cannot be read.
    """
    if not task.lm_eval:
        return ""
    folder = Path(task.lm_eval_dir).expanduser()
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        hashes = [(str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    except OSError as error:
        raise ConfigError(f"task.lm_eval_dir '{task.lm_eval_dir}' cannot be read: {error.strerror}.") from error
    if not hashes:
        raise ConfigError(f"task.lm_eval_dir '{task.lm_eval_dir}' holds no file; give the folder of the tasks.")
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
