"""Calibration of GPUs: known loads, a dense record of every reading, the fits, and the profile that windows use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import harness
from harness.core.clock import now_s, utc_label
from harness.core.errors import SensorError
from harness.core.readings import Finding, SensorInfo
from harness.measure.fit import IDLE, STEADY, TraceFit, fit_trace
from harness.measure.loadplan import FULL_PLAN, QUICK_PLAN, Plan, lay_out
from harness.measure.record import Recorder
from harness.measure.state import find_state_problems
from harness.measure.trace import Phase, Switch, TraceArray, cut, find_phase
from harness.run.calibrate_load import LoadSource, TorchLoad, require_cuda
from harness.sensors.nvml import Nvml, NvmlSensor
from harness.sensors.profile import Calibration, save

# Between the plan and its first step: the recorder sees the GPU at rest first.
_LEAD_S = 0.3
# A load whose power is not at least this much above idle tells nothing of timing.
_MIN_RISE = 1.2
_SLOW_READS_S = 0.003


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The profile of one GPU, and the file that holds it now."""

    profile: Calibration
    path: Path


@dataclass(frozen=True, slots=True)
class _Gpu:
    """What must be known of a GPU before it is calibrated."""

    info: SensorInfo
    uuid: str
    driver_version: str | None


def run_calibration(
    *,
    quick: bool = False,
    make_load: Callable[[int], LoadSource] | None = None,
    plan: Plan | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[CalibrationResult]:
    """Calibrate every visible GPU in turn and save its profile.

    Args:
        quick: about 25 s a GPU in place of two minutes.
        make_load: makes the load of a GPU by its CUDA index; without one, matrix products by torch.
        plan: durations other than those that `quick` chooses.
        tell: takes lines about what is going on.

    Raises:
        SensorError: no GPU can be read, torch sees no CUDA device, or a GPU told nothing under load.
        ProfileError: a profile cannot be written.
    """
    gpus = _find_gpus()
    if make_load is None:
        require_cuda()
        make_load = TorchLoad
    plan = plan or (QUICK_PLAN if quick else FULL_PLAN)
    results = []
    for gpu in gpus:
        tell(f"{gpu.info.device}: {plan.duration_s:.0f} s of known loads ...")
        profile = _calibrate(gpu, make_load(gpu.info.device_index), plan, quick=quick)
        results.append(CalibrationResult(profile, save(profile)))
    return results


def _calibrate(gpu: _Gpu, load: LoadSource, plan: Plan, *, quick: bool) -> Calibration:
    load.prepare()
    phases: list[Phase] = []
    switches: list[Switch] = []
    try:
        with Recorder(gpu.uuid) as recorder:
            for phase, steps in lay_out(plan, now_s() + _LEAD_S):
                switches.extend(load.play(steps, phase.begin_s))
                phases.append(phase)
    finally:
        load.close()
    if recorder.trace.size == 0:
        raise SensorError(
            f"{gpu.info.device} told nothing under load: {'; '.join(recorder.errors) or 'no reason known'}"
        )
    fit = fit_trace(recorder.trace, phases, switches)
    findings = find_state_problems([gpu.info], recorder.states, phases[0].begin_s, phases[-1].end_s)
    findings.extend(_judge(recorder.trace, recorder.errors, phases, fit))
    return Calibration(
        uuid=gpu.uuid,
        device=gpu.info.device,
        driver_version=gpu.driver_version,
        date=utc_label(),
        harness_version=harness.__version__,
        quick=quick,
        read_interval_s=fit.read_interval_s,
        counter_period_s=fit.counter_period_s,
        counter_jitter_s=fit.counter_jitter_s,
        idle_w=fit.idle_w,
        idle_drift_w=fit.idle_drift_w,
        signals=fit.signals,
        findings=tuple(findings),
    )


def _judge(trace: TraceArray, errors: Sequence[str], phases: Sequence[Phase], fit: TraceFit) -> list[Finding]:
    """Return what makes the whole calibration doubtful."""
    findings = [Finding(code="recorder_failed", severity="warning", text=text) for text in dict.fromkeys(errors)]
    if fit.read_interval_s > _SLOW_READS_S:
        text = f"reads came only every {fit.read_interval_s * 1e3:.1f} ms, and nothing is known more finely than that"
        findings.append(Finding(code="slow_reads", severity="warning", text=text, value=fit.read_interval_s))
    idle_w, steady_w = (_median_w(trace, find_phase(phases, name)) for name in (IDLE, STEADY))
    if idle_w is not None and steady_w is not None and steady_w < _MIN_RISE * idle_w:
        text = f"the load raised the power only from {idle_w:.1f} W to {steady_w:.1f} W, too little for a good fit"
        findings.append(Finding(code="weak_load", severity="warning", text=text, value=steady_w / idle_w))
    return findings


def _median_w(trace: TraceArray, phase: Phase | None) -> float | None:
    """Return the median power of any signal over the second half of a phase, in watts."""
    if phase is None:
        return None
    rows = cut(trace, (phase.begin_s + phase.end_s) / 2, phase.end_s)
    for name in ("usage_w", "instant_w", "average_w"):
        known_w = rows[name][~np.isnan(rows[name])]
        if known_w.size:
            return float(np.median(known_w))
    return None


def _find_gpus() -> list[_Gpu]:
    try:
        sensors = Nvml().open()
    except SensorError as error:
        raise SensorError(f"calibration needs an NVIDIA GPU: {error}") from error
    found = []
    for sensor in sensors:
        if isinstance(sensor, NvmlSensor):
            found.append(_Gpu(sensor.info, sensor.uuid, sensor.driver_version))
        sensor.close()
    return found
