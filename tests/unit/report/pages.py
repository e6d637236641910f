"""Reading a page back: its numbers with value and source, its figures and its text."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any


@dataclass
class Number:
    """One shown number: exact value (``None`` for unknown), source and the text beside it."""

    value: float | None
    source: str
    text: str = ""


def read_payload(html: str) -> dict[str, Any]:
    """Return what the page carries for its script: sources, and the rows of long tables."""
    block = re.search(r'id="payload">([^<]*)<', html)
    if block is None:
        return {"sources": {"runs": [], "sets": []}, "tables": {}, "figures": {}}
    return dict(json.loads(gzip.decompress(base64.b64decode(block.group(1)))))


def resolve(source: str, sources: dict[str, Any]) -> str:
    """Return a source with each token of a set of runs written out."""

    def write_out(token: re.Match[str]) -> str:
        places: list[int] = []
        for part in sources["sets"][int(token.group(1)) - 1].split(","):
            first, _, last = part.partition("-")
            places += range(int(first), int(last or first) + 1)
        return "runs: " + ", ".join(sources["runs"][place] for place in places)

    return re.sub(r"§(\d+)", write_out, source)


class Page(HTMLParser):
    """Collects numbers, element ids, svg titles and rows of tables; of long tables all rows, out of the payload."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.numbers: list[Number] = []
        self.ids: list[str] = []
        self.tags: dict[str, int] = {}
        self.links: list[str] = []
        self.rows: dict[str, list[list[Number]]] = {}
        self._table = ""
        self._open: Number | None = None
        payload = read_payload(html)
        self.sources = payload["sources"]
        self.feed(html)
        self.feed("".join(payload["figures"].values()))
        for table, rows in payload["tables"].items():
            self.rows[table] = self.rows[table][:1]
            self._table = table
            self.feed("".join(rows))
            self._table = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note numbers, ids and addresses."""
        found = {name: value or "" for name, value in attrs}
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if "id" in found:
            self.ids.append(found["id"])
        self.links += [found[name] for name in ("href", "src", "xlink:href") if name in found]
        if tag == "table":
            self._table = found["id"]
        if tag == "tr" and self._table:
            self.rows.setdefault(self._table, []).append([])
        if "data-value" in found:
            self._open = Number(
                float(found["data-value"]) if found["data-value"] else None, resolve(found["data-source"], self.sources)
            )
            self.numbers.append(self._open)
            if self._table and self.rows.get(self._table):
                self.rows[self._table][-1].append(self._open)

    def handle_endtag(self, tag: str) -> None:
        """Close the number or the table."""
        if tag == "span":
            self._open = None
        if tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        """Keep the text of an open number."""
        if self._open is not None:
            self._open.text += data
