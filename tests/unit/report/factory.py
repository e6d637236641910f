"""A synthetic study in memory, for tests of the page only: its numbers follow made-up power laws."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from harness.analysis import results as r
from harness.analysis import verdicts as v
from harness.analysis.device_joules import ArmDevices, DeviceJoules, TaskJoules
from harness.analysis.stats import Estimate
from harness.core import records as c
from harness.core.study import MatchRule, PlannedRun, StudyInfo, TuningNote
from tests.unit.report.record_factory import ARMS, SEEDS, SIZES, TOKENS, energy, make_record, make_records

__all__ = ["ARMS", "SEEDS", "SIZES", "TOKENS", "energy", "make_record", "make_records"]


def make_study(records: list[c.RunRecord], title: str = "A toy study") -> StudyInfo:
    return StudyInfo(
        study="toy",
        title=title,
        command="isojoule run -m experiment=toy",
        baseline_arm="dense",
        candidate_arm="moe",
        match=MatchRule(),
        order_seed=0,
        claims=("tenth_compute", "ninety_percent"),
        runs=tuple(
            PlannedRun(run_id=x.run_id, arm=x.arm, size=x.size, role=x.role, seed=x.seed, tokens=1, block=x.seed)
            for x in records
        ),
        tuning=(
            TuningNote(
                arm="moe",
                size="s",
                learning_rates=(0.003, 0.006),
                chosen=0.006,
                tokens_per_trial=500_000,
                num_seeds=1,
                total_flops=None,
                total_duration_s=120.0,
                where="log entry 1",
            ),
        ),
    )


def _interval(value: float) -> r.Interval:
    return r.Interval(low=value * 0.85, high=value * 1.2, level=0.95, method="paired t on log ratios over seeds")


def make_match(records: list[c.RunRecord], grade: c.Grade = "C") -> r.MatchResult:
    finished = [x for x in records if x.status == "finished"]
    both = {x.arm for x in finished} == set(ARMS)
    ids = tuple(x.run_id for x in finished)
    sizes = {"dense": ("m", "m", "m"), "moe": ("m", "m", "m")}

    def row(resource: r.Resource, loss: float, value: float) -> r.Multiplier:
        energetic = resource in ("energy", "net_energy")
        return r.Multiplier(
            resource=resource,
            loss=loss,
            estimate=value,
            interval=_interval(value),
            n=3,
            grade=grade if energetic else None,
            per_seed=((0, value * 0.98), (1, value), (2, value * 1.02)),
            sizes=sizes,
            edge_arms=("dense",),
            run_ids=ids,
        )

    loss = 2.38
    points = tuple(
        r.FrontierPoint(
            run_id=x.run_id,
            arm=x.arm,
            size=x.size,
            seed=x.seed,
            tokens=x.path.tokens,
            loss=x.quality[0].value or 0.0,
            flops=x.path.flops,
            seconds=x.path.duration_s,
            energy_j=x.path.energy[0].energy_j,
            net_energy_j=None,
            peak_memory_bytes=1e8,
            energy_grade=grade,
            energy_domains=("cpu",),
            active_params=x.params.active if x.params else None,
            total_params=x.params.total if x.params else None,
        )
        for x in finished
        if x.path is not None
    )
    tasks = tuple(
        r.ArmTask(
            arm=arm,
            size="m",
            energy_per_task_j=1.2 * k,
            energy_per_correct_j=None,
            flops_per_task=2e9,
            seconds_per_task=0.08 * k,
            prefill_energy_per_task_j=0.3 * k,
            decode_energy_per_task_j=0.9 * k,
            accuracy=0.17,
            accuracy_stderr=0.03,
            num_tasks=192,
            num_correct=33,
            loss=loss,
            energy_grade=grade,
            run_ids=ids,
            energy_per_correct_reason="fewer than 30 correct answers",
        )
        for arm, k in (("dense", 1.0), ("moe", 1.3))
    )
    devices = tuple(_make_devices(task) for task in tasks)
    return r.MatchResult(
        study="toy",
        baseline_arm="dense",
        candidate_arm="moe",
        rule="lowest common loss",
        matched_loss=loss if both else None,
        matched_loss_reason=None if both else "only one family has finished runs",
        common_losses=(2.2, 2.55) if both else None,
        curve=tuple(
            row(q, 2.2 + 0.07 * i, v - 0.05 * i)
            for q, v in (("flops", 2.4), ("energy", 1.7), ("seconds", 1.8))
            for i in range(6)
        )
        if both
        else (),
        headline=(
            *(row(q, loss, v) for q, v in (("flops", 2.4), ("energy", 1.7), ("seconds", 1.8), ("tokens", 2.2))),
            r.Multiplier(
                resource="peak_memory",
                loss=loss,
                estimate=None,
                interval=None,
                n=0,
                grade=None,
                per_seed=(),
                sizes={},
                edge_arms=(),
                run_ids=ids,
                lower_bound=0.4,
                reason="dense never reached it",
            ),
        )
        if both
        else (),
        points=points,
        arm_tasks=tasks if both else (),
        task_devices=devices if both else (),
        task_ratios=(
            r.TaskRatio(metric="energy_per_task", estimate=1.3, interval=_interval(1.3), n=3, grade=grade, run_ids=ids),
        )
        if both
        else (),
        checks=(
            r.Check(code="same_tokenizer", title="Same tokenizer", outcome="pass", text="both use byte"),
            r.Check(code="lr_tuned", title="Learning rate tuned alike", outcome="fail", text="only moe was tuned"),
        ),
        findings=(c.Finding(code="size_limited", severity="warning", text="dense stands at an edge of its ladder"),),
        excluded=tuple((x.run_id, "the run failed") for x in records if x.status == "failed"),
    )


def _make_devices(task: r.ArmTask) -> ArmDevices:
    """The CPU draws a quarter of the task's joules, the memory the rest; a tenth is above idle, all of the CPU."""
    short = Estimate(value=None, interval=None, n=0, reason=task.energy_per_correct_reason)

    def joules(share: float, net_share: float) -> TaskJoules:
        def of(value: float) -> Estimate:
            half = 0.1 * abs(value)
            interval = r.Interval(low=value - half, high=value + half, level=0.95, method="t over seeds")
            return Estimate(value=value, interval=interval, n=3)

        return TaskJoules(
            gross=of(share * (task.energy_per_task_j or 0)),
            net=of(net_share * (task.energy_per_task_j or 0)),
            prefill=of(share * (task.prefill_energy_per_task_j or 0)),
            decode=of(share * (task.decode_energy_per_task_j or 0)),
            gross_per_correct=short,
            net_per_correct=short,
        )

    parts: tuple[tuple[c.Domain, float, float], ...] = (("cpu", 0.25, 0.101), ("dram", 0.75, -0.001))
    return ArmDevices(
        arm=task.arm,
        size=task.size,
        total=joules(1.0, 0.1),
        parts=tuple(
            DeviceJoules(
                domain=domain, device_index=0, device="toy", sensors=("toy",), inside=True,
                joules=joules(share, net), grade=task.energy_grade or "C", simulated=False,
            )
            for domain, share, net in parts
        ),
        grade=task.energy_grade,
        simulated=False,
        run_ids=task.run_ids,
    )  # fmt: skip


def make_verdicts(match: r.MatchResult) -> list[v.ClaimVerdict]:
    nothing: dict[str, Any] = dict.fromkeys(
        ("estimate", "interval", "multiplier", "multiplier_interval", "grade", "matched_loss")
    )
    specs = (
        ("tenth_compute", "One tenth of the computing power to train", "training_flops", "counted"),
        ("ninety_percent", "90% less energy for each task", "energy_per_task", "energy"),
    )
    compute, power = (
        v.ClaimVerdict(
            claim=v.ClaimSpec(id=name, statement=words, source="press", metric=metric, factor=0.1, kind=kind),
            **nothing,
            verdict="not measured",
            text="There is nothing to compare.",
            n=0,
            run_ids=(),
            blocking=("no loss",),
        )
        for name, words, metric, kind in specs
    )
    if match.matched_loss is None:
        return [compute, power]
    shared: dict[str, Any] = {"matched_loss": match.matched_loss, "run_ids": match.headline[0].run_ids, "n": 3}
    word = "not supported at the tested scale"
    ratio: dict[str, Any] = {"estimate": 1 / 2.4, "interval": _interval(1 / 2.4), "multiplier": 2.4, "verdict": word}
    modelled: dict[str, Any] = {"modelled_estimate": 1.3, "modelled_interval": _interval(1.3), "grade": "C"}
    return [
        dataclasses.replace(compute, **shared, **ratio, text="The interval lies above one tenth.", blocking=()),
        dataclasses.replace(power, **shared, **modelled, text="No energy meter.", blocking=("energy is grade C",)),
    ]


def make_trace() -> dict[str, object]:
    times = [0.1 * i for i in range(400)]
    power = [10 + 4 * math.sin(t) if t > 4 else 3.0 for t in times]
    series = {"sensor": "codecarbon", "domain": "cpu", "device_index": 0, "times_s": times, "power_w": power}
    spans = (("idle_before", 0.5, 3.5), ("pretrain", 4.0, 30.0), ("decode", 31.0, 38.0))
    windows = [{"phase": phase, "repetition": 0, "begin_s": a, "end_s": b} for phase, a, b in spans]
    return {"series": [series], "windows": windows}
