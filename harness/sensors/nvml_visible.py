"""Which GPUs this process may use: CUDA_VISIBLE_DEVICES read as CUDA reads it, MIG and unclear numbering refused.

The rules are those of the CUDA C++ Programming Guide (environment variables) and of torch's ``_parse_visible_devices``,
which mirrors the driver: the first entry says whether the list holds numbers, GPU- or MIG- ids; an entry of another
kind, an unknown or negative one ends the list; an entry that stands twice leaves no GPU at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.core.errors import SensorError
from harness.sensors.nvml_state import ask

_MIG_REASON = "the GPU is split by MIG, and NVML counts energy for the whole card, not for a slice"
_MIG_FIX = "measure on a GPU without MIG"
_ORDER_REASON = "unlike GPUs are numbered by speed in CUDA and by PCI bus in NVML"
_ORDER_FIX = "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name GPUs by UUID in CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU that CUDA shows: its NVML index, CUDA index, name and UUID, or why it is refused."""

    index: int
    cuda_index: int
    name: str
    uuid: str
    refused: str | None = None
    fix: str | None = None

    @property
    def label(self) -> str:
        """Name and UUID, for people."""
        return f"{self.name} ({self.uuid})" if self.uuid else self.name


def list_visible(pynvml: Any, environ: Mapping[str, str]) -> list[Device]:
    """Return the GPUs in CUDA's order, refused ones with the reason.

    CUDA numbers GPUs by speed unless CUDA_DEVICE_ORDER is PCI_BUS_ID, NVML by PCI bus, so a choice by number among
    unlike GPUs is refused.
    """
    found = [_describe(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    by_number = chosen is None or not chosen.strip().startswith("GPU-")
    unlike = len({device.name for device in found}) > 1 and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    devices: list[Device] = []
    for cuda_index, place in enumerate(choose(chosen, [device.uuid for device in found])):
        if isinstance(place, str):
            devices.append(Device(-1, cuda_index, place, "", _MIG_REASON, _MIG_FIX))
            continue
        device = replace(found[place], cuda_index=cuda_index)
        if device.refused is None and unlike and by_number:
            device = replace(device, refused=_ORDER_REASON, fix=_ORDER_FIX)
        devices.append(device)
    return devices


def choose(chosen: str | None, uuids: list[str]) -> list[int | str]:
    """Return what CUDA_VISIBLE_DEVICES=`chosen` (``None``: unset) shows: places in `uuids`, or MIG ids as they are."""
    if chosen is None:
        return list(range(len(uuids)))
    entries = [entry.strip() for entry in chosen.split(",")]
    prefix = next((p for p in ("GPU-", "MIG-") if entries[0].startswith(p)), None)
    wanted: list[int | str] = []
    for entry in entries:
        item = _read_number(entry) if prefix is None else entry if entry.startswith(prefix) else None
        if item is None:
            break
        if item in wanted:
            return []
        wanted.append(item)
    if prefix == "MIG-":
        return wanted
    places: list[int | str] = []
    for item in wanted:
        place = _find_place(item, uuids)
        if place is None:
            break
        if place in places:
            return []
        places.append(place)
    return places


def _read_number(entry: str) -> int | None:
    """Return the number that `entry` starts with, as strtoul does ("1gpu" is 1), or ``None``, also for a negative."""
    match = re.match(r"\+?(\d+)", entry, re.ASCII)
    return int(match[1]) if match else None


def _find_place(item: int | str, uuids: list[str]) -> int | None:
    if isinstance(item, int):
        return item if item < len(uuids) else None
    matches = [place for place, uuid in enumerate(uuids) if uuid.startswith(item)]
    return matches[0] if len(matches) == 1 else None


def _describe(pynvml: Any, index: int) -> Device:
    device = Device(index, index, "NVIDIA GPU", "")
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        name = ask(pynvml, pynvml.nvmlDeviceGetName, handle) or device.name
        device = replace(device, name=str(name), uuid=str(ask(pynvml, pynvml.nvmlDeviceGetUUID, handle) or ""))
        mode = ask(pynvml, pynvml.nvmlDeviceGetMigMode, handle)
    except SensorError as error:
        return replace(device, refused=str(error))
    except pynvml.NVMLError as error:
        return replace(device, refused=f"NVML: {error}")
    if mode and mode[0] == 1:
        return replace(device, refused=_MIG_REASON, fix=_MIG_FIX)
    return device
