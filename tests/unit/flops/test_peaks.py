"""Peaks by the device's name: the more special name wins, and an unknown device has none."""

from __future__ import annotations

import json

import pytest
import torch

from harness.flops.peaks import _DEVICES, Bandwidth, Peak, find_bandwidth, find_peak
from harness.run import peak as peak_module
from harness.run.peak import measure_bandwidth, measure_peak


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


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("NVIDIA H100 80GB HBM3", 3350),
        ("NVIDIA H100 PCIe", 2000),
        ("NVIDIA H100 NVL", 3900),
        ("NVIDIA H200", 4800),
        ("NVIDIA A100-SXM4-80GB", 2039),
        ("NVIDIA A100 80GB PCIe", 1935),
        ("NVIDIA A100-SXM4-40GB", 1555),
        ("NVIDIA A100-PCIE-40GB", 1555),
        ("NVIDIA L40S", 864),
        ("NVIDIA L4", 300),
        ("NVIDIA GeForce RTX 4090", 1008),
    ],
)
def test_a_listed_device_has_the_bandwidth_of_its_data_sheet(name: str, gigabytes: float) -> None:
    bandwidth = find_bandwidth(name)
    assert bandwidth is not None
    assert bandwidth.bytes_per_s == pytest.approx(gigabytes * 1e9)
    assert "memory bandwidth" in bandwidth.source
    assert not bandwidth.measured


def test_cards_with_a_peak_have_a_bandwidth_or_are_ambiguous() -> None:
    """A name that fits several cards of different memory has none; a name that tells them apart has one."""
    assert find_bandwidth("NVIDIA A100") is None
    assert find_bandwidth("NVIDIA A1000") is None
    for pattern, *_ in _DEVICES:
        name = pattern.replace(r"\b", "").replace("A100", "A100-SXM4-40GB").replace("V100", "V100-SXM2-32GB")
        assert find_bandwidth(f"NVIDIA {name}") is not None, name


def test_a_measured_bandwidth_says_how_and_with_how_many_threads() -> None:
    bandwidth = measure_bandwidth(torch.device("cpu"))
    assert bandwidth.measured
    assert bandwidth.source.startswith("measured: ")
    assert f"with {torch.get_num_threads()} threads" in bandwidth.source
    assert 1e8 < bandwidth.bytes_per_s < 1e13


def test_arrays_exceed_the_cache_and_respect_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_module, "_cache_bytes", lambda: 1 << 23)
    monkeypatch.setattr(peak_module, "_MIN_BYTES", 1 << 20)
    monkeypatch.setattr(peak_module, "free_memory_bytes", lambda _: 1 << 33)
    assert "32 MiB" in measure_bandwidth(torch.device("cpu")).source
    monkeypatch.setattr(peak_module, "free_memory_bytes", lambda _: 1 << 27)
    assert "8 MiB" in measure_bandwidth(torch.device("cpu")).source


def test_a_rate_is_measured_once_for_the_runs_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_module, "_measured", {})
    made = [Peak(1e9, "measured: first", measured=True), Peak(2e9, "measured: second", measured=True)]
    monkeypatch.setattr(peak_module, "measure_peak", lambda *_: made.pop(0))
    monkeypatch.setattr(peak_module, "measure_bandwidth", lambda _: Bandwidth(1e8, "measured: copy", measured=True))
    cpu = torch.device("cpu")
    first, bandwidth = peak_module.peak_of(cpu, None), peak_module.bandwidth_of(cpu)
    handed_on = json.loads(json.dumps(peak_module.share_rates()))
    monkeypatch.setattr(peak_module, "_measured", {})
    peak_module.take_rates(handed_on)
    assert (peak_module.peak_of(cpu, None), peak_module.bandwidth_of(cpu)) == (first, bandwidth)
    assert peak_module.peak_of(cpu, torch.bfloat16).source == "measured: second", "another kind of number"
