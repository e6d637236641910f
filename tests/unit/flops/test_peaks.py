"""Peaks by the device's name: the more special name wins, and an unknown device has none."""

from __future__ import annotations

import pytest
import torch

from harness.flops.peaks import find_peak
from harness.run.peak import measure_peak


@pytest.mark.parametrize(
    ("name", "kind", "tflops"),
    [
        ("NVIDIA H200", "bf16", 989.5),
        ("NVIDIA H200 NVL", "bf16", 835.5),
        ("NVIDIA H100 80GB HBM3", "tf32", 494.5),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312),
        ("Tesla V100-SXM2-32GB", "fp32", 15.7),
        ("NVIDIA L4", "bf16", 121),
        ("NVIDIA L40S", "bf16", 362),
        ("NVIDIA A10", "fp32", 31.2),
    ],
)
def test_a_listed_device_has_the_rate_of_its_data_sheet(name: str, kind: str, tflops: float) -> None:
    peak = find_peak(name, kind)
    assert peak is not None
    assert peak.flops_per_s == pytest.approx(tflops * 1e12)
    assert kind in peak.source
    assert not peak.measured


@pytest.mark.parametrize(
    ("name", "kind"), [("Tesla V100-SXM2-32GB", "bf16"), ("NVIDIA A1000", "bf16"), ("AMD", "fp32")]
)
def test_what_no_data_sheet_says_is_unknown(name: str, kind: str) -> None:
    peak = find_peak(name, kind)
    assert peak is None


def test_a_measured_peak_says_so() -> None:
    peak = measure_peak(torch.device("cpu"), torch.float32)
    assert peak.measured
    assert "measured" in peak.source
    assert 1e9 < peak.flops_per_s < 1e14
