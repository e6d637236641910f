"""Executes one run against a server: warm-up, idle windows with the server loaded, the load in a window, the record.

The server is asked as it stands; nothing is trained or loaded here. Order: the model's name, one request that finds out
which fields the server takes, warm-up, idle, the window ``serve`` over all requests, idle again, then the window
``serve_steady`` read afterwards over the stretch in which the load was full.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import time
from collections.abc import Sequence

import torch

from harness.core.clock import now_s, utc_label
from harness.core.config import RunConfig, validate_run
from harness.core.records import Environment, Finding, QualityReading, RunRecord, SensorInfo, Work
from harness.core.store import Store
from harness.data import prepare_data
from harness.measure import Meter, Window, check_idle_drift, measure_idle
from harness.run.environment import describe_environment
from harness.run.identity import identify_run
from harness.run.outline import begin_record
from harness.run.pretrain import Emit
from harness.run.serving_energy import find_sensor_period_s, open_meter, read_steady_window, share_energy
from harness.run.serving_plan import PlannedRequest, plan_load, plan_requests, plan_warmup
from harness.run.serving_rows import build_rows, judge_answers
from harness.run.serving_verdict import find_client_problems, find_load_problems, judge_load
from harness.serving.client import Target
from harness.serving.load import Load, LoadResult, drive
from harness.serving.probe import check_server, learn_dialect, read_api_key
from harness.serving.steady import SteadyStretch, find_steady
from harness.serving.summary import summarise
from harness.tasks.suite import build_suite

DETERMINISM = "a server's own: temperature 0 and a seed are asked for, what it does with them is not known"
_PROGRESS_S = 0.5


@dataclasses.dataclass(slots=True)
class _Measured:
    """What the meter and the client brought back."""

    result: LoadResult
    serve: Window
    steady: SteadyStretch
    windows: list
    findings: list[Finding]
    sensors: tuple[SensorInfo, ...]
    trace: dict | None
    origin_s: float
