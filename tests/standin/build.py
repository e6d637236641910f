"""Builds the stand-in NVML; a test or benchmark finds it by LD_LIBRARY_PATH, and codecarbon its nvidia-smi by PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

LIBRARY_NAME = "libnvidia-ml.so.1"

_FOLDER = Path(__file__).parent
_NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA-SMI (stand-in)'\nexit 0\n"


def build_nvml(folder: Path) -> Path:
    """Compile the library and write an `nvidia-smi` into `folder`, which is made if need be; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / LIBRARY_NAME
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-pthread"]
    subprocess.run(["gcc", *flags, "-o", str(target), str(_FOLDER / "nvml.c"), "-lm"], check=True)
    program = folder / "nvidia-smi"
    program.write_text(_NVIDIA_SMI)
    program.chmod(0o755)
    return folder
