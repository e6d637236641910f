"""Made-up windows whose step energy follows constants that are known. For tests only."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from harness.core import records as c
from harness.core.inference import Regime
from tests.unit.analysis.factory import reading, window
from tests.unit.analysis.inference.factory import make_model_record

TRUTH = (0.5, 150e-12, 3e-12)
# (batch, context): bytes and FLOPs of a step grow with both, and in different ways
SWEEP = tuple((batch, context) for batch in (1, 8, 64, 512) for context in (128, 4096))
STEPS = 50
WEIGHTS = 2e9
PER_TOKEN = 1e5
FLOPS = 4e9


def work_of(batch: int, context: int, weights: float = WEIGHTS) -> tuple[float, float]:
    """Bytes and FLOPs of a step: weights once and a cache for each position, FLOPs for each sequence."""
    return weights + batch * context * PER_TOKEN, batch * (FLOPS + context * 1e5)


def step_window(  # noqa: PLR0917
    batch: int,
    context: int,
    joules: float,
    phase: str = "decode",
    grade: c.Grade = "A",
    weights: float = WEIGHTS,
    seconds: float = 0.01,
    repetition: int = 0,
    **work: Any,
) -> c.WindowRecord:
    """One window of `STEPS` steps that took `joules` each; `work` replaces fields of its work."""
    num_bytes, flops = work_of(batch, context, weights)
    done = c.Work(
        unit="task",
        amount=batch,
        flops=STEPS * flops,
        num_bytes=STEPS * num_bytes,
        num_steps=STEPS,
        num_tasks=batch,
        num_output_tokens=STEPS * batch,
    )
    regime = Regime(kind="sweep", batch_size=batch, num_input_tokens=context, num_output_tokens=9)
    made = window(phase, [reading(STEPS * joules, grade)], dataclasses.replace(done, **work), STEPS * seconds)
    return dataclasses.replace(made, regime=regime, repetition=repetition)


def joules_of(
    batch: int, context: int, constants: Sequence[float] = TRUTH, weights: float = WEIGHTS, overhead: float = 1.0
) -> float:
    """Joules of a step by the constants, bytes and FLOPs times the overhead."""
    num_bytes, flops = work_of(batch, context, weights)
    return constants[0] + overhead * (constants[1] * num_bytes + constants[2] * flops)


def make_run(  # noqa: PLR0917
    arm: str = "dense",
    seed: int = 0,
    constants: Sequence[float] = TRUTH,
    noise: float = 0.0,
    overhead: float = 1.0,
    sweep: Sequence[tuple[int, int]] = SWEEP,
    phases: Sequence[str] = ("prefill", "decode"),
    draw: int = 0,
    repetitions: int = 2,
    weights: float = WEIGHTS,
    grade: c.Grade = "A",
    **changes: Any,
) -> c.RunRecord:
    """A run whose windows follow the constants, with that relative noise."""
    drawn = random.Random(f"{draw} {arm} {seed}")
    made = [
        step_window(
            batch,
            context,
            joules_of(batch, context, constants, weights, overhead) * (1 + noise * drawn.gauss(0, 1)),
            phase,
            grade,
            weights,
            repetition=repetition,
        )
        for phase in phases
        for batch, context in sweep
        for repetition in range(repetitions)
    ]
    return make_model_record(arm, seed, windows=tuple(made), **changes)


def make_pair(overhead: float = 1.0, seeds: Sequence[int] = (0, 1, 2), **options: Any) -> list[c.RunRecord]:
    """Runs of both arms: the candidate reads twice the weights and has that overhead on bytes and FLOPs."""
    dense = [make_run("dense", seed, **options) for seed in seeds]
    return dense + [make_run("moe", seed, overhead=overhead, weights=2 * WEIGHTS, **options) for seed in seeds]
