"""What the meter says: sensors, energy readings, findings beside a number, and the grade each is trusted with.

Unknown is ``None`` with a reason beside it, never 0. Grades: A hardware energy counter, B sampled hardware power, C
modelled (TDP, load), D assumed.
"""

from __future__ import annotations

from typing import Literal

from harness.core.strict import Amount, Count, Integer, Real, StrictValue

Grade = Literal["A", "B", "C", "D"]
Method = Literal["counter", "sampled", "modelled"]
Domain = Literal["gpu", "cpu", "dram", "system"]
Severity = Literal["info", "warning", "error"]


class Finding(StrictValue, frozen=True, kw_only=True):
    """Something a reader must know about a number; `code` is stable, `text` is for people."""

    code: str
    severity: Severity
    text: str
    value: Real | None = None
    limit: Real | None = None


class SensorInfo(StrictValue, frozen=True, kw_only=True):
    """A sensor that was open during the run. Periods are measured or documented, else ``None``.

    `update_period_s` is how often the quantity that gives the energy changes. The power beside it changes every
    `power_period_s` and is the mean over the `power_window_s` before that; a window shorter than the period leaves the
    sensor blind for the rest. `power_delay_s` is how long after that mean ended it is shown, where a calibration found
    out; `calibrated_on` is the time (UTC) of the calibration that periods are taken from. `power_limit_w` is the most
    that the device may draw for long. `gain_error` is the systematic error of every reading, relative (0.05: 5%); it is
    never part of a window's `uncertainty_j`.
    """

    name: str
    domain: Domain
    device: str
    device_index: Integer
    method: Method
    grade: Grade
    update_period_s: Real | None
    source: str
    simulated: bool = False
    power_period_s: Real | None = None
    power_window_s: Real | None = None
    power_limit_w: Real | None = None
    gain_error: Real | None = None
    power_delay_s: Real | None = None
    calibrated_on: str | None = None


class EnergyReading(StrictValue, frozen=True, kw_only=True):
    """Gross energy of one device and domain over one window (or a sum over windows), in joules.

    `crosscheck_j` is the integral of sampled power beside a counter; `idle_w` the idle power that net energy subtracts;
    `uncertainty_j` is the half-width of a 95% interval for what the window's edges (and a sensor's blind time) leave
    open; the sensor's relative `gain_error` stands apart from it. `coverage` is the share of the window that samples
    cover; `peak_power_w` the highest power that the sensor resolved. An unknown energy is ``None`` and `reason` says
    why.
    """

    sensor: str
    domain: Domain
    device: str
    device_index: Integer
    energy_j: Real | None
    grade: Grade
    method: Method
    simulated: bool = False
    crosscheck_j: Real | None = None
    net_energy_j: Real | None = None
    idle_w: Real | None = None
    uncertainty_j: Real | None = None
    num_samples: Count = 0
    coverage: Amount | None = None
    reason: str | None = None
    peak_power_w: Real | None = None
    gain_error: Real | None = None


def worst_grade(*grades: Grade) -> Grade:
    """Return the least trustworthy of the grades: a sum or a ratio carries the worse grade of its parts."""
    return max(grades)
