"""Published claims as computed rows: other people's figures with their arithmetic, never a verdict of this program.

Each input keeps its own tag (P primary, S secondary, D derived); the value of a row is derived (D) and is computed
whenever it is shown, so that a figure and what it follows from cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import TypeAdapter

from harness.analysis.claims.arithmetic import evaluate_formula, fill_formula, find_names
from harness.analysis.claims.spec import PUBLISHED_KIND, read_claim_files, validate_fields
from harness.analysis.verdicts import Tag
from harness.core.errors import ConfigError
from harness.core.strict_config import STRICT

Axis = Literal[
    "training compute",
    "training energy",
    "inference compute",
    "energy per token",
    "energy per task",
    "memory",
    "speed",
    "quality",
]
PressClaim = Literal["training", "per task", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedInput:
    """One number that somebody published: `value` in `unit`, where it stands, and how near that is to its origin."""

    __pydantic_config__ = STRICT
    value: float
    unit: str
    tag: Tag
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSpec:
    """One claim file of kind ``published``.

    `formula` is arithmetic over the names in `inputs`. `expected` is the figure that the statement itself gives, and
    `rounding` how far the computed value may lie from it; both are absent where the statement gives no figure of its
    own. `isolates_architecture` says whether only the architecture differs, and `note` what else does. `source` holds
    for every input that names none of its own.
    """

    __pydantic_config__ = STRICT
    kind: Literal["published"]
    id: str
    statement: str
    source: str
    axis: Axis
    bears_on: PressClaim
    isolates_architecture: bool
    inputs: dict[str, PublishedInput]
    formula: str
    unit: str
    note: str
    expected: float | None = None
    rounding: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A published claim with its arithmetic done: `value` in `unit`, derived (D) from inputs with tags of their own.

    `agrees` compares it with the published figure where there is one. A row holds no verdict word.
    """

    id: str
    statement: str
    source: str
    axis: Axis
    bears_on: PressClaim
    isolates_architecture: bool
    inputs: dict[str, PublishedInput]
    formula: str
    filled_formula: str
    value: float
    unit: str
    note: str
    expected: float | None = None
    rounding: float | None = None
    tag: Tag = field(default="D", init=False)

    @property
    def agrees(self) -> bool | None:
        """Whether the computed value is the published one within the stated rounding; ``None`` without a figure."""
        if self.expected is None or self.rounding is None:
            return None
        return abs(self.value - self.expected) <= self.rounding

    @property
    def input_tags(self) -> tuple[Tag, ...]:
        """The tags of the inputs, each once, from primary to derived."""
        order: tuple[Tag, ...] = ("P", "S", "D")
        return tuple(tag for tag in order if any(found.tag == tag for found in self.inputs.values()))


def load_published(folder: Traversable | None = None) -> list[PublishedRow]:
    """Return every published claim by id, computed; `folder` replaces the shipped one.

    Raises:
        ConfigError: a file does not say what a row needs, or its formula cannot be computed from its inputs.
    """
    adapter = TypeAdapter(PublishedSpec)
    specs = [
        (name, validate_fields(adapter, name, values))
        for name, values in read_claim_files(folder)
        if values.get("kind") == PUBLISHED_KIND
    ]
    return sorted((compute_row(spec, name) for name, spec in specs), key=lambda row: row.id)


def compute_row(spec: PublishedSpec, file: str = "") -> PublishedRow:
    """Return the row of `spec` with its formula evaluated; `file` names it in errors.

    Raises:
        ConfigError: the formula is no arithmetic over the inputs, leaves one unused, or has no finite value.
    """
    where = f"claim file {file or spec.id}"
    values = {name: given.value for name, given in spec.inputs.items()}
    try:
        value = evaluate_formula(spec.formula, values)
        unused = sorted(values.keys() - find_names(spec.formula))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if unused:
        raise ConfigError(f"{where}: the formula does not use {', '.join(unused)}; remove what is not needed.")
    if (spec.expected is None) != (spec.rounding is None):
        raise ConfigError(f"{where}: expected and rounding go together; give both or neither.")
    return PublishedRow(
        id=spec.id,
        statement=" ".join(spec.statement.split()),
        source=" ".join(spec.source.split()),
        axis=spec.axis,
        bears_on=spec.bears_on,
        isolates_architecture=spec.isolates_architecture,
        inputs={name: _with_source(given, spec.source) for name, given in spec.inputs.items()},
        formula=" ".join(spec.formula.split()),
        filled_formula=fill_formula(spec.formula, values),
        value=value,
        unit=spec.unit,
        note=" ".join(spec.note.split()),
        expected=spec.expected,
        rounding=spec.rounding,
    )


def _with_source(given: PublishedInput, source: str) -> PublishedInput:
    own = " ".join((given.source or source).split())
    return PublishedInput(value=given.value, unit=given.unit, tag=given.tag, source=own)


def row_to_json(row: PublishedRow) -> dict[str, Any]:
    """Return `row` as plain dicts and scalars; there is no verdict in it."""
    return {
        "id": row.id,
        "statement": row.statement,
        "source": row.source,
        "axis": row.axis,
        "bears_on": row.bears_on,
        "isolates_architecture": row.isolates_architecture,
        "inputs": {
            name: {"value": given.value, "unit": given.unit, "tag": given.tag, "source": given.source}
            for name, given in row.inputs.items()
        },
        "formula": row.formula,
        "filled_formula": row.filled_formula,
        "value": row.value,
        "unit": row.unit,
        "tag": row.tag,
        "published_value": row.expected,
        "rounding": row.rounding,
        "agrees": row.agrees,
        "note": row.note,
    }
