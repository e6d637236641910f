"""Made-up records of inference whose costs are known: suites, sweeps, published models, servers. For tests only."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core import records as c
from harness.core.answers import TaskResult
from harness.core.inference import ModelSource, Percentiles, Regime, ServingStats
from harness.core.routing import ExpertCoverage, TaskRouting
from harness.core.store import Store
from harness.core.study import MatchRule, PlannedRun, StudyInfo, save_study
from tests.unit.analysis.factory import make_record, reading, window

KINDS = ("arithmetic", "sorting")
NUM_EXAMPLES = 64
ANSWER = 9  # new tokens of a task, the first of which prefill makes
PROMPT = 32
PASSES = 10
# (arm, kind, batch, context, answer, repetition) -> a factor on joules
Noise = Callable[[str, int], float]


def quiet(_arm: str, _repetition: int) -> float:
    return 1.0


def phase_window(  # noqa: PLR0917
    phase: str, regime: Regime, repetition: int, joules_per_task: float, seconds_per_task: float, grade: c.Grade = "A"
) -> c.WindowRecord:
    """One window in which every task cost that much; tokens follow the regime, a free answer has half its limit."""
    tasks = PASSES * regime.batch_size
    prompt, limit = regime.num_input_tokens or PROMPT, regime.num_output_tokens or ANSWER
    made = limit if regime.answer_length == "fixed" else max(1, limit // 2)
    reads, writes = phase != "decode", phase != "prefill"
    work = c.Work(
        unit="task",
        amount=tasks,
        flops=tasks * 1e6,
        num_input_tokens=tasks * prompt if reads else 0,
        num_output_tokens=tasks * ((1 if reads else 0) + (made - 1 if writes else 0)),
        num_tasks=tasks,
        num_steps=PASSES * ((1 if reads else 0) + (made - 1 if writes else 0)),
        num_bytes=tasks * 1e5,
    )
    made_window = window(phase, [reading(tasks * joules_per_task, grade)], work, tasks * seconds_per_task)
    return dataclasses.replace(made_window, repetition=repetition, regime=regime, peak_memory_bytes=10**6)


def kind_windows(
    arm: str,
    joules: Mapping[str, float],
    repetitions: int = 3,
    grade: c.Grade = "A",
    noise: Noise = quiet,
) -> list[c.WindowRecord]:
    """Windows of a suite: a quarter of a task's joules in prefill, the rest in decode."""
    made = []
    for kind, joule in joules.items():
        regime = Regime(kind=kind, batch_size=8, num_input_tokens=PROMPT, num_output_tokens=ANSWER)
        for number in range(repetitions):
            cost = joule * noise(arm, number)
            made.append(phase_window("prefill", regime, number, cost / 4, 0.01, grade))
            made.append(phase_window("decode", regime, number, cost * 3 / 4, 0.03, grade))
    return made


def sweep_windows(
    cost: Callable[[int], tuple[float, float]],
    *,
    batches: Sequence[int] = (1, 8),
    context: int = 64,
    answer: int = 5,
    repetitions: int = 3,
    free: bool = False,
    whole: float | None = 1.0,
) -> list[c.WindowRecord]:
    """Windows of a sweep: `cost` gives joules and seconds of a task by batch; ``generate`` costs `whole` times that."""
    made = []
    for batch in batches:
        lengths = ("fixed", "free") if free else ("fixed",)
        for length in lengths:
            regime = Regime(
                kind="sweep", batch_size=batch, num_input_tokens=context, num_output_tokens=answer, answer_length=length
            )
            joules, seconds = cost(batch)
            for number in range(repetitions):
                made.append(phase_window("prefill", regime, number, joules / 4, seconds / 4))
                made.append(phase_window("decode", regime, number, joules * 3 / 4, seconds * 3 / 4))
                if whole is not None:
                    made.append(phase_window("generate", regime, number, joules * whole, seconds))
    return made


def accuracy(kind: str, value: float, num_samples: int = NUM_EXAMPLES) -> c.QualityReading:
    return c.QualityReading(
        metric="exact_match",
        value=value,
        stderr=(value * (1 - value) / num_samples) ** 0.5,
        num_samples=num_samples,
        higher_is_better=True,
        task=kind,
        task_version=1,
        data_sha256=hashlib.sha256(kind.encode()).hexdigest(),
        chance=0.1,
    )


def with_suite(
    record: c.RunRecord,
    joules: Mapping[str, float],
    accuracies: Mapping[str, float],
    *,
    sweep: Sequence[c.WindowRecord] = (),
    **options: Any,
) -> c.RunRecord:
    """A trained run that answered a suite in place of line completion, and went through a sweep."""
    others = tuple(w for w in record.windows if w.phase not in ("prefill", "decode"))
    loss = tuple(q for q in record.quality if q.metric != "exact_match")
    return dataclasses.replace(
        record,
        windows=(*others, *kind_windows(record.arm, joules, **options), *sweep),
        quality=(*loss, *(accuracy(kind, value) for kind, value in accuracies.items())),
    )


def make_model_record(
    arm: str,
    seed: int = 0,
    *,
    joules: Mapping[str, float] | None = None,
    accuracies: Mapping[str, float] | None = None,
    grade: c.Grade = "A",
    noise: Noise = quiet,
    sweep: Sequence[c.WindowRecord] = (),
    **changes: Any,
) -> c.RunRecord:
    """A published model that answered a suite: nothing was trained."""
    joules = joules or dict.fromkeys(KINDS, 1.0)
    accuracies = accuracies or dict.fromkeys(joules, 0.75)
    sparse = arm == "moe"
    values: dict[str, Any] = {
        "study": "pair",
        "role": "single",
        "run_id": f"pair-{arm}-hf-s{seed}",
        "size": "hf",
        "path": None,
        "data": None,
        "flops": None,
        "routing": None,
        "training_routing": None,
        "loss_curve": (),
        "epochs": None,
        "train_flops_per_s": None,
        "peak_flops_per_s": 1e9,
        "peak_bytes_per_s": 1e8,
        "params": c.ParamCount(
            total=4_000_000 if sparse else 1_000_000, active=1_000_000, embedding=1, active_non_embedding=999_999
        ),
        "config": {"model": {"family": "hf"}, "task": {"mode": "engine", "regimes": {"max_ttft_s": 0.05}}},
        "windows": (
            window("idle_resident", [reading(20.0, grade)]),
            window("idle_after", [reading(20.0, grade)]),
            *kind_windows(arm, joules, grade=grade, noise=lambda a, r: noise(a, 10 * seed + r)),
            *sweep,
        ),
        "quality": tuple(accuracy(kind, value) for kind, value in accuracies.items()),
        "model_source": ModelSource(
            name=f"tiny-{arm}",
            architecture="Llama",
            model_type="llama",
            precision="bf16",
            config_sha256="c" * 64,
            weights_sha256="w" * 64,
            library="transformers",
            library_version="5",
        ),
    }
    return dataclasses.replace(make_record(arm, seed=seed), **{**values, **changes})


def make_rows(
    record: c.RunRecord,
    correct: Mapping[str, int],
    *,
    failed: int = 0,
    num_examples: int = NUM_EXAMPLES,
    joules: float = 1.0,
    bytes_per_answer: int = 4,
) -> list[TaskResult]:
    """One row an example: the first `correct` of a kind are right, the last `failed` got no answer."""
    rows = []
    for kind, right in correct.items():
        for index in range(num_examples):
            lost = index >= num_examples - failed
            rows.append(
                TaskResult(
                    kind=kind,
                    index=index,
                    repetition=0,
                    status="failed" if lost else "answered",
                    prompt_sha256=hashlib.sha256(f"{kind}{index}".encode()).hexdigest(),
                    expected="1",
                    answer=None if lost else "1" if index < right else "0",
                    correct=None if lost else index < right,
                    num_input_tokens=PROMPT,
                    num_output_tokens=ANSWER,
                    answer_bytes=None if lost else 1,
                    made_bytes=None if lost else bytes_per_answer,
                    ended_bytes=None if lost else bytes_per_answer,
                    energy_j=None if lost else joules,
                    energy_grade=None if lost else "A",
                    energy_share=None if lost else "equal",
                    seconds=0.1,
                    reason="timeout" if lost else None,
                )
            )
    return rows


def make_pair(
    ratio: float = 0.5,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    correct: tuple[int, int] = (48, 48),
    grade: c.Grade = "A",
    noise: Noise | None = None,
    **changes: Any,
) -> tuple[list[c.RunRecord], dict[str, list[TaskResult]]]:
    """Records and answers of two published models; the candidate's tasks cost `ratio` times the baseline's."""
    records, answers = [], {}
    shaken = noise or (lambda arm, number: 1 + 0.01 * ((number * 7 + len(arm) * 3) % 5 - 2))
    for arm, factor, right in (("dense", 1.0, correct[0]), ("moe", ratio, correct[1])):
        for seed in seeds:
            record = make_model_record(
                arm,
                seed,
                joules={kind: factor * (1 + index) for index, kind in enumerate(KINDS)},
                accuracies=dict.fromkeys(KINDS, right / NUM_EXAMPLES),
                grade=grade,
                noise=shaken,
                plan_position=c.PlanPosition(block=seed, index=int(arm == "moe"), order_seed=1),
                **changes,
            )
            records.append(record)
            answers[record.run_id] = make_rows(record, dict.fromkeys(KINDS, right))
    return records, answers


def make_inference_study(records: Sequence[c.RunRecord], **changes: Any) -> StudyInfo:
    """The promise of exactly these runs of models that are not trained here."""
    values: dict[str, Any] = {
        "study": "pair",
        "title": "Two published models",
        "command": "isojoule run -m experiment=pair_hf",
        "baseline_arm": "dense",
        "candidate_arm": "moe",
        "match": MatchRule(margin_accuracy=0.1),
        "order_seed": 1,
        "runs": tuple(
            PlannedRun(run_id=r.run_id, arm=r.arm, size=r.size, role=r.role, seed=r.seed, tokens=0, block=r.seed)
            for r in records
        ),
        "claims": ("energy_per_task_90_equal_accuracy", "energy_per_correct_90"),
        "purpose": "inference",
    }
    return StudyInfo(**{**values, **changes})


def latency(p50: float) -> Percentiles:
    return Percentiles(n=60, mean=p50 * 1.1, p50=p50, p90=p50 * 1.5, p95=p50 * 1.8, p99=p50 * 2.5, maximum=p50 * 3)


def make_server_record(
    arm: str, seed: int = 0, *, joules: float = 100.0, failed: int = 4, **changes: Any
) -> c.RunRecord:
    """A server that answered two kinds under load, with a stretch of full load inside."""
    sent = NUM_EXAMPLES * len(KINDS)
    answered = sent - failed
    work = c.Work(
        unit="request", amount=answered, num_input_tokens=answered * PROMPT, num_output_tokens=answered * ANSWER,
        num_tasks=answered,
    )  # fmt: skip
    half = dataclasses.replace(
        work, amount=answered // 2, num_tasks=answered // 2, num_output_tokens=answered // 2 * ANSWER
    )
    stats = ServingStats(
        server_model=f"served-{arm}",
        api="completions",
        concurrency=4,
        request_rate_per_s=None,
        burstiness=None,
        num_sent=sent,
        num_answered=answered,
        num_failed=failed,
        num_retries=2,
        failures={"timeout": failed} if failed else {},
        duration_s=20.0,
        num_input_tokens=answered * PROMPT,
        num_output_tokens=answered * ANSWER,
        token_source="the server",  # noqa: S106  # of counts
        ttft_s=latency(0.05),
        itl_s=latency(0.01),
        tpot_s=latency(0.011),
        e2e_s=latency(0.2),
        requests_per_s=answered / 20,
        output_tokens_per_s=answered * ANSWER / 20,
        goodput_per_s=answered / 25,
        steady_begin_s=2.0,
        steady_end_s=12.0,
    )
    values: dict[str, Any] = {
        "run_id": f"serve-{arm}-s{seed}",
        "model_source": None,
        "params": None,
        "config": {"task": {"mode": "server"}},
        "windows": (
            window("serve", [reading(joules)], work, 20.0),
            window("serve_steady", [reading(joules * 0.45)], half, 10.0),
        ),
        "quality": tuple(accuracy(kind, 0.75) for kind in KINDS),
        "serving": stats,
    }
    return make_model_record(arm, seed, **{**values, **changes})


def routing(kind: str, load: Sequence[Sequence[float]], active: float = 1e6, total: int = 4_000_000) -> TaskRouting:
    return TaskRouting(
        kind=kind,
        load=tuple(tuple(row) for row in load),
        mean_entropy=0.9,
        num_tokens=1000,
        active_params_per_token=active,
        total_params=total,
    )


def coverage(kind: str, batch: int, measured: float) -> ExpertCoverage:
    return ExpertCoverage(
        kind=kind,
        batch_size=batch,
        measured=measured,
        measured_stderr=0.1,
        expected_even=measured * 1.2,
        expected_load=measured * 1.05,
        num_experts=16,
        top_k=2,
        num_steps=50,
    )


def fill_store(
    root: Path,
    records: Sequence[c.RunRecord],
    answers: Mapping[str, Sequence[TaskResult]] | None = None,
    study: StudyInfo | None = None,
) -> Path:
    """Write records, answers and the promise of a study to a store at `root`; return it."""
    store = Store(root)
    for record in records:
        store.write_record(record)
    for run_id, rows in (answers or {}).items():
        store.write_answers(run_id, rows)
    if study is not None:
        save_study(root, study)
    return root
