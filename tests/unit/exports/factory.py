"""Runs in memory and a store on disk for the tests of exports; the numbers are easy to add up."""

from __future__ import annotations

from pathlib import Path

from harness.core import records as c
from harness.core.answers import TaskResult
from harness.core.inference import Regime
from harness.core.store import Store

HOSTILE = (
    '=HYPERLINK("http://x";"y")', "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''@x", "'quoted", "",
    'say "hi", then\nleave', "\x00\x1b[31m", "\u202etxt", "naïve ☃ 𝄞", "\uff1d1", "a,b;c", "null", "NaN",
)  # fmt: skip


def reading(
    joules: float | None,
    domain: c.Domain = "gpu",
    *,
    sensor: str = "nvml",
    grade: c.Grade = "A",
    index: int = 0,
    simulated: bool = False,
    idle_w: float | None = 50.0,
    reason: str | None = None,
) -> c.EnergyReading:
    return c.EnergyReading(
        sensor=sensor,
        domain=domain,
        device="NVIDIA H100" if domain == "gpu" else "Test CPU",
        device_index=index,
        energy_j=joules,
        grade=grade,
        method="modelled" if grade in "CD" else "counter",
        simulated=simulated,
        idle_w=idle_w,
        net_energy_j=None if joules is None or idle_w is None else joules - idle_w,
        uncertainty_j=None,
        num_samples=20,
        coverage=1.0,
        peak_power_w=350.0,
        reason=reason,
    )


def modelled(joules: float | None = 40.0, domain: c.Domain = "cpu") -> c.EnergyReading:
    return reading(joules, domain, sensor="codecarbon", grade="C", idle_w=None)


def window(
    phase: str,
    energy: tuple[c.EnergyReading, ...],
    *,
    regime: Regime | None = None,
    tasks: int = 10,
    tokens_out: int = 0,
    num_correct: int | None = None,
    repetition: int = 0,
    duration_s: float = 2.0,
) -> c.WindowRecord:
    return c.WindowRecord(
        phase=phase,
        repetition=repetition,
        begin_s=1.0,
        duration_s=duration_s,
        synced=True,
        work=c.Work(
            unit="task",
            amount=float(tasks),
            flops=1e9,
            num_input_tokens=tasks * 96,
            num_output_tokens=tokens_out,
            num_tasks=tasks,
            num_correct=num_correct,
        ),
        energy=energy,
        regime=regime,
    )


def regime(batch_size: int = 1, kind: str = "arithmetic", length: str = "fixed") -> Regime:
    return Regime(kind=kind, batch_size=batch_size, num_input_tokens=96, num_output_tokens=12, answer_length=length)  # type: ignore[arg-type]


def quality(kind: str, value: float | None, n: int = 200) -> c.QualityReading:
    return c.QualityReading(
        metric="exact_match",
        value=value,
        stderr=0.02,
        num_samples=n,
        higher_is_better=True,
        task=kind,
        task_version=1,
        data_sha256="d" * 64,
        reason=None if value is not None else "nothing was asked",
        chance=0.1,
    )


def make_record(
    run_id: str = "toy-dense-s-s0-abc",
    *,
    windows: tuple[c.WindowRecord, ...] = (),
    path_energy: tuple[c.EnergyReading, ...] | None = None,
    qualities: tuple[c.QualityReading, ...] = (),
    role: c.Role = "branch",
    arm: str = "dense",
    error: str | None = None,
    device: str = "cuda",
) -> c.RunRecord:
    return c.RunRecord(
        schema_version=3,
        run_id=run_id,
        study="toy",
        role=role,
        arm=arm,
        size="s",
        seed=0,
        status="failed" if error else "finished",
        error=error,
        started_utc="2026-01-02T03:04:05Z",
        config={"task": {"batch_size": 32, "context_length": 96, "max_answer_tokens": 12}},
        config_hash="abc" * 8,
        environment=c.Environment(
            isojoule_version="0.1.0",
            python_version="3.12.1",
            os="Linux 6.1",
            cpu_model="Test CPU",
            num_cpus=2,
            memory_bytes=2**33,
            device=device,
            device_name="NVIDIA H100 80GB HBM3" if device == "cuda" else "Test CPU",
            num_threads=2,
            determinism="strict",
            packages={"torch": "2.13"},
        ),
        path=None
        if path_energy is None
        else c.PathCost(tokens=1000, flops=6e9, duration_s=10.0, energy=path_energy, peak_memory_bytes=None),
        windows=windows,
        quality=qualities,
    )


def answer(index: int, text: str | None, *, kind: str = "arithmetic", repetition: int = 0) -> TaskResult:
    failed = text is None
    return TaskResult(
        kind=kind,
        index=index,
        repetition=repetition,
        status="failed" if failed else "answered",
        prompt_sha256="e" * 64,
        expected=text or "",
        answer=text,
        correct=None if failed else index % 2 == 0,
        num_input_tokens=None if failed else 96,
        num_output_tokens=None if failed else 12,
        answer_bytes=None if text is None else len(text.encode()),
        energy_j=None if failed else 0.1 + 0.2 * index,
        energy_grade=None if failed else "A",
        energy_share=None if failed else "equal",
        seconds=None if failed else 1e-7 * (index + 1),
        reason="-timeout" if failed else None,
        num_tries=3 if failed else None,
    )


def write_store(root: Path, *records: c.RunRecord, answers: dict[str, list[TaskResult]] | None = None) -> Path:
    store = Store(root)
    for record in records:
        store.write_record(record)
    for run_id, results in (answers or {}).items():
        store.write_answers(run_id, results)
    return root
