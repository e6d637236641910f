"""What models of energy and compute say of published pairs: grade D, apart from verdicts and published arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.analysis.projection.pairs import Pair, load_pairs
from harness.analysis.projection.project import project_pair
from harness.analysis.projection.results import Projection
from harness.core.beside import Beside, start_beside

CARD = "h100"
BATCHES = (1, 8, 64)
CONTEXT = 1024
# 90% less, as the press claims have it.
FACTOR = 0.1

Value = float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedRow:
    """One projected ratio, sparse-expert over dense: the sentence that tells it, and its numbers by name.

    `bears_on` is the id of the claim that it speaks about; a projection is never a verdict on it.
    """

    id: str
    bears_on: str
    text: str
    values: Mapping[str, Value]
    grade: Literal["D"] = "D"


@functools.cache
def start_projecting() -> Beside[tuple[ProjectedRow, ...]]:
    """Begin `projected_rows` beside this process, for whoever asks later; it is begun once."""
    return start_beside(_project_rows)


@functools.cache
def projected_rows() -> tuple[ProjectedRow, ...]:
    """Return, for each shipped pair of about equal quality, the projected energy of decoding and training compute.

    Seconds of arithmetic over files of the package, the same each time, so it is done once.

    Raises:
        ConfigError: a shipped pair, card or model config is wrong.
    """
    return start_projecting()()


def _project_rows() -> tuple[ProjectedRow, ...]:
    rows = []
    for pair in load_pairs():
        projection = project_pair(pair, CARD, BATCHES, CONTEXT)
        rows.append(_decoding_row(pair, projection))
        if projection.training is not None:
            rows.append(_training_row(pair, projection))
    return tuple(rows)


def _decoding_row(pair: Pair, projection: Projection) -> ProjectedRow:
    ratios = {f"ratio_at_batch_{row.batch}": row.ratio for row in projection.rows}
    listed = ", ".join(f"{row.ratio:.3g} at batch {row.batch}" for row in projection.rows)
    ranges = projection.sweep.ranges[f"{FACTOR:g}"]
    where = ", ".join(f"{r.first}-{r.last}" for r in ranges) or "nowhere"
    values: dict[str, Value] = {
        "metric": "energy per decoded token",
        **ratios,
        "lowest_ratio": projection.sweep.lowest,
        "lowest_ratio_at_batch": float(projection.sweep.lowest_at),
        f"batches_at_or_below_{FACTOR:g}": where,
        "hardware": projection.card.name,
        "context": float(CONTEXT),
        "constants_origin": projection.constants.constants_origin,
        "isolates_architecture": pair.isolates_architecture,
    }
    if projection.equal_precision is not None:
        values |= {
            f"ratio_at_equal_precision_at_batch_{row.batch}": ratio
            for row, ratio in zip(projection.rows, projection.equal_precision.ratios, strict=True)
        }
    text = (
        f"{pair.moe} over {pair.dense}, energy per decoded token on {projection.card.name}, context {CONTEXT}: "
        f"{listed}; at or below {FACTOR:g} at batch: {where}{_caution(pair)}"
    )
    return ProjectedRow(id=f"{pair.id}_decoding", bears_on="energy_per_task_90", text=text, values=values)


def _training_row(pair: Pair, projection: Projection) -> ProjectedRow:
    training = projection.training
    assert training is not None  # noqa: S101  # the caller looked
    text = (
        f"{pair.moe} over {pair.dense}, training compute: {training.flops_causal_ratio:.2g} in FLOPs (causal "
        f"attention; {training.six_n_d_ratio:.2g} as 6ND), {training.gpu_hours_ratio:.2g} in GPU-hours at an assumed "
        f"MFU{_caution(pair)}"
    )
    values: dict[str, Value] = {
        "metric": "training compute",
        "flops_ratio_full_attention": training.flops_ratio,
        "flops_ratio_causal": training.flops_causal_ratio,
        "six_n_d_ratio": training.six_n_d_ratio,
        "gpu_hours_ratio_at_assumed_mfu": training.gpu_hours_ratio,
        "isolates_architecture": pair.isolates_architecture,
    }
    return ProjectedRow(id=f"{pair.id}_training", bears_on="training_compute_tenth", text=text, values=values)


def _caution(pair: Pair) -> str:
    return "" if pair.isolates_architecture else " (more than the architecture differs)"
