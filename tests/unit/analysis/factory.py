"""Made-up studies whose true multiplier is known, for tests only: loss = E + A * (m C)^-a, m = 1 for the baseline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core import records as c
from harness.core.routing import RoutingStats
from harness.core.study import MatchRule, PlannedRun, StudyInfo, TuningNote

FLOOR, SCALE, EXPONENT = 1.0, 400.0, 0.2
BUDGETS = (1e12, 2e12, 4e12, 8e12)
# Active parameters by size; a size off the optimum pays this factor on its effective compute.
SIZES = {"s": 1.0}
DOMAIN: c.Domain = "gpu"


def true_loss(effective_flops: float) -> float:
    """Loss in bits per byte after `effective_flops`."""
    return FLOOR + SCALE * effective_flops**-EXPONENT


def reading(joules: float | None, grade: c.Grade = "A", domain: c.Domain = DOMAIN, **changes: Any) -> c.EnergyReading:
    """One reading; net energy is 0.8 of gross, and the edges leave 0.1% open where it is measured."""
    values: dict[str, Any] = {
        "sensor": "nvml" if grade in "AB" else "codecarbon",
        "domain": domain,
        "device": "card",
        "device_index": 0,
        "energy_j": joules,
        "net_energy_j": None if joules is None else 0.8 * joules,
        "uncertainty_j": None if joules is None or grade not in "AB" else 0.001 * joules,
        "grade": grade,
        "method": "counter" if grade in "AB" else "modelled",
    }
    return c.EnergyReading(**{**values, **changes})


def window(
    phase: str, energy: Sequence[c.EnergyReading], work: c.Work | None = None, duration_s: float = 2.0
) -> c.WindowRecord:
    """One window of a phase."""
    return c.WindowRecord(
        phase=phase,
        repetition=0,
        begin_s=0.0,
        duration_s=duration_s,
        synced=True,
        work=work,
        energy=tuple(energy),
    )


def make_record(
    arm: str = "dense",
    *,
    size: str = "s",
    seed: int = 0,
    flops: float = 1e12,
    loss: float | None = None,
    multiplier: float = 1.0,
    joules_per_flop: float = 1e-11,
    grade: c.Grade = "A",
    active: int = 1_000_000,
    task_j: float = 0.5,
    num_correct: int = 60,
    **changes: Any,
) -> c.RunRecord:
    """One finished run that reached the law's loss, or `loss`; `changes` replace fields of the record."""
    sparse = arm == "moe"
    moe = {"num_experts": 16, "top_k": 2, "dispatch": "grouped_mm"} if sparse else {}
    energy = reading(flops * joules_per_flop, grade)
    loss = true_loss(multiplier * flops) if loss is None else loss
    work = c.Work(unit="task", amount=640, flops=640 * 2e6, num_tasks=640)
    idle = [window(phase, [reading(20.0, grade)]) for phase in ("idle_resident", "idle_after")]
    answers = [window("prefill", [reading(640 * task_j * 0.25, grade)], work)]
    answers += [window("decode", [reading(640 * task_j * 0.75, grade)], work)]
    tokens = int(flops / 6e6)
    fork = tokens // 5 * 4
    own = c.Work(unit="token", amount=tokens - fork, num_input_tokens=tokens - fork)
    training = window("pretrain", [reading(flops * joules_per_flop * 0.2, grade)], own)
    sensor = c.SensorInfo(
        name=energy.sensor,
        domain=energy.domain,
        device="card",
        device_index=0,
        method=energy.method,
        grade=grade,
        update_period_s=0.1,
        source="toy",
        power_limit_w=300.0,
    )
    quality = {"task_version": 1, "data_sha256": "d" * 64}
    values: dict[str, Any] = {
        "schema_version": c.SCHEMA_VERSION,
        "run_id": f"toy-{arm}-{size}-{flops:.3g}-s{seed}",
        "study": "toy",
        "role": "branch",
        "arm": arm,
        "size": size,
        "seed": seed,
        "status": "finished",
        "started_utc": "2026-01-01T00:00:00Z",
        "config": {
            "model": {"size": size, "rope_theta": 1e4, "qk_norm": True, "tie_embeddings": True} | moe,
            "train": {"precision": "fp32", "learning_rate": 0.008, "context_length": 128, "batch_size": 8},
            "data": {"corpus": "toy", "tokenizer": "byte"},
            "task": {"version": 1},
        },
        "config_hash": "0" * 64,
        "environment": c.Environment(
            isojoule_version="0",
            python_version="3",
            os="toy",
            cpu_model="toy",
            num_cpus=2,
            memory_bytes=1,
            device="cuda",
            device_name="toy card",
            num_threads=2,
            determinism="toy",
            packages={"torch": "2"},
            gpu_uuid="card-0",
        ),
        "plan_position": c.PlanPosition(block=seed, index=int(sparse), order_seed=1),
        "data": c.DataInfo(
            corpus="toy",
            sha256="d" * 64,
            tokenizer="byte",
            tokenizer_sha256="t" * 64,
            vocab_size=256,
            num_files=9,
            num_duplicates_removed=0,
            train_bytes=9_000_000,
            train_tokens=9_000_000,
            validation_bytes=900_000,
            validation_tokens=900_000,
            test_bytes=900_000,
            test_tokens=900_000,
            bytes_per_token=1.0,
        ),
        "params": c.ParamCount(total=4 * active, active=active, embedding=1, active_non_embedding=active - 1),
        "flops": c.FlopCount(
            forward_per_token=2e6, train_per_token=6e6, formula_version=1, convention="full", relative_gap=0.0
        ),
        "path": c.PathCost(
            tokens=tokens,
            flops=flops,
            duration_s=flops / 1e11,
            energy=(energy,),
            peak_memory_bytes=2_000_000 if sparse else 1_000_000,
            trunk_run_id=f"toy-{arm}-{size}-trunk-s{seed}",
            fork_tokens=fork,
        ),
        "sensors": (sensor,),
        "windows": (*idle, training, *answers),
        "loss_curve": tuple((tokens * part // 20, loss + 1 / part) for part in range(1, 21)),
        "quality": (
            c.QualityReading(
                metric="validation_bits_per_byte",
                value=loss,
                stderr=0.01,
                num_samples=99,
                higher_is_better=False,
                task="language_modelling",
                **quality,
            ),
            c.QualityReading(
                metric="exact_match",
                value=num_correct / 192,
                stderr=0.03,
                num_samples=192,
                higher_is_better=True,
                task="line_completion",
                **quality,
            ),
        ),
        "routing": RoutingStats(
            load=((0.5, 0.5),), max_violation=0.0, mean_entropy=1.0, num_dead_experts=0, num_tokens=99
        )
        if sparse
        else None,
        "epochs": 1.0,
        "train_flops_per_s": 1e11,
    }
    return c.RunRecord(**{**values, **changes})


def make_records(
    multiplier: float = 2.0,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    budgets: Mapping[str, Sequence[float]] | None = None,
    noise: Callable[[str, int, float], float] = lambda arm, seed, flops: 0.0,
    **changes: Any,
) -> list[c.RunRecord]:
    """Records of both arms over `budgets` (training FLOPs); the sparse arm reaches a loss with 1/multiplier of them.

    `noise` (arm, seed, FLOPs) is added to a loss.
    """
    budgets = budgets or {"dense": BUDGETS, "moe": [flops / multiplier for flops in BUDGETS]}
    records = []
    for arm, ladder in budgets.items():
        true = multiplier if arm == "moe" else 1.0
        for seed in seeds:
            for flops in ladder:
                loss = true_loss(true * flops) + noise(arm, seed, flops)
                records.append(make_record(arm, seed=seed, flops=flops, loss=loss, **changes))
    return records


def with_accuracies(records: Sequence[c.RunRecord], multiplier: float) -> list[c.RunRecord]:
    """Records whose accuracy rises with log FLOPs, the sparse arm reaching each with 1/multiplier of them."""
    changed = []
    for record in records:
        assert record.path is not None
        effective = record.path.flops * (multiplier if record.arm == "moe" else 1.0)
        share = (30 + 25 * math.log2(effective / 1e12)) / 192
        quality = tuple(dataclasses.replace(q, value=share) if q.metric == "exact_match" else q for q in record.quality)
        changed.append(dataclasses.replace(record, quality=quality))
    return changed


def make_study(records: Sequence[c.RunRecord], **changes: Any) -> StudyInfo:
    """The promise of exactly these records, with a disclosed search of the learning rate."""
    notes = tuple(
        TuningNote(
            arm=arm,
            size="s",
            learning_rates=(0.004, 0.008, 0.016),
            chosen=0.008,
            tokens_per_trial=1_000_000,
            num_seeds=1,
            total_flops=1e12,
            total_duration_s=10.0,
            where="LOG.md",
        )
        for arm in ("dense", "moe")
    )
    values: dict[str, Any] = {
        "study": "toy",
        "title": "toy",
        "command": "toy",
        "baseline_arm": "dense",
        "candidate_arm": "moe",
        "match": MatchRule(),
        "order_seed": 1,
        "runs": tuple(
            PlannedRun(
                run_id=r.run_id, arm=r.arm, size=r.size, role=r.role, seed=r.seed, tokens=1_000_000, block=r.seed
            )
            for r in records
        ),
        "claims": (),
        "tuning": notes,
    }
    return StudyInfo(**{**values, **changes})


def swap_path(record: c.RunRecord, **changes: Any) -> c.RunRecord:
    """Return the record with changes to the cost of its path."""
    assert record.path is not None
    return dataclasses.replace(record, path=dataclasses.replace(record.path, **changes))
