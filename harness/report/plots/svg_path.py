"""Outlines of an SVG made short: relative steps, whole tenths of a point, several outlines in one ``d``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

Step = tuple[str, tuple[float, ...]]
_TOKEN = re.compile(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
_ARITY = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}


def read_path(text: str) -> list[Step]:
    """Return the steps of a ``d`` that uses absolute M, L, Q, C and Z only, as matplotlib writes it.

    Raises:
        ValueError: it uses another command.
    """
    steps: list[Step] = []
    tokens = _TOKEN.findall(text)
    at = 0
    command = ""
    while at < len(tokens):
        if tokens[at].isalpha():
            command = tokens[at].upper()
            at += 1
        if command not in _ARITY:
            raise ValueError(f"a path holds the command {command!r}, which is not one of M, L, Q, C, Z")
        count = _ARITY[command]
        steps.append((command, tuple(float(token) for token in tokens[at : at + count])))
        at += count
    return steps


def shift(steps: Sequence[Step], x: float, y: float) -> list[Step]:
    """Return the same outline moved by (`x`, `y`)."""
    return [(name, tuple(v + (y if i % 2 else x) for i, v in enumerate(values))) for name, values in steps]


def absolute(steps: Sequence[Step]) -> str:
    """Return a ``d`` in absolute coordinates, as `read_path` reads it."""
    return " ".join(f"{name} {' '.join(map(repr, values))}" for name, values in steps)


def bounds(steps: Sequence[Step]) -> tuple[float, float, float, float]:
    """Return the least and greatest x and y of all points, control points included: (left, top, right, bottom)."""
    xs = [v for _, values in steps for v in values[::2]]
    ys = [v for _, values in steps for v in values[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def number(value: float, places: int = 1) -> str:
    """Return `value` in as few characters as `places` decimals need."""
    text = f"{value:.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text in {"-0", ""}:
        return "0"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def write_path(steps: Sequence[Step], places: int = 1) -> str:
    """Return a short ``d``: every point is rounded on its own, so that rounding never adds up along the outline."""
    pen = _Pen(10**places)
    for position, (name, values) in enumerate(steps):
        following = steps[position + 1][0] if position + 1 < len(steps) else ""
        pen.draw(name, [_round(v * pen.scale) for v in values], closes=following == "Z")
    return "".join(pen.parts)


def _round(value: float) -> int:
    return math.floor(value + 0.5)


@dataclass
class _Pen:
    scale: int
    parts: list[str] = field(default_factory=list)
    here: tuple[int, int] = (0, 0)
    start: tuple[int, int] = (0, 0)
    last: str = ""

    def draw(self, name: str, values: list[int], *, closes: bool) -> None:
        if name == "Z":
            self._write("z", [])
            self.here = self.start
            return
        end = (values[-2], values[-1])
        across, down = end[0] - self.here[0], end[1] - self.here[1]
        if name == "M":
            if self.parts:
                self._write("m", [across, down])
            else:
                self._write("M", values)
            self.start = end
        elif name == "L":
            if (across, down) == (0, 0) or (closes and end == self.start):
                return
            if down == 0:
                self._write("h", [across])
            elif across == 0:
                self._write("v", [down])
            else:
                self._write("l", [across, down])
        else:
            self._write(name.lower(), [v - self.here[i % 2] for i, v in enumerate(values)])
        self.here = end

    def _write(self, name: str, values: list[int]) -> None:
        # A repeated command may be left out, and so may a space before a minus; after m a bare pair would be a line.
        text = "" if name == self.last and name not in {"m", "M", "z"} else name
        for value in values:
            shown = number(value / self.scale, len(str(self.scale)) - 1)
            needs_space = not shown.startswith("-") and not text[-1:].isalpha()
            text += f" {shown}" if needs_space else shown
        self.parts.append(text)
        self.last = name
