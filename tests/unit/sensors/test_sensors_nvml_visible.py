"""CUDA_VISIBLE_DEVICES in all its forms, and what is published of each GPU's power signals."""

from __future__ import annotations

from typing import Any

import pytest

from harness.sensors.nvml_generations import Signal, find_generation
from harness.sensors.nvml_visible import choose

UUIDS = ["GPU-0a", "GPU-1a", "GPU-1b"]


@pytest.mark.parametrize(
    ("chosen", "places"),
    [
        (None, [0, 1, 2]), ("", []), ("-1", []), ("2,0", [2, 0]), (" 1 , 2 ", [1, 2]), ("1,9,0", [1]), ("1,-1,0", [1]),
        ("0,0", []), ("0,9,9", []), ("1gpu,2nd", [1, 2]), ("+2", [2]), ("cuda", []), ("0,,1", [0]), ("none", []),
        ("GPU-0a", [0]), ("GPU-0", [0]), ("GPU-1b,GPU-0", [2, 0]), ("GPU-1", []), ("GPU-0a,GPU-0", []),
        ("GPU-0,GPU-0", []), ("GPU-9,GPU-0", []), ("GPU-0,1", [0]), ("1,GPU-0", [1]),
        ("MIG-a,MIG-b", ["MIG-a", "MIG-b"]), ("MIG-GPU-0a/1/0", ["MIG-GPU-0a/1/0"]), ("MIG-a,MIG-a", []),
    ],
)  # fmt: skip
def test_visible_devices_are_read_as_cuda_reads_them(chosen: str | None, places: list[Any]) -> None:
    """Numbers, whole and cut UUIDs and MIG ids; what is unknown ends the list, what stands twice empties it."""
    assert choose(chosen, UUIDS) == places


@pytest.mark.parametrize(
    ("architecture", "name", "usage", "instant"),
    [
        (5, "Tesla V100-SXM2-32GB", Signal(0.02, 0.01), Signal(0.02, 0.01)),
        (7, "NVIDIA A100-SXM4-80GB", Signal(0.1, 0.025), Signal(0.1, 0.025)),
        (7, "NVIDIA A30", Signal(0.1, 0.025), Signal(0.1, 0.025)),
        (7, "NVIDIA RTX A1000", Signal(0.1, 1.0), Signal(0.1, 0.1)),
        (7, "NVIDIA GeForce RTX 3090", Signal(0.1, 1.0), Signal(0.1, 0.1)),
        (9, "NVIDIA H100 PCIe", Signal(0.1, 1.0), Signal(0.1, 0.025)),
        (9, "NVIDIA H200", Signal(None, 1.0), Signal()),
        (10, "NVIDIA B200", Signal(None, 1.0), Signal()),
        (3, "Tesla M40", Signal(), Signal()),
        (0xFFFFFFFF, "NVIDIA GPU", Signal(), Signal()),
        (None, "NVIDIA GPU", Signal(), Signal()),
    ],
)
def test_only_what_is_published_is_claimed(architecture: int | None, name: str, usage: Signal, instant: Signal) -> None:
    """GPUs that share an architecture differ by name, and a GPU that nobody measured stays unknown."""
    generation = find_generation(architecture, name)
    assert (generation.usage, generation.instant) == (usage, instant)


def test_a_window_shorter_than_the_update_is_blind() -> None:
    """A mean over less than the update period misses the rest; an unknown window is not trusted."""
    assert [Signal(0.1, 0.1).sees_all, Signal(0.1, 0.025).sees_all, Signal(None, 1.0).sees_all, Signal().sees_all] == [
        True, False, True, False,
    ]  # fmt: skip
