"""Whose energy a server run can claim, and how much of it each request bears."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.core.boundary import select_boundary, sum_boundary
from harness.core.config import RunConfig
from harness.core.readings import EnergyReading, Finding, Grade, SensorInfo
from harness.core.records import WindowRecord, Work
from harness.measure import Meter
from harness.serving.load import LoadResult
from harness.serving.outcome import Outcome
from harness.serving.probe import is_local
from harness.serving.steady import SteadyStretch, count_steady_work

# A token that is read and one that is written weigh the same: each goes through the model once, which is the same
# FLOPs but for attention. A written token costs more memory traffic and seconds, a server does not tell how much more;
# so a long answer's share is rather too small, a long prompt's too large. The sum is the run's energy in any case.
INPUT_TOKEN_WEIGHT = 1.0
OUTPUT_TOKEN_WEIGHT = 1.0
EXTERNAL = "external"
_UNSHARED = "the run's energy is borne by its answered requests"


@dataclass(frozen=True, slots=True)
class EnergyShares:
    """Each request's energy in joules, in the order of the outcomes; they add up to the energy of the run.

    Failed requests have ``None``: what they cost is borne by the answered ones, which are what the run was for.
    """

    energies_j: tuple[float | None, ...]
    grade: Grade | None
    share: Literal["equal", "tokens"] | None
    reason: str | None
    findings: tuple[Finding, ...] = ()


def open_meter(config: RunConfig, folder: Path) -> tuple[Meter, tuple[Finding, ...]]:
    """Return the meter of a run; a server elsewhere is measured by an external meter or not at all.

    Sensors of this machine know nothing of another one, so they are not opened for a server there.
    """
    measure = config.measure
    if is_local(config.server.base_url):
        return Meter(measure, folder=folder), ()
    external = measure.sensor.external
    if external.url or external.command:
        sensor = dataclasses.replace(measure.sensor, names=[EXTERNAL])
        return Meter(dataclasses.replace(measure, sensor=sensor), folder=folder), ()
    finding = Finding(
        code="server_elsewhere",
        severity="warning",
        text="energy is unknown: the server is not on this machine and no external meter is configured "
        "(measure.sensor.external.url)",
    )
    return Meter(measure, sensors=[]), (finding,)


def share_energy(outcomes: Sequence[Outcome], readings: Sequence[EnergyReading]) -> EnergyShares:
    """Return each request's share of the energy of the window over the whole run, by its tokens.

    Where the server does not tell the tokens of prompts all answers bear the same, and a finding says so.
    """
    total = sum_boundary(readings)
    energy_j = total.energy_j
    nothing: tuple[float | None, ...] = (None,) * len(outcomes)
    if energy_j is None:
        return EnergyShares(nothing, None, None, "the energy of the run is unknown")
    answered = [outcome for outcome in outcomes if outcome.answered]
    if not answered:
        return EnergyShares(nothing, None, None, "no request was answered, so nothing bears the energy of the run")
    weights = {outcome.index: _weigh(outcome) for outcome in answered}
    share: Literal["equal", "tokens"] = "tokens"
    findings: tuple[Finding, ...] = ()
    if any(weight is None for weight in weights.values()) or not any(weights.values()):
        share, weights = "equal", dict.fromkeys(weights, 1.0)
        text = "the server does not tell the tokens of prompts: all answers bear the same energy"
        findings = (Finding(code="equal_energy_shares", severity="warning", text=text),)
    whole = math.fsum(weight for weight in weights.values() if weight is not None)
    energies = tuple(
        energy_j * (weights[outcome.index] or 0.0) / whole if outcome.answered else None for outcome in outcomes
    )
    return EnergyShares(energies, total.grade, share, _UNSHARED, findings)


def find_sensor_period_s(
    sensors: Sequence[SensorInfo], readings: Sequence[EnergyReading], poll_interval_s: float
) -> float | None:
    """Return the longest update period of the sensors in the energy of the run, in seconds; ``None`` without any."""
    chosen = {(reading.sensor, reading.domain, reading.device_index) for reading in select_boundary(readings)}
    counted = [info for info in sensors if (info.name, info.domain, info.device_index) in chosen]
    periods = [max(info.update_period_s or 0.0, info.power_period_s or 0.0, poll_interval_s) for info in counted]
    return max(periods, default=None)


def read_steady_window(
    meter: Meter, result: LoadResult, steady: SteadyStretch
) -> tuple[WindowRecord | None, tuple[Finding, ...]]:
    """Return the window ``serve_steady``, read afterwards between its bounds; ``None`` where there is none."""
    if steady.begin_s is None or steady.end_s is None:
        return None, ()
    reading = meter.read(steady.begin_s, steady.end_s, meter.idle_w)
    done = count_steady_work(result.outcomes, steady.begin_s, steady.end_s)
    window = WindowRecord(
        phase="serve_steady",
        repetition=0,
        begin_s=steady.begin_s - meter.start_s,
        duration_s=steady.end_s - steady.begin_s,
        synced=False,
        work=Work(
            unit="token",
            amount=done.num_output_tokens,
            num_input_tokens=None if done.num_input_tokens is None else round(done.num_input_tokens),
            num_output_tokens=round(done.num_output_tokens),
            num_tasks=done.num_finished,
        ),
        energy=reading.readings,
        temperature_c=reading.temperature_c,
    )
    findings = tuple(
        dataclasses.replace(finding, text=f"window serve_steady 0, {finding.text}") for finding in reading.findings
    )
    return window, findings


def _weigh(outcome: Outcome) -> float | None:
    if outcome.usage is None:
        return None
    return INPUT_TOKEN_WEIGHT * outcome.usage.input_tokens + OUTPUT_TOKEN_WEIGHT * outcome.usage.output_tokens
