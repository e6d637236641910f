"""What this machine can measure, and what would be needed for more."""

from __future__ import annotations

import os
import platform
import sys

import psutil
import torch

from harness import __version__
from harness.core.units import format_si
from harness.sensors.describe import can_measure_energy, sensors_to_text
from harness.sensors.discover import list_sensors


def diagnose() -> str:
    """Return a page of text: software, devices, sensors, and which claims can get a verdict here."""
    statuses = list_sensors()
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    lines = [
        f"isojoule {__version__}, Python {platform.python_version()}, torch {torch.__version__}, {sys.platform}",
        f"CPU: {os.cpu_count()} cores, {format_si(psutil.virtual_memory().total, 'B')} of memory",
        f"GPU: {', '.join(gpus) if gpus else 'none that torch can use'}",
        "",
        "Sensors (A counter, B sampled power, C modelled, D assumed):",
        sensors_to_text(statuses),
        "",
        "What can be judged here:",
        "yes  training compute (FLOPs are counted by formula and checked against traced operators)",
        "yes  quality, time, memory",
    ]
    if can_measure_energy(statuses):
        lines.append("yes  energy: a hardware sensor can be read")
    else:
        lines.append("no   energy: it would be modelled (grade C), so energy claims end as 'not measured'")
        lines.append("     needed: an NVIDIA GPU with its driver, or a readable RAPL counter (bare metal Linux; run as")
        lines.append("     root, or: sudo chmod a+r /sys/class/powercap/*/energy_uj)")
    return "\n".join(lines)
