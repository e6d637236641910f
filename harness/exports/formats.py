"""The formats that a store is exported to, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.registry import Registry
from harness.exports.options import ExportOptions
from harness.exports.source import open_source

FORMATS = Registry(
    "export format",
    {
        "csv": "harness.exports.tables:export_csv",
        "parquet": "harness.exports.tables:export_parquet",
        "mlperf": "harness.exports.mlperf:export_mlperf",
        "ai_energy_score": "harness.exports.ai_energy_score:export_ai_energy_score",
        "model_card": "harness.exports.model_card:export_model_card",
        "sci": "harness.exports.sci:export_sci",
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Files that were written, and what a reader of them must know, one line each."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def export_store(root: Path, format_name: str, out: Path, options: ExportOptions | None = None) -> Exported:
    """Write the store at `root` to `out` in the format of that name; the same records give the same bytes.

    `out` is a folder for ``csv``, ``parquet`` and ``model_card``, else a file. Files are replaced whole or not at all.

    Raises:
        ConfigError: the format is unknown, `out` cannot be written, or the format needs an option that is not given.
        RecordError: there is no readable record, no run of the id that was asked for, or an answers file is damaged.
    """
    write: Callable[..., tuple[list[Path], list[str]]] = FORMATS.get(format_name)
    source = open_source(root, None if options is None else options.run_id)
    paths, notes = write(source, out, options or ExportOptions())
    return Exported(paths=tuple(paths), notes=(*source.unreadable, *notes))
