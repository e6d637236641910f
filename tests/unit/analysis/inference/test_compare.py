"""Two models on the same questions: ratios in every unit, their intervals, and what is refused or left out."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.inference.answered import measure_answered
from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.results import InferenceResult
from harness.analysis.inference.scores import summarise_scores
from harness.analysis.results import TaskRatio
from harness.core import records as c
from harness.core.answers import TaskResult
from harness.core.errors import RecordError
from harness.core.study import MatchRule
from tests.unit.analysis.factory import make_record, reading
from tests.unit.analysis.inference.factory import (
    KINDS,
    NUM_EXAMPLES,
    make_inference_study,
    make_model_record,
    make_pair,
    make_rows,
    make_server_record,
    with_suite,
)
from tests.unit.analysis.inference.factory import accuracy as c_accuracy


def ratio(result: InferenceResult, metric: str, kind: str = "suite") -> TaskRatio:
    assert result.suite is not None
    found = next(k for k in (result.suite, *result.kinds) if k.kind == kind)
    return next(r for r in found.ratios if r.metric == metric)


def compare(records: list[c.RunRecord], answers: dict, **study: object) -> InferenceResult:
    return compare_inference(records, answers, make_inference_study(records, **study))


def test_the_suite_is_the_mean_over_kinds_and_every_unit_has_a_ratio() -> None:
    records, answers = make_pair(0.5, noise=lambda arm, number: 1.0)
    result = compare(records, answers)
    assert result.suite is not None
    dense, moe = result.suite.arms
    assert dense.figures["energy_per_task"].value == pytest.approx(1.5)  # kinds cost 1 and 2 J
    assert dense.figures["energy_per_token"].value == pytest.approx(1.5 / 9)
    assert dense.figures["energy_per_byte"].value == pytest.approx(1.5 / 4)
    assert dense.figures["energy_per_correct"].value == pytest.approx(2.0)
    assert moe.tokens_per_task == 9
    for metric in ("energy_per_task", "energy_per_token", "energy_per_byte", "energy_per_correct"):
        assert ratio(result, metric).estimate == pytest.approx(0.5)
    assert ratio(result, "seconds_per_task").estimate == pytest.approx(1.0)
    assert {kind.kind for kind in result.kinds} == set(KINDS)
    assert result.kinds[0].chance == 0.1


def test_longer_answers_turn_the_ratio_per_byte_and_not_per_task() -> None:
    records, answers = make_pair(0.5)
    for record in records:
        if record.arm == "moe":
            answers[record.run_id] = make_rows(record, dict.fromkeys(KINDS, 48), bytes_per_answer=2)
    result = compare(records, answers)
    per_task, per_byte = (ratio(result, metric).estimate for metric in ("energy_per_task", "energy_per_byte"))
    assert per_byte == pytest.approx(2 * (per_task or 0.0))


def test_intervals_are_over_repeats_by_the_studys_rule() -> None:
    records, answers = make_pair(0.5)
    paired = ratio(compare(records, answers), "energy_per_task")
    alone = ratio(compare(records, answers, match=MatchRule(interval="two_sample")), "energy_per_task")
    assert paired.n == alone.n == 3
    assert paired.interval is not None
    assert alone.interval is not None
    assert paired.interval.method.startswith("paired t on log ratios over repeats")
    assert alone.interval.method.startswith("two-sample t on log costs over repeats")


def test_one_repeat_gives_no_ratio_and_says_why() -> None:
    found = ratio(compare(*make_pair(0.5, seeds=(0,))), "energy_per_task")
    assert (found.estimate, found.interval, found.n) == (None, None, 1)
    assert found.reason == "one repeat: no interval, so no number"


def test_repeats_do_not_multiply_the_questions() -> None:
    result = compare(*make_pair(0.5, seeds=(0, 1, 2, 3)))
    assert result.suite is not None
    assert result.suite.accuracy is not None
    assert result.suite.accuracy.num_examples == NUM_EXAMPLES * len(KINDS)
    few = compare(*make_pair(0.5, correct=(29, 29)))
    assert ratio(few, "energy_per_correct", "sorting").estimate is None
    assert "only 29 correct answers" in (ratio(few, "energy_per_correct", "sorting").reason or "")


def test_energy_per_correct_answer_is_less_sure_than_per_task() -> None:
    result = compare(*make_pair(0.5))
    correct, task = ratio(result, "energy_per_correct").interval, ratio(result, "energy_per_task").interval
    assert correct is not None
    assert task is not None
    assert correct.low < task.low
    assert correct.high > task.high


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model_source": None, "config": {"task": {"mode": "server"}}}, "task.mode"),
        ({"precision": "fp32"}, "model_source.precision"),
        ({"device_name": "another card"}, "environment.device_name"),
        ({"task_version": 2}, "task versions, kind arithmetic,"),
        ({"data_sha256": "f" * 64}, "prompts, kind arithmetic,"),
    ],
)
def test_records_that_do_not_compare_are_refused_by_the_name_of_the_key(changes: dict, key: str) -> None:
    records, answers = make_pair(0.5)
    last = records[-1]
    assert last.model_source is not None
    assert last.environment is not None
    if "precision" in changes:
        last = dataclasses.replace(last, model_source=dataclasses.replace(last.model_source, **changes))
    elif "device_name" in changes:
        last = dataclasses.replace(last, environment=dataclasses.replace(last.environment, **changes))
    elif "config" in changes:
        last = dataclasses.replace(last, **changes)
    else:
        last = dataclasses.replace(last, quality=tuple(dataclasses.replace(q, **changes) for q in last.quality))
    with pytest.raises(RecordError, match=f"records that differ in {key}"):
        compare([*records[:-1], last], answers)


def test_another_prompt_under_the_same_number_is_refused() -> None:
    records, answers = make_pair(0.5)
    rows = answers[records[-1].run_id]
    answers[records[-1].run_id] = [dataclasses.replace(rows[0], prompt_sha256="0" * 64), *rows[1:]]
    with pytest.raises(RecordError, match="example 0 of 'arithmetic' is another text"):
        compare(records, answers)


def test_too_little_data_gives_a_reason_and_no_exception() -> None:
    records, answers = make_pair(0.5)
    alone = compare_inference(records[:3], answers, None)
    assert (alone.suite, alone.reason) == (None, "no finished run of 'moe'")
    failed = [dataclasses.replace(r, status="failed", error="killed") for r in records]
    result = compare(failed, {})
    assert result.suite is None
    assert len(result.excluded) == 6
    apart = compare_inference([records[0], records[-1]], answers, make_inference_study(records))
    assert apart.reason == "no repeat has both arms"
    assert compare_inference([], {}, None).suite is None


def test_energy_that_covers_other_domains_is_no_ratio() -> None:
    records, answers = make_pair(0.5)
    windows = tuple(dataclasses.replace(w, energy=(reading(1.0, domain="cpu"),)) for w in records[-1].windows)
    result = compare([*records[:-1], dataclasses.replace(records[-1], windows=windows)], answers)
    assert ratio(result, "energy_per_task").estimate is None
    assert "domains" in (ratio(result, "energy_per_task").reason or "")
    assert ratio(result, "seconds_per_task").estimate is not None


def test_without_answers_the_readings_of_one_repeat_stand_in() -> None:
    records, _ = make_pair(0.5, correct=(48, 40))
    result = compare(records, {})
    assert result.suite is not None
    assert result.suite.accuracy is not None
    assert result.suite.accuracy.difference == pytest.approx(-8 / 64)
    assert result.suite.accuracy.num_examples == NUM_EXAMPLES * len(KINDS)
    assert ratio(result, "energy_per_byte").estimate is None


def test_a_servers_kinds_share_its_window_by_what_their_requests_bear() -> None:
    runs = [make_server_record(arm, seed) for arm in ("dense", "moe") for seed in (0, 1)]
    answers = {}
    for record in runs:
        rows = make_rows(record, dict.fromkeys(KINDS, 48), failed=2)
        # sorting bears three times as much a request, in whatever boundary the shares are told
        answers[record.run_id] = [
            dataclasses.replace(row, energy_j=(3.0 if row.kind == "sorting" else 1.0) if row.energy_j else None)
            for row in rows
        ]
    result = compare(runs, answers)
    assert result.suite is not None
    assert [kind.kind for kind in result.kinds] == ["arithmetic", "sorting"]
    costs = [kind.arms[0].figures["energy_per_task"].value or 0.0 for kind in result.kinds]
    assert costs[1] == pytest.approx(3 * costs[0])
    assert sum(costs) / 2 == pytest.approx(100 / 124)  # joules of the window over answered requests
    failing = next(check for check in result.checks if check.code == "answered")
    assert failing.outcome == "fail"
    assert not failing.blocking


def test_a_second_run_of_one_repeat_is_left_out_and_said() -> None:
    records, answers = make_pair(0.5)
    twin = dataclasses.replace(make_model_record("moe", 0), run_id="pair-moe-hf-s0-again")
    answers[twin.run_id] = answers[records[3].run_id]
    result = compare([*records, twin], answers)
    assert result.num_runs == 6
    assert "repeat_twice" in {finding.code for finding in result.findings}


def test_free_answers_stand_beside_with_their_own_tokens() -> None:
    records, answers = make_pair(0.5)
    longer = [
        dataclasses.replace(
            record,
            windows=(*record.windows, *as_free(record, 3.0 if record.arm == "moe" else 1.0)),
        )
        for record in records
    ]
    plain, both = compare(records, answers), compare(longer, answers)
    assert plain.free == ()
    assert both.suite == plain.suite  # answers of fixed length are the task
    suite, *kinds = both.free
    assert [kind.kind for kind in kinds] == list(KINDS)
    assert suite.accuracy is None
    ratios = {r.metric: r.estimate for r in suite.ratios}
    assert ratios["energy_per_task"] == pytest.approx(1.5, rel=0.05)
    # three times as long answers: per token nothing is won or lost but what the first token weighs
    assert ratios["energy_per_token"] == pytest.approx(1.5 * 9 / 25, rel=0.05)


def as_free(record: c.RunRecord, times: float) -> list[c.WindowRecord]:
    """The same windows with answers `times` as long, at `times` the energy."""
    made = []
    for w in record.windows:
        if w.regime is None or w.work is None:
            continue
        tokens = w.work.num_output_tokens if w.phase == "prefill" else round(w.work.num_output_tokens * times)
        energy = tuple(dataclasses.replace(r, energy_j=(r.energy_j or 0.0) * times) for r in w.energy)
        work = dataclasses.replace(w.work, num_output_tokens=tokens)
        regime = dataclasses.replace(w.regime, answer_length="free", num_output_tokens=99)
        made.append(dataclasses.replace(w, regime=regime, work=work, energy=energy))
    return made


def test_a_second_try_of_a_repeat_counts_nowhere() -> None:
    records, answers = make_pair(0.5)
    first = records[0]
    joules = dict.fromkeys(KINDS, 100.0)
    again = make_model_record(
        first.arm, first.seed, joules=joules, run_id=f"{first.run_id}-z", started_utc="9999-01-01T00:00:00Z"
    )
    answers[again.run_id] = answers[first.run_id]
    found = compare_inference([again, *records], answers, None)
    plain = compare_inference(records, answers, None)
    assert found.suite is not None
    assert plain.suite is not None
    assert found.suite.ratios == plain.suite.ratios
    assert [finding.code for finding in found.findings] == ["no_study", "repeat_twice"]


def test_one_repeat_shows_a_cost_without_saying_that_there_is_no_number() -> None:
    found = compare(*make_pair(0.5, seeds=(0,)))
    assert found.suite is not None
    figure = found.suite.arms[0].figures["energy_per_task"]
    assert figure.value is not None
    assert (figure.interval, figure.reason) == (None, "one repeat gives no interval")


def test_an_interval_that_ends_at_zero_still_holds_the_error_of_the_accuracy() -> None:
    found = compare(*make_pair(0.5, noise=lambda arm, number: 1 + 3.0 * (number >= 20)))
    assert found.suite is not None
    figures = found.suite.arms[0].figures
    task, correct = figures["energy_per_task"], figures["energy_per_correct"]
    assert task.interval is not None
    assert correct.interval is not None
    assert task.interval.low == correct.interval.low == 0.0
    assert task.value is not None
    assert correct.value is not None
    assert correct.interval.high / correct.value > task.interval.high / task.value
    assert correct.interval.method.endswith("with the binomial error of the accuracy")


def test_runs_in_which_nothing_was_asked_are_no_crash_and_no_passed_check() -> None:
    records, _ = make_pair(0.5)
    idle = [dataclasses.replace(r, windows=r.windows[:2]) for r in records]
    for answered in (idle, [*records[:-1], idle[-1]]):
        checks = {check.code: check.outcome for check in compare(answered, {}).checks}
        assert checks["energy_boundary"] == "unknown"


def with_library_tasks(record: c.RunRecord) -> c.RunRecord:
    told = [
        dataclasses.replace(
            c_accuracy("lm_eval:arc", 0.5), value=value, stderr=None, metric=f"lm_eval_{metric}", chance=None
        )
        for metric, value in (("acc", 0.5), ("acc_norm", 0.9), ("bleu", 25.0))
    ]
    return dataclasses.replace(record, quality=(*record.quality, *told))


def test_metrics_of_a_librarys_task_stand_apart_and_are_no_kinds_that_were_asked() -> None:
    records, answers = make_pair(0.5)
    judged = [with_library_tasks(record) for record in records]
    scores = {(score.kind, score.arm): score for score in summarise_scores(judged)}
    assert scores["lm_eval:arc acc", "moe"].accuracy == pytest.approx(0.5)
    assert scores["lm_eval:arc acc_norm", "moe"].accuracy == pytest.approx(0.9)
    assert scores["lm_eval:arc acc", "moe"].num_runs == 3
    assert scores["lm_eval:arc bleu", "moe"].accuracy is None
    assert scores["lm_eval:arc bleu", "moe"].reason == "the metric is no share of right answers"
    checks = {check.code: check.outcome for check in compare(judged, answers).checks}
    assert checks["above_chance"] == "pass"
    plain, alone = compare(records, {}), compare(judged, {})
    assert plain.suite is not None
    assert alone.suite is not None
    assert alone.suite.accuracy == plain.suite.accuracy


def test_energy_per_byte_is_over_the_bytes_that_the_energy_was_spent_on() -> None:
    """All of a fixed answer's, those up to its own end of a free one's; unknown where a row does not tell."""
    record = with_suite(make_record("dense"), {"sorting": 1.0}, {"sorting": 0.5})
    row = TaskResult(
        kind="sorting", index=0, repetition=0, status="answered", prompt_sha256="0", expected="1", answer="1",
        correct=True, num_input_tokens=1, num_output_tokens=9, answer_bytes=1, energy_j=1.0, energy_grade="A",
        energy_share="equal", seconds=1.0, made_bytes=20, ended_bytes=4,
    )  # fmt: skip
    assert measure_answered(record, [row], "sorting").bytes == 20
    assert measure_answered(record, [row], "sorting", "fixed").bytes == 20
    assert measure_answered(record, [row], "sorting", "free").bytes == 4
    old = dataclasses.replace(row, made_bytes=None, ended_bytes=None)
    assert measure_answered(record, [row, old], "sorting").bytes is None


def test_a_servers_windows_are_worth_the_worst_of_them() -> None:
    record = make_server_record("dense")
    served = [place for place, window in enumerate(record.windows) if window.phase == "serve"]
    first = record.windows[served[0]]
    worse = dataclasses.replace(first, energy=tuple(dataclasses.replace(r, grade="B") for r in first.energy))
    both = dataclasses.replace(record, windows=(*record.windows, worse))
    kind = KINDS[0]
    assert measure_answered(record, (), kind).grade == "A"
    assert measure_answered(both, (), kind).grade == "B"
