"""From a CSV of points to one family's points each; every mistake is one line that says what to mend."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.analysis.laws.forms import FLOPS_PER_PARAM_TOKEN, LOSS_OF_COMPUTE, LOSS_OF_SIZE_AND_TOKENS, Form
from harness.analysis.laws.points import LawPoints
from harness.core.errors import RecordError, did_you_mean
from harness.core.plain_json import read_bytes

NUMBERS = ("params", "tokens", "flops", "loss")
LABELS = ("family", "seed", "trunk")
# Top-level keys of the JSON that are not families.
RESERVED = ("comparison", "notes", "schema_version")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    numbers: dict[str, float]
    labels: dict[str, str]


def read_points(path: Path) -> tuple[list[LawPoints], list[str]]:
    """Return the points of each family (one with ``family=None`` where there is no such column), and notes.

    Columns: `loss`, and `params` with `tokens` or `flops` for L(N, D), or `flops` alone for L(C); `family`, `seed` and
    `trunk` as wished (runs that branched off one trained path share a trunk). With params and flops alone, tokens are
    flops / (6 params).

    Raises:
        RecordError: the file cannot be read, a column is missing, a cell is not a number above zero, or a row repeats.
    """
    header, rows = _read_rows(path)
    known = [name for name in (*NUMBERS, *LABELS) if name in header]
    ignored = [name for name in header if name not in known]
    notes = [f"columns ignored: {', '.join(ignored)}"] if ignored else []
    derived = "params" in known and "flops" in known and "tokens" not in known
    if "params" in known and ("tokens" in known or derived):
        form = LOSS_OF_SIZE_AND_TOKENS
    elif "flops" in known:
        form = LOSS_OF_COMPUTE
        if "tokens" in known:
            notes.append("tokens without params are not used: the law is one of compute")
    else:
        raise RecordError(
            f"'{path}' has no column{'s' if 'params' not in known else ''} to fit a law of: give params and tokens, "
            f"params and flops, or flops; it has {', '.join(header)}."
        )
    if derived:
        notes.append(f"tokens are flops / ({FLOPS_PER_PARAM_TOKEN:g} params), as there is no column tokens")
    if "seed" in known:
        # Two runs with equal params and tokens are one configuration, whatever their FLOPs were counted as.
        configuration = ["flops"] if form is LOSS_OF_COMPUTE else ["params", "flops" if derived else "tokens"]
        _refuse_duplicates(path, rows, configuration)
    return [
        _build_points(name, [row for row in rows if row.labels.get("family") == name], form, known, derived=derived)
        for name in dict.fromkeys(row.labels.get("family") for row in rows)
    ], notes


def _build_points(name: str | None, rows: list[_Row], form: Form, known: list[str], *, derived: bool) -> LawPoints:
    columns = {key: np.array([row.numbers[key] for row in rows]) for key in NUMBERS if key in known}
    if derived:
        columns["tokens"] = columns["flops"] / (FLOPS_PER_PARAM_TOKEN * columns["params"])
    return LawPoints(
        family=name,
        form=form,
        loss=columns["loss"],
        params=columns.get("params"),
        tokens=columns.get("tokens"),
        flops=columns.get("flops"),
        seeds=tuple(row.labels["seed"] for row in rows) if "seed" in known else None,
        trunks=tuple(row.labels["trunk"] for row in rows) if "trunk" in known else None,
    )


def _read_rows(path: Path) -> tuple[list[str], list[_Row]]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise RecordError(f"'{path}' {what}; give a CSV file with the columns params, tokens (or flops) and loss.")
    try:
        with io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"'{path}' cannot be read as a CSV file: {error}.") from error
    if not lines:
        raise RecordError(f"'{path}' is empty; it needs a header line with params, tokens (or flops) and loss.")
    header = [name.strip() for name in lines[0][1]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RecordError(f"'{path}' names the column {', '.join(twice)} more than once.")
    if "loss" not in header:
        raise RecordError(f"'{path}' has no column loss; it has {', '.join(header)}.{did_you_mean('loss', header)}")
    rows = [_read_row(path, line, header, cells) for line, cells in lines[1:]]
    if not rows:
        raise RecordError(f"'{path}' has a header and no rows.")
    return header, rows


def _read_row(path: Path, line: int, header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        raise RecordError(f"'{path}' line {line} has {len(cells)} cells, and the header has {len(header)}.")
    texts = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    numbers = {name: _read_number(path, line, name, texts[name]) for name in NUMBERS if name in texts}
    labels = {name: texts[name] for name in LABELS if name in texts}
    for name, text in labels.items():
        if not text:
            raise RecordError(f"'{path}' line {line} has an empty {name}; fill it in, or leave the column out.")
    if labels.get("family") in RESERVED:
        raise RecordError(
            f"'{path}' line {line}: a family cannot be called '{labels['family']}', which is a key of the result; "
            "give it another name."
        )
    return _Row(line, numbers, labels)


def _read_number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
        if text.lower() not in {"nan", "inf", "-inf"}:
            shown = f"'{text}'" if text else "an empty cell"
            raise RecordError(f"'{path}' line {line}: {name} is {shown}, which is not a number.") from None
    if not math.isfinite(value) or value <= 0:
        raise RecordError(f"'{path}' line {line}: {name} is {text}; it must be a finite number above 0.")
    return value


def _refuse_duplicates(path: Path, rows: list[_Row], columns: list[str]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = (row.labels.get("family"), *(row.numbers[name] for name in columns), row.labels.get("seed"))
        if key in seen:
            raise RecordError(
                f"'{path}' lines {seen[key]} and {row.line} are the same configuration and seed; remove one of them."
            )
        seen[key] = row.line
