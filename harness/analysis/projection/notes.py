"""What a reader of a projection must know: which assumptions bite for these models, this card and these batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.analysis.projection.comparison import Comparison, differs_in_precision
from harness.analysis.projection.constants import scale_constants
from harness.analysis.projection.hardware import REFERENCE_CARD, load_card
from harness.flops.published.shape import LatentAttention

if TYPE_CHECKING:
    from harness.analysis.projection.requests import TaskProjection
    from harness.analysis.projection.results import BatchRow
    from harness.analysis.projection.training import TrainingComparison

_CHECK_CARD = "b200"


def list_notes(
    setup: Comparison,
    rows: Sequence[BatchRow],
    task: TaskProjection | None = None,
    training: TrainingComparison | None = None,
) -> tuple[str, ...]:
    """Return the notes of a projection, those on the models first."""
    return (
        *_note_models(setup),
        *_note_task(setup, task),
        *_note_steps(rows),
        *_note_constants(setup),
        *_note_training(setup, training),
    )


def _note_models(setup: Comparison) -> Iterator[str]:
    if setup.dense.routed:
        yield "the model given as dense has routed experts: the ratio compares two sparse-expert models"
    if not setup.moe.routed:
        yield "the model given as sparse-expert has no routed experts: the ratio compares two dense models"
    if differs_in_precision(setup):
        yield (
            f"the weights differ in precision (dense: {setup.dense.weights}; sparse-expert: {setup.moe.weights}), and"
            " the ratio holds that difference: --dtype gives both the same"
        )
    for name, load in (("dense", setup.dense), ("sparse-expert", setup.moe)):
        longest = load.shape.max_context
        if longest is not None and setup.context > longest:
            yield f"the context of {setup.context} is beyond the {name} config's maximum of {longest}"
        if any(isinstance(layer.attention, LatentAttention) for layer in load.shape.layers):
            yield f"the {name} model decodes on its cached latents (MLA, absorbed)"
        yield from (f"{name} model: {note}" for note in load.shape.notes)


def _note_task(setup: Comparison, task: TaskProjection | None) -> Iterator[str]:
    if task is None:
        return
    for name, load, answer in (
        ("dense", setup.dense, task.dense_output_tokens),
        ("sparse-expert", setup.moe, task.moe_output_tokens),
    ):
        longest, needed = load.shape.max_context, task.prompt_tokens + answer
        if longest is not None and needed > longest:
            yield f"the request of {needed} tokens is beyond the {name} config's maximum of {longest}"


def _note_steps(rows: Sequence[BatchRow]) -> Iterator[str]:
    for name, sides in (("dense", [r.dense for r in rows]), ("sparse-expert", [r.moe for r in rows])):
        capped = [str(step.batch) for step in sides if step.capped]
        if capped:
            yield (
                f"the {name} step at batch {', '.join(capped)} would draw more than the power limit: its energy is the"
                " limit times the step's time"
            )
    free = [f"{row.ratio_uncapped:.2f} at batch {row.batch}" for row in rows if row.dense.capped or row.moe.capped]
    if free:
        yield f"without the power limit the ratio would be {', '.join(free)}"
    if any(row.dense.num_gpus != row.moe.num_gpus for row in rows):
        yield "the two models need different numbers of cards at some batch"
    if any(step.num_gpus > 1 for row in rows for step in (row.dense, row.moe)):
        yield (
            "several cards: as many as hold weights and cache; bytes and FLOPs split evenly, the cost of a step on"
            " each, communication not modelled"
        )


def _note_constants(setup: Comparison) -> Iterator[str]:
    constants = setup.constants
    if constants.constants_origin == "fitted":
        yield (
            "the constants were fitted to dense models only, at batches that one card served: what products of experts"
            " lose is not in them, and batches in the thousands are extrapolated"
        )
    if constants.constants_origin == "scaled_by_assumption":
        check = load_card(_CHECK_CARD)
        fitted, scaled = check.constants, scale_constants(check, load_card(REFERENCE_CARD))
        if fitted is not None:
            yield (
                f"no constants were fitted on this card; the same scaling to {check.name}, where a fit exists, gives"
                f" {scaled.j_per_step / fitted.j_per_step:.2f}, {scaled.j_per_byte * 1e12 / fitted.pj_per_byte:.2f} and"
                f" {scaled.j_per_flop * 1e12 / fitted.pj_per_flop:.2f} of it (step, byte, FLOP)"
            )
    if (setup.dense.is_fp8 or setup.moe.is_fp8) and setup.card.fp8_flops_per_s.value is None:
        yield "the card has no FP8 rate: products with FP8 weights run at its BF16 rate"
    if setup.dense.is_fp8 or setup.moe.is_fp8:
        yield "energy per FLOP was fitted in bf16 and is not lowered for FP8 weights"


def _note_training(setup: Comparison, training: TrainingComparison | None) -> Iterator[str]:
    if training is None:
        return
    yield "training: GPU-hours follow from an assumed MFU, energy from every card at its power limit"
    if any(load.shape.mtp is not None for load in (setup.dense, setup.moe)):
        yield "training: the module that predicts further tokens is not counted"
