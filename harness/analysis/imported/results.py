"""What is kept of another tool's serving benchmark: one row a benchmark, seconds and counts, the unknown with a reason.

The latencies are defined as in `harness.core.inference.ServingStats`; a tool's figure stands under the name whose
definition it fits, whatever the tool calls it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.core.readings import Grade

Tool = Literal["vllm", "guidellm", "aiperf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Mean and percentiles of one latency in seconds; `note` says where the tool's definition is not quite ours."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingResult:
    """One benchmark of one file. `reasons` maps a field that is ``None`` to why; `notes` are of the whole run.

    `num_answered` and tokens are of answered requests; `num_failed` counts errors, `num_incomplete` requests that the
    tool cut off at the end. `duration_s` is the tool's own measuring time, which may leave out its warm-up.
    """

    file: str
    index: int
    tool: Tool
    tool_version: str | None
    model: str | None
    load: str | None
    num_answered: int | None
    num_failed: int | None
    num_incomplete: int | None
    duration_s: float | None
    num_input_tokens: int | None
    num_output_tokens: int | None
    requests_per_s: float | None
    output_tokens_per_s: float | None
    ttft_s: Latency
    tpot_s: Latency
    itl_s: Latency
    e2e_s: Latency
    reasons: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyBeside:
    """Energy of the measured command and what it comes to for each answered request and output token (joules).

    It is that of the whole command: starting up, warm-up and the tool's own work included. `time_share` is the share of
    the command's time that the tool's measuring time makes up: the smaller, the more of the energy is not the
    requests'. `kind` is measured, modelled, simulated or unknown.
    """

    energy_j: float | None
    net_energy_j: float | None
    grade: Grade | None
    kind: str
    sensors: tuple[str, ...]
    duration_s: float
    j_per_request: float | None
    j_per_output_token: float | None
    time_share: float | None
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """A result and its energy, ``None`` where no measurement was named."""

    result: ServingResult
    energy: EnergyBeside | None = None
