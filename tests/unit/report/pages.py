"""Reading a page back: its numbers with value and source, its figures and its text."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass
class Number:
    """One shown number: exact value (``None`` for unknown), source and the text beside it."""

    value: float | None
    source: str
    text: str = ""


class Page(HTMLParser):
    """Collects numbers, element ids, svg titles and rows of tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.numbers: list[Number] = []
        self.ids: list[str] = []
        self.tags: dict[str, int] = {}
        self.links: list[str] = []
        self.rows: dict[str, list[list[Number]]] = {}
        self._table = ""
        self._open: Number | None = None
        self.feed(html)

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
            self._open = Number(float(found["data-value"]) if found["data-value"] else None, found["data-source"])
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
