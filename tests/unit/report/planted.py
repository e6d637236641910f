"""A text planted in every free text of nested dataclasses, and a page with all that it carries as one text."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import re
import typing
from collections.abc import Collection
from typing import Any

import pyarrow.parquet as pq

from tests.unit.report import pages

# Fields that name things which must stay equal for runs to be compared, or that a program reads.
IDENTITY = {
    *("run_id", "study", "arm", "size", "status", "role", "started_utc", "config_hash", "sha256", "tokenizer_sha256"),
    *("data_sha256", "phase", "unit", "domain", "grade", "method", "metric", "task", "name", "kind", "severity"),
    *("code", "baseline_arm", "candidate_arm", "rule", "interval", "purpose", "sensor", "device", "convention"),
    "corpus",
}


def plant(value: Any, text: str, found: list[str], where: str = "", kept: Collection[str] = frozenset(IDENTITY)) -> Any:
    """Return `value` with `text` in each text inside but those of fields in `kept`; `found` gets the fields' names."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            old = getattr(value, field.name)
            if hints[field.name] in (str, str | None) and field.name not in kept and old is not None:
                found.append(f"{where}.{field.name}")
                changes[field.name] = text
            elif isinstance(old, tuple) or dataclasses.is_dataclass(old):
                changes[field.name] = plant(old, text, found, f"{where}.{field.name}", kept)
        return dataclasses.replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(plant(item, text, found, where, kept) for item in value)
    return value


def read_downloads(page: str) -> dict[str, bytes]:
    """Return the files that a page carries, unpacked, by their names without ``.gz``."""
    found = re.findall(r'<a download="([^"]+)" href="data:[^;"]+;base64,([^"]+)"', page)
    files = {name: base64.b64decode(content) for name, content in found}
    return {
        name.removesuffix(".gz"): gzip.decompress(raw) if name.endswith(".gz") else raw for name, raw in files.items()
    }


def everything(page: str) -> str:
    """Return a page with what it carries as text: payload and downloads, the cells of Parquet too."""
    parts = [page, str(pages.read_payload(page))]
    for name, raw in read_downloads(page).items():
        text = str(pq.read_table(io.BytesIO(raw)).to_pydict()) if name.endswith(".parquet") else raw.decode()
        parts.append(text)
    return "\n".join(parts)
