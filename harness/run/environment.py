"""What the run ran on: hardware, software and commit; no host name, user name or path."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import psutil
import torch

import harness
from harness.core.provenance import Environment
from harness.run.device import determinism_policy

_PACKAGES = (
    "torch", "numpy", "scipy", "hydra-core", "omegaconf", "codecarbon", "nvidia-ml-py", "tokenizers", "pydantic",
)  # fmt: skip
_GIT_TIMEOUT_S = 5


def describe_environment(device: torch.device) -> Environment:
    """Return the environment of this process on `device`; what cannot be told is ``None``."""
    commit, dirty = _git_state()
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return Environment(
        isojoule_version=harness.__version__,
        python_version=platform.python_version(),
        os=f"{platform.system()} {platform.release()}",
        cpu_model=_cpu_model(),
        num_cpus=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        device=device.type,
        device_name=gpu.name if gpu is not None else _cpu_model(),
        num_threads=torch.get_num_threads(),
        determinism=determinism_policy(device),
        packages=dict(_package_versions()),
        git_commit=commit,
        git_dirty=dirty,
        gpu_uuid=str(gpu.uuid) if gpu is not None else None,
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
    )


@functools.cache
def _package_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def _git_state() -> tuple[str | None, bool | None]:
    """Return commit and whether the tree differs from it; (None, None) outside a checkout of isojoule itself.

    Asked once a process, which goes on with the code that it has loaded.
    """
    root = Path(harness.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ("git", "-C", str(root), *arguments), capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
        )
        return done.stdout.strip()

    try:
        code = ("harness", "experiments", "conf", "pyproject.toml", "setup.py")
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", *code))
    except (OSError, subprocess.SubprocessError):
        return None, None
