"""What a run has gathered so far: windows, qualities, answers and findings, in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.core.answers import TaskResult
from harness.core.readings import Finding
from harness.core.records import QualityReading, WindowRecord
from harness.core.routing import ExpertCoverage, RoutingStats, TaskRouting


@dataclass(slots=True)
class Outcome:
    """What a run has gathered so far; `answers` go into a file beside the record."""

    windows: list[WindowRecord] = field(default_factory=list)
    quality: list[QualityReading] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    answers: list[TaskResult] = field(default_factory=list)
    task_routing: list[TaskRouting] = field(default_factory=list)
    expert_coverage: list[ExpertCoverage] = field(default_factory=list)
    routing: RoutingStats | None = None
    training_routing: RoutingStats | None = None
    eval_batch_size: int | None = None
