"""The peer of the table of every run: the same columns through pandas, alone in a bare page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic_core import from_json


def write_table(store: Path, out: Path) -> None:
    """Write the runs of `store` as ``DataFrame.to_html`` makes them, without source, order or filter."""
    rows = []
    for path in sorted((store / "records").glob("*.json")):
        try:
            rows.append(_row(from_json(path.read_bytes())))
        except ValueError:
            continue  # a record that ends in the middle
    table = pd.DataFrame(rows).to_html(index=False)
    out.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Runs</title>{table}</html>\n')


def _row(record: dict[str, Any]) -> dict[str, Any]:
    path = record["path"] or {}
    quality = {reading["metric"]: reading["value"] for reading in reversed(record["quality"])}
    energies = [reading["energy_j"] for reading in path.get("energy", ())]
    return {
        "Run": record["run_id"],
        "Family": record["arm"],
        "Size": record["size"],
        "Tokens": path.get("tokens"),
        "Seed": record["seed"],
        "Loss": quality.get("validation_bits_per_byte"),
        "FLOPs": path.get("flops"),
        "Seconds": path.get("duration_s"),
        "Joules": sum(energies) if energies and None not in energies else None,
        "FLOP/s": record["train_flops_per_s"],
        "Correct": quality.get("exact_match"),
        "Status": record["status"],
    }
