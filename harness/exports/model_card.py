"""The block ``co2_eq_emissions`` of a Hugging Face model card, for models that were trained here.

Emissions are those of the training of that run alone, its trunk included, and not of the search of its learning rate.
Source of the fields: https://huggingface.co/docs/hub/model-cards-co2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from harness import __version__
from harness.analysis.energy_sum import EnergySum, sum_all
from harness.core.errors import RecordError
from harness.core.records import RunRecord
from harness.exports.files import make_folder, write_text
from harness.exports.options import ExportOptions, read_intensity
from harness.exports.source import ExportSource
from harness.sensors.carbon import J_PER_KWH, CarbonIntensity, to_co2e_kg


def export_model_card(source: ExportSource, out: Path, options: ExportOptions) -> tuple[list[Path], list[str]]:
    """Write ``<run_id>.md`` for every trained run (trunks left out) into the folder `out`.

    Raises:
        ConfigError: the options name no carbon intensity, or `out` cannot be written.
        RecordError: no finished run trained a model.
    """
    intensity = read_intensity(options, "model_card")
    folder = make_folder(out)
    paths, notes = [], []
    for record in source.iterate_records():
        if not _has_card(record, options):
            continue
        energy = sum_all(record.path.energy if record.path is not None else ())
        if energy.energy_j is None:
            notes.append(f"{record.run_id}: emissions are unknown: {energy.reason}")
        path = folder / f"{record.run_id}.md"
        write_text(path, render_model_card(record, energy, intensity, options))
        paths.append(path)
    if not paths:
        raise RecordError("no finished run trained a model, so there is no model card to write.")
    return paths, notes


def _has_card(record: RunRecord, options: ExportOptions) -> bool:
    """Return whether a run ended with a model of its own; a trunk is one only where it was asked for by its id."""
    trained = record.status == "finished" and record.path is not None and record.model_source is None
    return trained and (record.role != "trunk" or options.run_id is not None)


def render_model_card(record: RunRecord, energy: EnergySum, intensity: CarbonIntensity, options: ExportOptions) -> str:
    """Return the front matter of a model card; what is unknown is left out, and a comment says why."""
    fields: dict[str, Any] = {}
    comments = []
    if energy.energy_j is None:
        comments.append(f"# emissions: unknown: {energy.reason}")
    else:
        fields["emissions"] = to_co2e_kg(energy.energy_j, intensity) * 1000
    fields["source"] = _describe_source(energy, intensity)
    fields["training_type"] = "pre-training"
    location = options.location or (None if options.country is None else options.country.strip().upper())
    if location is None:
        comments.append("# geographical_location: not recorded; give it with --location")
    else:
        fields["geographical_location"] = location
    hardware = _describe_hardware(record)
    if hardware is None:
        comments.append("# hardware_used: not recorded")
    else:
        fields["hardware_used"] = hardware
    block = yaml.safe_dump({"co2_eq_emissions": fields}, sort_keys=False, allow_unicode=True, width=10**6)
    return "---\n" + "".join(f"{' '.join(line.split())}\n" for line in comments) + block + "---\n"


def _describe_source(energy: EnergySum, intensity: CarbonIntensity) -> str:
    tool = f"isojoule {__version__}"
    if energy.energy_j is None:
        return f"{tool}: energy unknown; {intensity.source}"
    how = {
        "measured": f"energy measured (grade {energy.grade})",
        "modelled": f"energy modelled, not measured (grade {energy.grade})",
        "simulated": "energy of a simulated sensor, not real",
    }[energy.word]
    return (
        f"{tool}: {how} by {', '.join(energy.sensors)}, {energy.energy_j / J_PER_KWH:.4g} kWh of this run's training "
        f"without its search of settings, x {intensity.kg_per_kwh * 1000:.4g} g CO2e per kWh ({intensity.source})"
    )


def _describe_hardware(record: RunRecord) -> str | None:
    environment = record.environment
    if environment is None:
        return None
    if environment.device.startswith("cuda"):
        return f"1 x {environment.device_name}"
    return f"1 x {environment.device_name}, {environment.num_threads} of {environment.num_cpus} logical CPUs"
