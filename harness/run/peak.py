"""The peak rates that a run is held against: the data sheet's, or those of a large product and large reads here."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from harness.flops.peaks import Bandwidth, Peak, find_bandwidth, find_peak
from harness.run.device import free_memory_bytes
from harness.train.ranks import Ranks

_SIZE, _REPEATS = 1536, 9
# Arrays for bandwidth: four times the last level of cache, as STREAM asks, within these limits and the free memory.
_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_MIN_BYTES, _MAX_BYTES, _FREE_SHARE = 64 << 20, 1 << 30, 1 / 16
_ROWS = 1024
_Rate = TypeVar("_Rate", Peak, Bandwidth)
_measured: dict[str, Peak | Bandwidth] = {}


def peak_of(device: torch.device, autocast: torch.dtype | None) -> Peak:
    """Return the peak for the numbers that training multiplies; measured where no data sheet names the device."""
    if device.type == "cuda":
        kind = "bf16" if autocast == torch.bfloat16 else "tf32"
        published = find_peak(torch.cuda.get_device_name(device), kind)
        if published is not None:
            return published
    dtype = autocast or torch.float32
    return _once(str(dtype), device, lambda: measure_peak(device, dtype))


def peak_of_ranks(ranks: Ranks, device: torch.device, autocast: torch.dtype | None) -> Peak:
    """Return the sum of the peaks of all ranks' devices; where they are measured, all at the same time."""
    ranks.barrier()
    own = peak_of(device, autocast)
    if ranks.is_alone:
        return own
    peaks = ranks.gather(own)
    sources = list(dict.fromkeys(peak.source for peak in peaks))
    source = f"sum over {ranks.size} processes, each: {'; or '.join(sources)}"
    return Peak(sum(peak.flops_per_s for peak in peaks), source, measured=any(peak.measured for peak in peaks))


def measure_peak(device: torch.device, dtype: torch.dtype) -> Peak:
    """Return the rate of a square matrix product, in FLOP/s: the median of several (about 0.5 s on two CPU cores)."""
    a, b = (torch.randn(_SIZE, _SIZE, device=device, dtype=dtype) for _ in range(2))
    rate = 2 * _SIZE**3 / _time_s(lambda: torch.mm(a, b), device)
    kind = str(dtype).removeprefix("torch.")
    return Peak(rate, f"measured: {kind} product of two {_SIZE} x {_SIZE} matrices on this device", measured=True)


def bandwidth_of(device: torch.device) -> Bandwidth:
    """Return the memory bandwidth that a run's reads are held against; measured where no data sheet names the device.

    Measuring takes memory of its own: call it after the last window whose peak memory counts.
    """
    if device.type == "cuda":
        published = find_bandwidth(torch.cuda.get_device_name(device))
        if published is not None:
            return published
    return _once("bandwidth", device, lambda: measure_bandwidth(device))


def measure_bandwidth(device: torch.device) -> Bandwidth:
    """Return the memory bandwidth in byte/s with this process's threads: the fastest of three large moves.

    STREAM's triad and copy (bytes read and written, as STREAM counts them: what a cache reads to write is not counted)
    and a matrix times a vector, which only reads, as decoding does; the median of several each.
    """
    num_bytes = int(min(_MAX_BYTES, max(_MIN_BYTES, 4 * _cache_bytes()), free_memory_bytes(device) * _FREE_SHARE))
    columns = max(1, num_bytes // (4 * _ROWS))
    a, b, c = (torch.ones(_ROWS, columns, device=device) for _ in range(3))
    vector = torch.ones(columns, device=device)
    size = a.numel() * a.element_size()
    rates = {
        "triad": 3 * size / _time_s(lambda: torch.add(b, c, alpha=0.5, out=a), device),
        "copy": 2 * size / _time_s(lambda: a.copy_(b), device),
        "matrix times vector": size / _time_s(lambda: torch.mv(b, vector), device),
    }
    fastest = max(rates, key=lambda name: rates[name])
    threads = f" with {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    source = f"measured: {fastest} over arrays of {size / 2**20:.0f} MiB on this device{threads}"
    return Bandwidth(rates[fastest], source, measured=True)


def share_rates() -> list[dict[str, Any]]:
    """Return what was measured in this process or taken over by it, as JSON for `take_rates`."""
    return [{"key": key, **dataclasses.asdict(rate)} for key, rate in _measured.items()]


def take_rates(rates: Iterable[Mapping[str, Any]]) -> None:
    """Take over what another process of the same command measured, so that all its runs are held against the same."""
    for rate in rates:
        fields = {name: value for name, value in rate.items() if name != "key"}
        _measured[str(rate["key"])] = Peak(**fields) if "flops_per_s" in fields else Bandwidth(**fields)


def _once(what: str, device: torch.device, measure: Callable[[], _Rate]) -> _Rate:
    """Measure once for a device and a number of threads, in this process or another of the same command."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    key = f"{what} {device} {name} {torch.get_num_threads()}"
    if key not in _measured:
        _measured[key] = measure()
    return cast("_Rate", _measured[key])


def _time_s(do: Callable[[], object], device: torch.device) -> float:
    """Return the median time of one call in seconds, without the first two."""
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        do()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def _cache_bytes() -> int:
    """Return the size of the last level of cache, 0 where it is not told."""
    try:
        text = _CACHE.read_text().strip()
        return int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1:], 0)
    except (OSError, ValueError):
        return 0
