"""Synthetic records for tests of the page only: their numbers follow made-up power laws."""

from __future__ import annotations

import math

from harness.core import records as c
from harness.core.routing import RoutingStats

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
