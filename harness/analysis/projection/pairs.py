"""Pairs of published models of about equal quality, as data: the evidence, the tokens, and what else differs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.analysis.projection.files import list_names, load_named

KIND = "pair"
Tag = Literal["P", "S", "D", "own"]


class Score(BaseModel):
    """One benchmark score of both models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(min_length=1)
    dense: float = Field(allow_inf_nan=False)
    moe: float = Field(allow_inf_nan=False)


class Quality(BaseModel):
    """Why the two count as equally good; `scores` may be empty where the source gives words only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: str = Field(min_length=1)
    source: str = Field(min_length=1)
    tag: Tag
    scores: tuple[Score, ...] = ()


class TrainingFacts(BaseModel):
    """What is published of one model's training; what is not stays ``None``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: float | None = Field(gt=0, allow_inf_nan=False)
    context: int | None = Field(gt=0)
    gpu_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gpu: str | None = None
    source: str = Field(min_length=1)
    tag: Tag


class MeasuredPoint(BaseModel):
    """Joules per output token that others measured at one batch on a shipped card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: str = Field(min_length=1)
    batch: int = Field(gt=0)
    dense_j_per_token: float = Field(gt=0, allow_inf_nan=False)
    moe_j_per_token: float = Field(gt=0, allow_inf_nan=False)


class Measurements(BaseModel):
    """Others' measurements of the pair; `context` is what their decode steps attended over on average."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1)
    tag: Tag
    context: int = Field(gt=0)
    points: tuple[MeasuredPoint, ...]


class Pair(BaseModel):
    """A dense and a sparse-expert model; `isolates_architecture` is true only where nothing else is known to differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    dense: str = Field(min_length=1)
    moe: str = Field(min_length=1)
    quality: Quality
    isolates_architecture: bool
    also_differs: tuple[str, ...]
    dense_training: TrainingFacts
    moe_training: TrainingFacts
    measurements: Measurements | None = None


def load_pair(name: str) -> Pair:
    """Load a shipped pair by name, or the user's own from a YAML file.

    Raises:
        ConfigError: no such pair or file, or one that lacks what a pair needs.
    """
    return load_named(KIND, name, Pair)


def load_pairs() -> list[Pair]:
    """Return all shipped pairs by name."""
    return [load_pair(name) for name in list_names(KIND)]
