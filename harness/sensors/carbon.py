"""Carbon intensity of a country's electricity, from the table that codecarbon ships: no network, no tracker.

The table is a yearly mean per country (of the year that `source` names), not of the hour or the place of a run.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from harness.core.errors import ConfigError, did_you_mean

J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonIntensity:
    """Kilograms of CO2 equivalent per kilowatt-hour, and where the number comes from."""

    kg_per_kwh: float
    source: str


def find_carbon_intensity(country: str) -> CarbonIntensity:
    """Return the mean intensity of a country's electricity; `country` is its ISO 3166 alpha-3 code (FRA, USA).

    It is what codecarbon's offline tracker uses for a country without a region.

    Raises:
        ConfigError: the code is unknown, the table has no intensity for it, or codecarbon is not installed.
    """
    try:
        data = importlib.import_module("codecarbon.input").DataSource()
        version = importlib.import_module("codecarbon._version").__version__
    except ImportError as error:
        raise ConfigError("carbon intensity needs codecarbon; install it with: pip install codecarbon") from error
    table: dict[str, dict[str, Any]] = data.get_global_energy_mix_data()
    code = country.strip().upper()
    if code not in table:
        raise ConfigError(f"unknown country '{country}'; give its three-letter ISO code.{_suggest(country, table)}")
    entry = table[code]
    intensity_g = entry.get("carbon_intensity")
    if not intensity_g or not intensity_g > 0:  # a few small grids stand there as 0: not known
        raise ConfigError(f"codecarbon's table has no carbon intensity for '{code}' ({entry['country_name']}).")
    source = f"codecarbon {version}, yearly mean of {entry['country_name']} in {entry['year']}"
    return CarbonIntensity(kg_per_kwh=float(intensity_g) / 1000, source=source)


def to_co2e_kg(energy_j: float, intensity: CarbonIntensity) -> float:
    """Return kilograms of CO2 equivalent of an energy in joules."""
    return energy_j / J_PER_KWH * intensity.kg_per_kwh


def _suggest(country: str, table: dict[str, dict[str, Any]]) -> str:
    """Return a hint at the nearest code, also for a country that is given by its name."""
    names = {str(entry["country_name"]).casefold(): code for code, entry in table.items()}
    if country.strip().casefold() in names:
        return f" Did you mean '{names[country.strip().casefold()]}'?"
    return did_you_mean(country.strip().upper(), table)
