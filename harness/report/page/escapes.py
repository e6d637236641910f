"""Characters that change what stands beside them, shown as escapes; texts of any length, cut to a readable one."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A free text may be a whole log; what follows is in the record.
MAX_CHARACTERS = 4000
# C0 without tab and line feed, C1, zero-width and joiners, marks and overrides of direction, line and paragraph
# separators, invisible operators, byte order mark, interlinear marks, tags, lone surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def show_controls(text: str) -> str:
    r"""Return `text` with each control, zero-width or direction character as an escape (``\u202e``).

    The escapes mean the same character inside JSON and JavaScript, so a whole page may go through this.
    """
    return _CONTROLS.sub(_escape, text)


def show_all_controls(texts: Sequence[str]) -> tuple[str, ...]:
    """Return `texts` as `show_controls` does each of them; thousands without a control are looked at at once."""
    return tuple(map(show_controls, texts)) if _CONTROLS.search("".join(texts)) else tuple(map(str, texts))


def shorten(text: str, beginning: str | None = None) -> str:
    """Return `text`, cut where it is longer than `MAX_CHARACTERS`, with its length in characters.

    `beginning` stands for the part that is kept, where that was changed.
    """
    if len(text) <= MAX_CHARACTERS:
        return text
    kept = text[:MAX_CHARACTERS] if beginning is None else beginning
    return f"{kept} … (cut here; the record holds {len(text)} characters)"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code > 0xFFFF:
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{code:04x}"
