"""The verb over models: ``isojoule model count PATH``, ``import`` and ``export``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from harness.cli.model_weights import add_import_export
from harness.core.errors import EXIT_OK, ConfigError


def add_model_verb(verbs: Any) -> None:
    """Add ``model`` with its subcommands to the parser."""
    model = verbs.add_parser("model", help="count, import or export a published model: isojoule model count PATH")
    actions = model.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_count(actions)
    add_import_export(actions)


def _add_count(actions: Any) -> None:
    count = actions.add_parser(
        "count", help="parameters, FLOPs, cache and weight bytes from a Hugging Face config.json; needs no weights"
    )
    count.add_argument("path", help="a config.json, a folder that holds one, or a shipped name: qwen3-30b-a3b")
    count.add_argument("--json", action="store_true", help="print JSON instead of text")
    count.add_argument(
        "--context", metavar="N", help="tokens that a token attends over (default: 2048, or the maximum)"
    )
    count.add_argument("--batch", metavar="B", default="1", help="tokens of a batch, for expert coverage (default: 1)")
    count.add_argument("--dtype", help="of weights and cache, e.g. bf16, fp8 (default: the config's)")
    count.set_defaults(handler=_count)


def _count(options: argparse.Namespace) -> int:
    from harness.flops.published.count import count_model, count_to_json
    from harness.flops.published.shipped import read_model
    from harness.flops.published.text import count_to_text

    context = None if options.context is None else _whole_number("--context", options.context)
    batch = _whole_number("--batch", options.batch)
    count = count_model(read_model(options.path), context=context, batch=batch, dtype=options.dtype)
    if options.json:
        print(json.dumps(count_to_json(count), indent=1, allow_nan=False))
    else:
        print(count_to_text(count, options.path))
    return EXIT_OK


def _whole_number(name: str, text: str) -> int:
    """Return `text` as a number of at least 1."""
    if not text.isascii() or not text.removeprefix("-").isdigit() or int(text) < 1:
        raise ConfigError(f"{name} is '{text}'; give a whole number, 1 or more.")
    return int(text)
