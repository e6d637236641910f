"""How the ratio moves when one assumption moves and the others stay: the rows of a tornado table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.projection.comparison import Comparison, estimate_ratio, with_weights
from harness.analysis.projection.load import build_load

_HALF, _HALF_MORE = 0.5, 1.5
_Z_95 = 1.96
Change = Callable[[Comparison], Comparison]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityRow:
    """One assumption at a low and a high setting; the ratios are in the order of the batches asked for."""

    assumption: str
    low: str
    high: str
    ratios_at_low: tuple[float, ...]
    ratios_at_high: tuple[float, ...]


def estimate_sensitivity(setup: Comparison, batches: Sequence[int]) -> tuple[SensitivityRow, ...]:
    """Return one row for each assumption, the one that moves the ratio most first."""
    rows = [
        SensitivityRow(
            assumption=name,
            low=low,
            high=high,
            ratios_at_low=tuple(estimate_ratio(at_low(setup), batch) for batch in batches),
            ratios_at_high=tuple(estimate_ratio(at_high(setup), batch) for batch in batches),
        )
        for name, low, at_low, high, at_high in _list_changes(setup)
    ]
    return tuple(sorted(rows, key=_spread, reverse=True))


def estimate_interval(ratio: float, rms: float | None) -> tuple[float, float] | None:
    """Return the ratio's 95% model error from the fit's relative `rms`, or ``None`` without one.

    Both sides' errors are taken as independent and normal in the logarithm. Not a measured interval: the fit saw dense
    models only, so what products of experts lose is not in it.
    """
    if rms is None:
        return None
    factor = math.exp(_Z_95 * math.sqrt(2) * rms)
    return ratio / factor, ratio * factor


def _spread(row: SensitivityRow) -> float:
    pairs = zip(row.ratios_at_low, row.ratios_at_high, strict=True)
    return max(abs(math.log(high / low)) for low, high in pairs)


def _list_changes(setup: Comparison) -> Iterator[tuple[str, str, Change, str, Change]]:
    for name, field in (
        ("energy per step", "j_per_step"),
        ("energy per byte", "j_per_byte"),
        ("energy per FLOP", "j_per_flop"),
    ):
        if getattr(setup.constants, field) > 0:
            yield name, "-50%", _scaled(field, _HALF), "+50%", _scaled(field, _HALF_MORE)
    if setup.moe.routed or setup.dense.routed:
        yield "routing", "half repeats", _assume(routing_correlation=0.5), "uniform", _assume(routing_correlation=0.0)
        yield "expert inefficiency", "none", _assume(expert_overhead=1.0), "1.5x", _assume(expert_overhead=1.5)
    yield "weights of both", "fp8", lambda c: with_weights(c, "fp8"), "bf16", lambda c: with_weights(c, "bf16")
    yield "cache of both", "fp8", _cache("fp8"), "bf16", _cache("bf16")
    yield "bandwidth reached", "60%", _assume(bandwidth_efficiency=0.6), "90%", _assume(bandwidth_efficiency=0.9)
    yield "FLOP/s reached", "35%", _assume(flops_efficiency=0.35), "75%", _assume(flops_efficiency=0.75)
    yield "memory and compute", "add up", _assume(time_overlap=0.0), "overlap", _assume(time_overlap=1.0)
    yield "launch time", "0.5 ms", _assume(launch_s=0.5e-3), "3 ms", _assume(launch_s=3e-3)
    yield "usable memory", "80%", _assume(usable_memory=0.8), "95%", _assume(usable_memory=0.95)


def _scaled(field: str, factor: float) -> Change:
    def change(setup: Comparison) -> Comparison:
        value = getattr(setup.constants, field) * factor
        return dataclasses.replace(setup, constants=dataclasses.replace(setup.constants, **{field: value}))

    return change


def _assume(**changes: float) -> Change:
    def change(setup: Comparison) -> Comparison:
        return dataclasses.replace(setup, assumptions=dataclasses.replace(setup.assumptions, **changes))

    return change


def _cache(dtype: str) -> Change:
    def change(setup: Comparison) -> Comparison:
        width = build_load(setup.dense.shape, dtype="bf16", kv_dtype=dtype)
        dense, moe = (
            dataclasses.replace(load, cache_width=width.cache_width, cache_dtype=width.cache_dtype)
            for load in (setup.dense, setup.moe)
        )
        return dataclasses.replace(setup, dense=dense, moe=moe)

    return change
