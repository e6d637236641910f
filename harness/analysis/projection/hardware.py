"""Accelerators as data: memory, rates and power of one card, each figure with its source."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harness.analysis.projection.files import load_named

KIND = "hardware"
REFERENCE_CARD = "h100"
Tag = Literal["P", "S", "D", "own"]


class Figure(BaseModel):
    """A number with its source; `tag` is P (primary), S (a page that quotes it), D (derived) or own (the user's)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0, allow_inf_nan=False)
    source: str = Field(min_length=1)
    tag: Tag


class NoFigure(BaseModel):
    """A number that does not exist or is not known, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: None
    source: str = Field(min_length=1)
    tag: Tag


class FittedConstants(BaseModel):
    """What a decode step costs on this card, fitted to measurements; `rms` is the fit's relative error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    j_per_step: float = Field(ge=0, allow_inf_nan=False)
    pj_per_byte: float = Field(ge=0, allow_inf_nan=False)
    pj_per_flop: float = Field(ge=0, allow_inf_nan=False)
    rms: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    source: str = Field(min_length=1)
    tag: Tag


def _from_plain_number(value: Any) -> Any:
    """A user's own file may give plain numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"value": value, "source": "given in the file", "tag": "own"}
    return {"value": None, "source": "not given", "tag": "own"} if value is None else value


Given = Annotated[Figure, BeforeValidator(_from_plain_number)]
MaybeGiven = Annotated[Figure | NoFigure, BeforeValidator(_from_plain_number)]


class Card(BaseModel):
    """One accelerator. Rates are dense (no structured sparsity); `constants` are there only where they were fitted.

    `launch_s` is the time of a decode step beside its bytes and FLOPs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    memory_bytes: Given
    bandwidth_bytes_per_s: Given
    bf16_flops_per_s: Given
    fp8_flops_per_s: MaybeGiven = NoFigure(value=None, source="not given", tag="own")
    power_limit_w: Given
    nvlink_bytes_per_s: MaybeGiven = NoFigure(value=None, source="not given", tag="own")
    launch_s: MaybeGiven = NoFigure(value=None, source="not given", tag="own")
    constants: FittedConstants | None = None

    def peak_flops_per_s(self, *, fp8: bool) -> float:
        """Return the dense peak for FP8 products, or for BF16 ones where the card has no FP8 units."""
        fast = self.fp8_flops_per_s.value if fp8 else None
        return fast or self.bf16_flops_per_s.value


def load_card(name: str) -> Card:
    """Load a shipped card by name (``h100``) or the user's own from a YAML file.

    Raises:
        ConfigError: no such card or file, or a figure that is missing or makes no sense.
    """
    return load_named(KIND, name, Card)
