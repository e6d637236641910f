"""Text for a terminal: names from records and files are other people's, and must not drive it."""

from __future__ import annotations

_KEPT = "\n\t"


def escape_controls(text: str) -> str:
    r"""Return `text` with its control characters written out (``\x1b``), all but line feed and tab."""
    if text.isprintable():
        return text
    return "".join(char if char in _KEPT or not _is_control(char) else _write_out(char) for char in text)


def _is_control(char: str) -> bool:
    # C0 and C1 controls, halves of surrogate pairs (no terminal can show them), marks that turn a line around
    code = ord(char)
    return (
        code < 32
        or 127 <= code < 160
        or 0xD800 <= code < 0xE000
        or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def _write_out(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
