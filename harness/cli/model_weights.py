"""``isojoule model import`` and ``export``: weights of published models into our engine, and ours to others'."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK
from harness.core.units import format_si


def add_import_export(actions: Any) -> None:
    """Add both subcommands to the parser of ``isojoule model``."""
    reading = actions.add_parser(
        "import", help="a Hugging Face checkpoint (config.json, safetensors) to a model folder"
    )
    reading.add_argument("source", type=Path, metavar="HF_DIR")
    reading.add_argument("target", type=Path, metavar="OUT_DIR", help="a new folder")
    reading.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), help="of the weights (default: as they are)")
    reading.set_defaults(handler=_import)

    writing = actions.add_parser("export", help="a model of ours, imported or trained, to a Hugging Face checkpoint")
    writing.add_argument(
        "source", type=Path, metavar="SOURCE", help="a model folder, a checkpoint, a run's checkpoints, or a store"
    )
    writing.add_argument("target", type=Path, metavar="OUT_DIR", help="a new folder")
    writing.add_argument("--run", metavar="RUN_ID", help="which run of a store")
    writing.add_argument("--family", help="what to write it as (default: what it came from, or what fits)")
    writing.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), help="of the weights (default: as they are)")
    writing.add_argument("--max-shard-size", default="5GB", metavar="SIZE")
    writing.set_defaults(handler=_export)


def _import(options: argparse.Namespace) -> int:
    from harness.models.huggingface.checkpoint import import_checkpoint

    _tell(options.target, import_checkpoint(options.source, options.target, options.dtype))
    return EXIT_OK


def _export(options: argparse.Namespace) -> int:
    from harness.models.huggingface.checkpoint import export_model, parse_size
    from harness.run.weights import find_model

    size = parse_size(options.max_shard_size)
    model = find_model(options.source, options.run)
    _tell(options.target, export_model(model, options.target, options.family, options.dtype, size))
    return EXIT_OK


def _tell(target: Path, done: Any) -> None:
    amount = f"{format_si(done.num_params, '')} parameters, {format_si(done.num_bytes, 'B')}"
    print(f"{target}: {done.family}, {amount}")
    if done.left_out:
        print(f"left out: {len(done.left_out)} tensors of the source, such as {done.left_out[0]}")
