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
from harness.core.routing import RoutingStats
from harness.core.study import MatchRule, PlannedRun, StudyInfo, TuningNote

ARMS = ("dense", "moe")
SIZES = {"s": 0.4e6, "m": 1.2e6}
TOKENS = (1_000_000, 2_000_000, 4_000_000)
SEEDS = (0, 1, 2)


def energy(
    joules: float | None, grade: c.Grade = "C", domain: c.Domain = "cpu", reason: str | None = None
) -> c.EnergyReading:
    return c.EnergyReading(
        sensor="codecarbon" if grade in "CD" else "nvml",
        domain=domain,
        device="cpu",
        device_index=0,
        energy_j=joules,
        grade=grade,
        method="modelled" if grade in "CD" else "counter",
        idle_w=0.4,
        net_energy_j=None if joules is None else joules * 0.8,
        num_samples=20,
        reason=reason,
    )


def make_record(
    arm: str = "dense",
    size: str = "s",
    seed: int = 0,
    tokens: int = 1_000_000,
    *,
    grade: c.Grade = "C",
    status: str = "finished",
    error: str | None = None,
    joules: float | None = -1.0,
) -> c.RunRecord:
    run_id = f"toy-{arm}-{size}-{tokens / 1e6:g}M-s{seed}-abc12345"
    moe = arm == "moe"
    active = int(SIZES[size])
    flops = 6.0 * active * tokens
    loss = 1.2 + 1.9 * (flops * (2.4 if moe else 1.0) / 1e12) ** -0.16 + 0.006 * (seed - 1)
    took = flops / (9e9 if moe else 12e9)
    spent = took * 14.0 if joules == -1.0 else joules
    reason = None if spent is not None else "the sensor gave no reading"
    readings = (
        energy(spent, grade, reason=reason),
        energy(None if spent is None else spent / 5, grade, "dram", reason),
    )
    windows = tuple(
        c.WindowRecord(
            phase=phase,
            repetition=0,
            begin_s=begin,
            duration_s=length,
            synced=True,
            work=None
            if phase.startswith("idle")
            else c.Work(
                unit="tokens",
                amount=1000.0,
                flops=1e9,
                num_tasks=64 if phase == "decode" else 0,
                num_correct=11 if phase == "decode" else None,
            ),
            energy=(energy(length * 14.0, grade),),
        )
        for phase, begin, length in (
            ("idle_before", 0.0, 2.0),
            ("pretrain", 2.0, took),
            ("prefill", 2 + took, 2.0),
            ("decode", 4 + took, 3.0),
        )
    )
    routing = RoutingStats(
        load=tuple(tuple((1 + 0.3 * math.sin(layer + expert)) / 16 for expert in range(16)) for layer in range(3)),
        max_violation=0.3,
        mean_entropy=0.97,
        num_dead_experts=0,
        num_tokens=65536,
    )
    failed = status == "failed"
    return c.RunRecord(
        schema_version=1,
        run_id=run_id,
        study="toy",
        role="branch",
        arm=arm,
        size=size,
        seed=seed,
        status="failed" if failed else "finished",
        started_utc="2026-01-02T03:04:05Z",
        config={"train": {"learning_rate": 0.006, "batch_size": 8}},
        config_hash="abc12345" * 8,
        environment=c.Environment(
            isojoule_version="0.1.0",
            python_version="3.12.1",
            os="Linux 6.1",
            cpu_model="Test CPU",
            num_cpus=2,
            memory_bytes=8 * 2**30,
            device="cpu",
            device_name="Test CPU",
            num_threads=2,
            determinism="strict",
            packages={"torch": "2.13", "numpy": "2.3"},
            git_commit="0123456789abcdef0123456789abcdef01234567",
            git_dirty=False,
        ),
        sensors=(
            c.SensorInfo(
                name="codecarbon",
                domain="cpu",
                device="cpu",
                device_index=0,
                method="modelled",
                grade=grade,
                update_period_s=None,
                source="codecarbon 3.0",
            ),
        ),
        data=c.DataInfo(
            corpus="python_source",
            sha256="d" * 64,
            tokenizer="byte",
            tokenizer_sha256="e" * 64,
            vocab_size=256,
            num_files=900,
            num_duplicates_removed=31,
            train_bytes=9_000_000,
            train_tokens=9_000_000,
            validation_bytes=500_000,
            validation_tokens=500_000,
            test_bytes=500_000,
            test_tokens=500_000,
            bytes_per_token=1.0,
        ),
        params=c.ParamCount(
            total=active * (5 if moe else 1), active=active, embedding=32768, active_non_embedding=active - 32768
        ),
        flops=c.FlopCount(
            forward_per_token=2.0 * active,
            train_per_token=6.0 * active,
            formula_version=1,
            convention="full attention",
            formula_total=1e9,
            traced_total=1e9,
            relative_gap=0.0,
        ),
        path=None
        if failed
        else c.PathCost(
            tokens=tokens, flops=flops, duration_s=took, energy=readings, peak_memory_bytes=(3 if moe else 1) * 10**8
        ),
        windows=() if failed else windows,
        quality=()
        if failed
        else (
            c.QualityReading(
                metric="validation_bits_per_byte",
                value=loss,
                stderr=0.004,
                num_samples=2048,
                higher_is_better=False,
                task="validation",
                task_version=1,
                data_sha256="d" * 64,
            ),
            c.QualityReading(
                metric="exact_match",
                value=11 / 64,
                stderr=0.05,
                num_samples=64,
                higher_is_better=True,
                task="line_completion",
                task_version=1,
                data_sha256="d" * 64,
            ),
        ),
        routing=routing if moe and not failed else None,
        loss_curve=((100_000, 5.0), (tokens, loss)),
        epochs=tokens / 9e6,
        train_flops_per_s=None if failed else flops / took,
        findings=(c.Finding(code="short_window", severity="warning", text="the window is short"),) if seed == 2 else (),
        error=error,
    )


def make_records(arms: tuple[str, ...] = ARMS, grade: c.Grade = "C") -> list[c.RunRecord]:
    found = [make_record(a, s, k, t, grade=grade) for a in arms for s in SIZES for k in SEEDS for t in TOKENS]
    return sorted(found, key=lambda record: record.run_id)


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
