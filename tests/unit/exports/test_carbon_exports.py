"""Model card and SCI: grams from joules and a stated intensity, and the word for how the energy is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.errors import ConfigError, RecordError
from harness.core.readings import EnergyReading
from harness.exports.formats import export_store
from harness.exports.options import ExportOptions
from harness.sensors.carbon import find_carbon_intensity
from tests.unit.exports.factory import make_record, modelled, quality, reading, regime, window, write_store

KWH = 3.6e6
RUN = "toy-dense-s-s0-abc"


def card(tmp_path: Path, *energy: EnergyReading, options: ExportOptions, device: str = "cuda") -> str:
    store = write_store(tmp_path / "store", make_record(RUN, path_energy=energy, device=device))
    export_store(store, "model_card", tmp_path / "cards", options)
    return (tmp_path / "cards" / f"{RUN}.md").read_text()


def parse(text: str) -> dict[str, Any]:
    _, front, rest = text.split("---\n")
    assert rest == ""
    block = yaml.safe_load(front)
    assert list(block) == ["co2_eq_emissions"]
    return dict(block["co2_eq_emissions"])


def test_the_card_has_the_grams_of_all_devices_and_the_fields_of_the_hub(tmp_path: Path) -> None:
    options = ExportOptions(grams_per_kwh=400.0, location="Quebec, Canada")
    fields = parse(card(tmp_path, reading(2 * KWH), reading(1 * KWH, "cpu", sensor="rapl"), options=options))
    assert fields["emissions"] == pytest.approx(1200.0)
    assert fields["training_type"] == "pre-training"
    assert fields["geographical_location"] == "Quebec, Canada"
    assert fields["hardware_used"] == "1 x NVIDIA H100 80GB HBM3"
    assert "energy measured (grade A)" in fields["source"]
    assert "400 g CO2e per kWh" in fields["source"]


def test_a_card_of_modelled_energy_says_that_it_was_not_measured(tmp_path: Path) -> None:
    fields = parse(card(tmp_path, modelled(KWH), options=ExportOptions(country="deu"), device="cpu"))
    assert "energy modelled, not measured (grade C)" in fields["source"]
    assert fields["emissions"] == pytest.approx(find_carbon_intensity("DEU").kg_per_kwh * 1000)
    assert fields["geographical_location"] == "DEU"
    assert "codecarbon" in fields["source"]


def test_unknown_energy_leaves_the_emissions_out_and_says_why(tmp_path: Path) -> None:
    lost = reading(None, reason="the counter\n---\nevil: 1")
    text = card(tmp_path, lost, options=ExportOptions(grams_per_kwh=400.0))
    fields = parse(text.replace("counter --- evil", "counter evil"))
    assert "emissions" not in fields
    assert "# emissions: unknown: nvml gpu 0: the counter --- evil: 1" in text
    assert "# geographical_location: not recorded" in text


def test_trunks_failed_runs_and_runs_that_trained_nothing_get_no_card(tmp_path: Path) -> None:
    store = write_store(
        tmp_path / "store",
        make_record("a-trunk", path_energy=(reading(1.0),), role="trunk"),
        make_record("b-failed", path_energy=(reading(1.0),), error="died"),
        make_record("c-asked"),
    )
    options = ExportOptions(grams_per_kwh=400.0)
    with pytest.raises(RecordError, match="no finished run trained a model"):
        export_store(store, "model_card", tmp_path / "cards", options)
    export_store(store, "model_card", tmp_path / "cards", ExportOptions(grams_per_kwh=400.0, run_id="a-trunk"))
    assert [path.name for path in (tmp_path / "cards").iterdir()] == ["a-trunk.md"]


def sci(
    tmp_path: Path, options: ExportOptions, *, energy: tuple[EnergyReading, ...] = (reading(KWH),)
) -> dict[str, Any]:
    record = make_record(
        windows=(
            window("prefill", energy, regime=regime(), tasks=10, tokens_out=10),
            window("decode", energy, regime=regime(), tasks=5, tokens_out=55),
        ),
        qualities=(quality("arithmetic", 0.5),),
    )
    export_store(write_store(tmp_path / "store", record), "sci", tmp_path / "sci.json", options)
    return dict(json.loads((tmp_path / "sci.json").read_text()))


def test_sci_is_energy_times_intensity_plus_embodied_per_unit(tmp_path: Path) -> None:
    content = sci(tmp_path, ExportOptions(grams_per_kwh=100.0, embodied_grams=7.0))
    (result,) = content["results"]
    assert result["E_kwh"] == pytest.approx(0.3)
    assert result["operational_g_co2e"] == pytest.approx(30.0)
    assert result["sci_g_co2e"] == pytest.approx(37.0)
    assert result["reason"] is None


def test_without_embodied_emissions_the_sci_is_null_and_the_operational_part_stands_alone(tmp_path: Path) -> None:
    content = sci(tmp_path, ExportOptions(grams_per_kwh=100.0))
    (result,) = content["results"]
    assert content["M_g_co2e_per_unit"] is None
    assert "--embodied-grams" in content["M_reason"]
    assert result["sci_g_co2e"] is None
    assert result["operational_g_co2e"] == pytest.approx(30.0)
    assert "M is unknown" in result["reason"]


def test_embodied_emissions_that_are_given_as_zero_are_a_statement(tmp_path: Path) -> None:
    (result,) = sci(tmp_path, ExportOptions(grams_per_kwh=100.0, embodied_grams=0.0))["results"]
    assert result["sci_g_co2e"] == pytest.approx(30.0)


@pytest.mark.parametrize(("per", "grams"), [("task", 30.0), ("correct", 60.0), ("token", 2.5)])
def test_the_functional_unit_is_a_task_a_correct_answer_or_a_token(tmp_path: Path, per: Any, grams: float) -> None:
    (result,) = sci(tmp_path, ExportOptions(grams_per_kwh=100.0, per=per))["results"]
    assert result["operational_g_co2e"] == pytest.approx(grams)


def test_sci_counts_every_domain_and_carries_the_worst_grade(tmp_path: Path) -> None:
    (result,) = sci(tmp_path, ExportOptions(grams_per_kwh=100.0), energy=(reading(KWH), modelled(KWH)))["results"]
    assert result["E_kwh"] == pytest.approx(0.6)
    assert (result["E_grade"], result["E_kind"]) == ("C", "modelled")


def test_unknown_energy_gives_null_and_its_reason(tmp_path: Path) -> None:
    lost = (reading(None, reason="the counter stood still"),)
    options = ExportOptions(grams_per_kwh=100.0, embodied_grams=1.0)
    (result,) = sci(tmp_path, options, energy=lost)["results"]
    assert result["sci_g_co2e"] is None
    assert result["operational_g_co2e"] is None
    assert "stood still" in result["reason"]


@pytest.mark.parametrize("name", ["sci", "model_card"])
def test_no_intensity_is_one_clear_line(tmp_path: Path, name: str) -> None:
    store = write_store(tmp_path / "store", make_record(path_energy=(reading(1.0),)))
    with pytest.raises(ConfigError, match="--grams-per-kwh NUMBER, or --country ISO3"):
        export_store(store, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grams_per_kwh": 0.0}, "above 0"),
        ({"grams_per_kwh": float("nan")}, "above 0"),
        ({"embodied_grams": -1.0}, "0 or more"),
        ({"grams_per_kwh": 1.0, "country": "DEU"}, "not both"),
    ],
)
def test_amounts_that_mean_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**given)
