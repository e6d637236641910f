"""Peak rates of devices, to put a reached rate beside them (MFU and MBU): from data sheets where there is one.

Dense rates, without structured sparsity, at boost clocks, in FLOP/s; bandwidths of the device's memory in byte/s. A
device that is not listed has none: a peak that was measured on it (`harness.run.peak`) is labelled so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHEETS = {
    "V100": "NVIDIA V100 data sheet (2020), SXM2",
    "A100": "NVIDIA A100 data sheet (2022)",
    "H100": "NVIDIA H100 data sheet (2024), half of the rates with sparsity",
    "H200": "NVIDIA H200 data sheet (2024), half of the rates with sparsity",
    "B200": "NVIDIA Blackwell data sheet (2025), half of the rates with sparsity",
    "T4": "NVIDIA T4 data sheet (2019)",
    "T4 brief": "NVIDIA T4 product brief (2020)",
    "L4": "NVIDIA L4 data sheet (2023), half of the rates with sparsity",
    "L40S": "NVIDIA L40S data sheet (2023)",
    "A10": "NVIDIA A10 data sheet (2021)",
    "RTX 4090": "NVIDIA Ada architecture white paper (2022), fp32 accumulation",
    "RTX 3090": "NVIDIA Ampere GA102 white paper (2021), fp32 accumulation",
}


@dataclass(frozen=True, slots=True)
class Peak:
    """A device's peak in FLOP/s for one kind of number, and where it comes from; `measured` on the device itself."""

    flops_per_s: float
    source: str
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A device's peak memory bandwidth in byte/s, and where it comes from; `measured` on the device itself."""

    bytes_per_s: float
    source: str
    measured: bool = False


# Pattern of the device's name -> data sheet, and TFLOP/s for bf16 (fp16 on cards without it), tf32 and fp32. More
# special names come first.
_DEVICES: tuple[tuple[str, str, dict[str, float]], ...] = (
    (r"H200 NVL", "H200", {"bf16": 835.5, "tf32": 417.5, "fp32": 60}),
    (r"\bH200\b", "H200", {"bf16": 989.5, "tf32": 494.5, "fp32": 67}),
    (r"H100 NVL", "H100", {"bf16": 835.5, "tf32": 417.5, "fp32": 60}),
    (r"H100 PCIe", "H100", {"bf16": 756, "tf32": 378, "fp32": 51}),
    (r"\bH100\b", "H100", {"bf16": 989.5, "tf32": 494.5, "fp32": 67}),
    (r"\bB200\b", "B200", {"bf16": 2250, "tf32": 1125, "fp32": 75}),
    (r"\bA100\b", "A100", {"bf16": 312, "tf32": 156, "fp32": 19.5}),
    (r"\bV100\b", "V100", {"fp16": 125, "fp32": 15.7}),
    (r"\bL40S\b", "L40S", {"bf16": 362, "tf32": 183, "fp32": 91.6}),
    (r"\bL4\b", "L4", {"bf16": 121, "tf32": 60, "fp32": 30.3}),
    (r"\bT4\b", "T4", {"fp16": 65, "fp32": 8.1}),
    (r"\bA10\b", "A10", {"bf16": 125, "tf32": 62.5, "fp32": 31.2}),
    (r"RTX 4090", "RTX 4090", {"bf16": 165.2, "tf32": 82.6, "fp32": 82.6}),
    (r"RTX 3090", "RTX 3090", {"bf16": 71, "tf32": 35.6, "fp32": 35.6}),
)

# Pattern of the device's name -> data sheet, and GB/s. More special names come first.
_BANDWIDTHS: tuple[tuple[str, str, float], ...] = (
    (r"\bH200\b", "H200", 4800),
    (r"H100 NVL", "H100", 3900),
    (r"H100 PCIe", "H100", 2000),
    (r"\bH100\b", "H100", 3350),
    (r"\bB200\b", "B200", 8000),
    (r"A100-SXM4-80GB", "A100", 2039),
    (r"A100.*80GB", "A100", 1935),
    (r"A100.*40GB", "A100", 1555),
    (r"V100-SXM2|V100-PCIE", "V100", 900),
    (r"\bL40S\b", "L40S", 864),
    (r"\bL4\b", "L4", 300),
    (r"\bT4\b", "T4 brief", 320),
    (r"\bA10\b", "A10", 600),
    (r"RTX 4090", "RTX 4090", 1008),
    (r"RTX 3090(?! Ti)", "RTX 3090", 936),
)


def find_peak(device_name: str, kind: str) -> Peak | None:
    """Return the published peak of a device for ``bf16``, ``fp16``, ``tf32`` or ``fp32``; ``None`` where unlisted."""
    for pattern, sheet, rates in _DEVICES:
        if re.search(pattern, device_name, flags=re.IGNORECASE):
            rate = rates.get(kind)
            return None if rate is None else Peak(rate * 1e12, f"{_SHEETS[sheet]}, {kind}")
    return None


def find_bandwidth(device_name: str) -> Bandwidth | None:
    """Return the published memory bandwidth of a device; ``None`` where it is not listed."""
    for pattern, sheet, gigabytes in _BANDWIDTHS:
        if re.search(pattern, device_name, flags=re.IGNORECASE):
            return Bandwidth(gigabytes * 1e9, f"{_SHEETS[sheet]}, memory bandwidth")
    return None
