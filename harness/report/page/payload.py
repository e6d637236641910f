"""What the page's script reads: rows of long tables, sets of runs and drawings for phones, as packed text."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

# Deflated, no name, no time, best compression, a Unix system: the same wherever it is written.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03"


class PayloadPacker:
    """Packs the page's payload, JSON as gzip in base64, member by member: the same text for the same content.

    There is no markup in it. Members come one after the other, so that those which are ready do not wait for others.
    """

    def __init__(self) -> None:
        self._packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._packed = [_GZIP_HEAD]
        self._begun = False
        self._checksum = self._num_bytes = 0

    def add(self, name: str, content: Any) -> None:
        """Take one more member."""
        text = json.dumps({name: content}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        self._put(("," if self._begun else "{") + text[1:-1])
        self._begun = True

    def finish(self) -> str:
        """Return the payload; nothing is added after this."""
        self._put("}" if self._begun else "{}")
        end = struct.pack("<LL", self._checksum, self._num_bytes & 0xFFFFFFFF)
        return base64.b64encode(b"".join((*self._packed, self._packer.flush(), end))).decode("ascii")

    def _put(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        self._checksum = zlib.crc32(data, self._checksum)
        self._num_bytes += len(data)
        self._packed.append(self._packer.compress(data))
