"""What a user may say about an export; the formats that need none ignore it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import ConfigError
from harness.sensors.carbon import CarbonIntensity, find_carbon_intensity

Unit = Literal["task", "correct", "token"]
UNITS: tuple[Unit, ...] = ("task", "correct", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of all formats.

    `grams_per_kwh` is the carbon intensity of the electricity (g CO2e/kWh), or `country` (ISO 3166 alpha-3) takes that
    of codecarbon's table. `embodied_grams` is the hardware's embodied emissions that fall on one functional unit `per`.
    `location` is where the run ran, in words. `run_id` exports that run alone.
    """

    run_id: str | None = None
    per: Unit = "task"
    grams_per_kwh: float | None = None
    country: str | None = None
    embodied_grams: float | None = None
    location: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            ConfigError: an amount is negative, not finite or (intensity) 0, or both intensity and country are given.
        """
        if self.grams_per_kwh is not None and not (math.isfinite(self.grams_per_kwh) and self.grams_per_kwh > 0):
            raise ConfigError(f"--grams-per-kwh is {self.grams_per_kwh:g}; give grams of CO2e per kWh, above 0.")
        if self.embodied_grams is not None and not (math.isfinite(self.embodied_grams) and self.embodied_grams >= 0):
            raise ConfigError(f"--embodied-grams is {self.embodied_grams:g}; give grams of CO2e, 0 or more.")
        if self.grams_per_kwh is not None and self.country is not None:
            raise ConfigError("give --grams-per-kwh or --country, not both.")


def read_intensity(options: ExportOptions, format_name: str) -> CarbonIntensity:
    """Return the carbon intensity that the options name.

    Raises:
        ConfigError: they name none, or the country is not in codecarbon's table.
    """
    if options.grams_per_kwh is not None:
        return CarbonIntensity(
            kg_per_kwh=options.grams_per_kwh / 1000, source="carbon intensity as given with --grams-per-kwh"
        )
    if options.country is not None:
        return find_carbon_intensity(options.country)
    raise ConfigError(
        f"{format_name} needs the carbon intensity of the electricity; "
        "add --grams-per-kwh NUMBER, or --country ISO3 (e.g. --country DEU)."
    )
