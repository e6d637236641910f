"""What a task costs each arm of an inference study device by device: models from their windows, servers by shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.boundary import sum_boundary
from harness.analysis.device_joules import ArmDevices, Correctness, Value
from harness.analysis.inference.answered import SUITE, measure_answered, name_kinds, serve_windows
from harness.analysis.inference.results import KindCost
from harness.analysis.phases import SumReadings, sum_phase
from harness.analysis.task_costs import list_kinds, task_windows
from harness.analysis.task_devices import (
    NO_IDLE,
    RunDevices,
    measure_windows,
    read_device,
    summarise_devices,
    weigh_devices,
)
from harness.core.answers import TaskResult
from harness.core.records import RunRecord, WindowRecord

ONE_WINDOW = "a server's requests overlap: prefill and decode share one window"


def compare_arms(
    suite: KindCost,
    runs: Mapping[str, Sequence[RunRecord]],
    answers: Mapping[str, Sequence[TaskResult]],
) -> tuple[ArmDevices, ...]:
    """Return each arm's task of the whole `suite` by device; `runs` are the repeats of each arm that are compared."""
    rows = []
    for cost in suite.arms:
        own = runs[cost.arm]
        found = [measure_answered(run, answers.get(run.run_id, ()), SUITE) for run in own]
        per_correct = cost.figures["energy_per_correct"]
        correct = Correctness(
            accuracies=[one.accuracy for one in found],
            stderr=cost.accuracy_stderr,
            reason=per_correct.reason if per_correct.value is None else None,
        )
        samples = [measure_repeat(run, answers.get(run.run_id, ())) for run in own]
        windows = [window for run in own for window in _list_windows(run, answers.get(run.run_id, ()))]
        size = own[0].size if own else ""
        rows.append(summarise_devices(cost.arm, size, samples, windows, correct, cost.run_ids, "repeats"))
    return tuple(rows)


def measure_repeat(record: RunRecord, rows: Sequence[TaskResult]) -> RunDevices:
    """Return joules per task of each device in one run, the mean over its kinds of tasks."""
    parts = [_measure_kind(record, rows, kind) for kind in name_kinds(record, rows)]
    return weigh_devices([(part, 1 / len(parts)) for part in parts])


def _measure_kind(record: RunRecord, rows: Sequence[TaskResult], kind: str) -> RunDevices:
    served = serve_windows(record, kind)
    if not served:
        return measure_windows(_kind_windows(record, kind))
    whole = _per_task(served, sum_boundary)["gross"]
    own = measure_answered(record, rows, kind).energy_j
    # what requests of this kind bear of the window; each device is borne alike
    share: Value = "the share of this kind is unknown" if own is None or isinstance(whole, str) else own / whole
    devices = {(r.domain, r.device_index) for window in served for r in window.energy}
    return RunDevices(
        total=_scale(_per_task(served, sum_boundary), share),
        devices={device: _scale(_per_task(served, read_device(device)), share) for device in devices},
    )


def _per_task(windows: Sequence[WindowRecord], sum_readings: SumReadings) -> dict[str, Value]:
    cost = sum_phase(windows, sum_readings)
    gross, net = cost.per_task("energy_j"), cost.per_task("net_j")
    net = NO_IDLE if isinstance(net, str) and not isinstance(gross, str) else net
    return {"gross": gross, "net": net, "prefill": ONE_WINDOW, "decode": ONE_WINDOW}


def _scale(values: Mapping[str, Value], share: Value) -> dict[str, Value]:
    return {
        name: value if isinstance(value, str) else share if isinstance(share, str) else value * share
        for name, value in values.items()
    }


def _kind_windows(record: RunRecord, kind: str) -> list[WindowRecord]:
    return task_windows(record, kind if kind in list_kinds(record) else None)


def _list_windows(record: RunRecord, rows: Sequence[TaskResult]) -> list[WindowRecord]:
    """Return the windows behind a run's task, each once."""
    found: list[WindowRecord] = []
    for kind in name_kinds(record, rows):
        own = serve_windows(record, kind) or _kind_windows(record, kind)
        found += [window for window in own if not any(window is other for other in found)]
    return found
