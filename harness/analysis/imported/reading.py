"""Reading a result file and finding out whose it is, by its content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.imported import aiperf, guidellm, vllm
from harness.analysis.imported.results import ServingResult
from harness.core.errors import DataError
from harness.core.plain_json import read_bytes

_KNOWN = (
    "vLLM (vllm bench serve --save-result), GuideLLM (benchmarks.json) and AIPerf (profile_export_aiperf.json, .csv)"
)


def load_serving_results(path: Path) -> list[ServingResult]:
    """Return the benchmarks in the file at `path`, in its order.

    Raises:
        DataError: the file cannot be read, is damaged, or is of none of the known tools.
    """
    text = _read(path)
    if aiperf.is_csv(text):
        return [aiperf.read_csv(text, path.name)]
    documents = _parse(text, path)
    found: list[ServingResult] = []
    for document in documents:
        found += _read_document(document, path, len(found))
    return found


def _read(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is no text file; give a result file of {_KNOWN}.") from error


def _parse(text: str, path: Path) -> Sequence[Any]:
    """Return the JSON documents of `text`: one, or one a line (vLLM's ``--append-result``)."""
    if not text.strip():
        raise DataError(f"'{path}' is empty; give a result file of {_KNOWN}.")
    try:
        return [load_json(text)]
    except ValueError as first:
        try:
            return [load_json(line) for line in text.split("\n") if line.strip()]
        except ValueError:
            raise DataError(f"'{path}' is no readable JSON ({first}); was the benchmark cut off?") from first


def load_json(text: str) -> Any:
    """Return the JSON value of `text`, with NaN and infinity (which some tools write) as ``None``.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _read_document(document: Any, path: Path, index: int) -> list[ServingResult]:
    if isinstance(document, Mapping):
        if guidellm.is_report(document):
            return guidellm.read_report(document, path.name)
        if vllm.is_result(document):
            return [vllm.read_result(document, path.name, index)]
        if aiperf.is_export(document):
            return [aiperf.read_export(document, path.name)]
    raise DataError(f"'{path}' is no result of a tool that is known; these are: {_KNOWN}.")
