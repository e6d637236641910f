"""Carbon intensities out of codecarbon's packaged table."""

from __future__ import annotations

import importlib
import socket

import pytest

from harness.core.errors import ConfigError
from harness.sensors import carbon
from harness.sensors.carbon import CarbonIntensity, find_carbon_intensity, to_co2e_kg


def test_intensity_is_codecarbons_own_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is what codecarbon's country estimate uses, with every connection forbidden; case does not matter."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = find_carbon_intensity("fra")
    emissions = importlib.import_module("codecarbon.core.emissions")
    units = importlib.import_module("codecarbon.core.units")
    geography = importlib.import_module("codecarbon.external.geography")
    data = importlib.import_module("codecarbon.input").DataSource()
    theirs_kg = emissions.Emissions(data).get_country_emissions(
        units.Energy.from_energy(kWh=2.0), geography.GeoMetadata(country_iso_code="FRA", country_name="France")
    )
    assert to_co2e_kg(2 * 3.6e6, found) == pytest.approx(theirs_kg, rel=1e-12)
    assert 0.01 < found.kg_per_kwh < 0.2
    assert "France" in found.source
    assert "codecarbon" in found.source


def test_joules_become_kilograms() -> None:
    """One kWh at 0.5 kg/kWh is half a kilogram."""
    assert to_co2e_kg(3.6e6, CarbonIntensity(kg_per_kwh=0.5, source="a test")) == 0.5


@pytest.mark.parametrize(("country", "hint"), [("FRAA", "FRA"), ("France", "FRA"), (" germany", "DEU"), ("US", "USA")])
def test_an_unknown_code_has_a_hint(country: str, hint: str) -> None:
    """No country is replaced by a world average: the user is told the nearest code."""
    with pytest.raises(ConfigError, match=f"three-letter ISO code. Did you mean '{hint}'"):
        find_carbon_intensity(country)


def test_a_zero_in_the_table_is_unknown() -> None:
    """A country that stands there with 0 g/kWh has no known intensity."""
    with pytest.raises(ConfigError, match="no carbon intensity for 'CAF'"):
        find_carbon_intensity("CAF")


def test_missing_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without codecarbon the error says what to install."""

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(carbon.importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match="pip install codecarbon"):
        find_carbon_intensity("FRA")
