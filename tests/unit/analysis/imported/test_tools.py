"""What is read of each tool's file: by definition and not by name, in seconds, the unknown with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.imported.reading import load_serving_results
from harness.analysis.imported.results import Latency, ServingResult
from harness.core.errors import DataError
from tests.unit.analysis.imported.files import (
    AIPERF,
    AIPERF_CSV,
    GUIDELLM_OLD,
    VLLM,
    guidellm_benchmark,
    guidellm_report,
)


def load(tmp_path: Path, content: Any, name: str = "result.json") -> list[ServingResult]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_serving_results(path)


def test_vllm_counts_and_latencies_are_read_in_seconds(tmp_path: Path) -> None:
    (result,) = load(tmp_path, VLLM)
    assert (result.tool, result.model, result.load) == ("vllm", "org/model-7b", "4 requests/s, at most 16 at once")
    assert (result.num_answered, result.num_failed, result.num_incomplete) == (98, 2, None)
    assert (result.num_input_tokens, result.num_output_tokens, result.duration_s) == (9800, 4900, 25.0)
    assert (result.requests_per_s, result.output_tokens_per_s) == (3.92, 196.0)
    assert result.ttft_s.mean == pytest.approx(0.12)
    assert result.ttft_s.p50 == pytest.approx(0.1)
    assert (result.tpot_s.p90, result.tpot_s.p95) == (pytest.approx(0.022), pytest.approx(0.023))
    assert result.itl_s.p99 == pytest.approx(0.06)


def test_vllm_without_e2el_says_how_to_ask_for_it(tmp_path: Path) -> None:
    (result,) = load(tmp_path, VLLM)
    assert result.e2e_s.mean is None
    assert "--percentile-metrics" in (result.e2e_s.reason or "")


def test_vllm_percentiles_that_were_not_asked_for_are_unknown(tmp_path: Path) -> None:
    default = {key: value for key, value in VLLM.items() if not key.startswith(("p50_", "p90_", "p95_"))}
    (result,) = load(tmp_path, default)
    assert (result.ttft_s.p50, result.ttft_s.p90) == (pytest.approx(0.1), None)
    assert result.ttft_s.reason == "no p90, p95; ask for them with --metric-percentiles 50,90,95,99"


def test_vllm_before_it_counted_failures_tells_them_by_the_missing_answers(tmp_path: Path) -> None:
    old = {key: value for key, value in VLLM.items() if key != "failed"}
    assert load(tmp_path, old)[0].num_failed == 2
    unclear = {**old, "num_prompts": 10}
    assert load(tmp_path, unclear)[0].num_failed is None
    assert "num_failed" in load(tmp_path, unclear)[0].reasons


def test_vllm_without_any_answer_has_no_latency_of_zero(tmp_path: Path) -> None:
    zeros = {key: 0.0 if key.endswith("_ms") else value for key, value in VLLM.items()}
    (result,) = load(tmp_path, {**zeros, "completed": 0, "failed": 100, "total_output_tokens": 0})
    assert result.ttft_s == Latency(reason="no request was answered")
    assert result.num_failed == 100


def test_vllm_appended_results_are_rows_of_their_own(tmp_path: Path) -> None:
    text = f"{json.dumps(VLLM)}\n{json.dumps({**VLLM, 'completed': 97})}"
    results = load(tmp_path, text)
    assert [(result.index, result.num_answered) for result in results] == [(0, 98), (1, 97)]


def test_vllm_infinite_rate_and_not_a_number_are_no_numbers(tmp_path: Path) -> None:
    text = json.dumps({**VLLM, "request_rate": "inf", "max_concurrency": None, "mean_ttft_ms": float("nan")})
    (result,) = load(tmp_path, text)
    assert result.load == "all at once"
    assert result.ttft_s.mean is None
    assert "mean" in (result.ttft_s.reason or "")


def test_guidellm_reads_answered_requests_alone(tmp_path: Path) -> None:
    (result,) = load(tmp_path, guidellm_report())
    assert (result.tool, result.tool_version, result.model) == ("guidellm", "0.6.0", "org/model-7b")
    assert (result.num_answered, result.num_failed, result.num_incomplete) == (50, 1, 3)
    assert (result.num_input_tokens, result.num_output_tokens) == (6400, 3200)
    assert (result.duration_s, result.requests_per_s, result.output_tokens_per_s) == (25.0, 2.0, 128.0)
    assert result.ttft_s.mean == pytest.approx(0.1)
    assert result.e2e_s.p99 == pytest.approx(1.5 * 1.4)
    assert result.load == "constant, 2 requests/s"


def test_guidellm_inter_token_latency_is_our_tpot_and_its_tpot_is_nobodys(tmp_path: Path) -> None:
    (result,) = load(tmp_path, guidellm_report())
    assert result.tpot_s.mean == pytest.approx(0.022)
    assert "inter_token_latency_ms" in (result.tpot_s.note or "")
    assert result.itl_s.mean is None
    assert "no single gaps" in (result.itl_s.reason or "")


def test_guidellm_zeros_of_answers_that_were_not_streamed_are_unknown(tmp_path: Path) -> None:
    (result,) = load(tmp_path, guidellm_report(guidellm_benchmark(streamed=False)))
    assert (result.ttft_s.mean, result.tpot_s.mean) == (None, None)
    assert "not streamed" in (result.ttft_s.reason or "")
    assert result.e2e_s.mean == pytest.approx(1.5)


def test_guidellm_sweep_has_one_row_a_benchmark(tmp_path: Path) -> None:
    results = load(tmp_path, guidellm_report(guidellm_benchmark(1.0), guidellm_benchmark(8.0)))
    assert [(result.index, result.load) for result in results] == [
        (0, "constant, 1 requests/s"),
        (1, "constant, 8 requests/s"),
    ]


def test_guidellm_before_0_4_is_read_too(tmp_path: Path) -> None:
    (result,) = load(tmp_path, GUIDELLM_OLD)
    assert (result.num_answered, result.num_incomplete, result.model) == (586, 23, "Qwen/Qwen3-0.6B")
    assert (result.duration_s, result.tool_version) == (60.0, None)
    assert result.num_output_tokens == 586 * 128


def test_guidellm_without_benchmarks_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without any benchmark"):
        load(tmp_path, {"metadata": {"guidellm_version": "0.6.0"}, "benchmarks": []})


def test_aiperf_is_read_by_its_units(tmp_path: Path) -> None:
    (result,) = load(tmp_path, AIPERF)
    assert (result.tool, result.tool_version, result.model) == ("aiperf", "0.10.0", "org/model-7b")
    assert (result.num_answered, result.num_failed, result.duration_s) == (10, 0, 12.14)
    assert (result.num_input_tokens, result.num_output_tokens) == (2560, 640)
    assert result.ttft_s.p95 == pytest.approx(0.252)
    in_seconds = {**AIPERF, "request_latency": {"unit": "sec", "avg": 2.4}}
    assert load(tmp_path, in_seconds)[0].e2e_s.mean == pytest.approx(2.4)
    strange = {**AIPERF, "request_latency": {"unit": "ticks", "avg": 2.4}}
    assert load(tmp_path, strange)[0].e2e_s.mean is None


def test_aiperf_inter_token_latency_is_our_tpot_and_chunks_are_the_gaps(tmp_path: Path) -> None:
    (result,) = load(tmp_path, AIPERF)
    assert result.tpot_s.mean == pytest.approx(0.035)
    assert result.itl_s.mean == pytest.approx(0.034)


def test_aiperf_failures_come_from_the_count_or_the_summary_and_are_never_guessed(tmp_path: Path) -> None:
    assert load(tmp_path, {**AIPERF, "error_request_count": {"unit": "requests", "avg": 3.0}})[0].num_failed == 3
    errors = [{"error_details": {"code": 429}, "count": 4}, {"error_details": {"code": 500}, "count": 1}]
    assert load(tmp_path, {**AIPERF, "error_summary": errors})[0].num_failed == 5
    bare = {key: value for key, value in AIPERF.items() if key != "error_summary"}
    (result,) = load(tmp_path, bare)
    assert result.num_failed is None
    assert "num_failed" in result.reasons


def test_an_interrupted_aiperf_run_says_so(tmp_path: Path) -> None:
    assert load(tmp_path, AIPERF)[0].notes == ()
    assert "interrupted" in load(tmp_path, {**AIPERF, "was_cancelled": True})[0].notes[0]


def test_aiperf_csv_says_the_same_as_its_json(tmp_path: Path) -> None:
    (table,) = load(tmp_path, AIPERF_CSV, "profile_export_aiperf.csv")
    (document,) = load(tmp_path, AIPERF)
    for name in ("ttft_s", "tpot_s", "e2e_s", "num_input_tokens", "num_output_tokens", "duration_s", "num_answered"):
        assert getattr(table, name) == getattr(document, name)
    assert table.num_failed == 2
    assert table.itl_s.mean is None


def test_the_tool_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    assert load(tmp_path, VLLM, "benchmarks.json")[0].tool == "vllm"
    assert load(tmp_path, guidellm_report(), "profile_export_aiperf.json")[0].tool == "guidellm"


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"benchmarks": [1]}', '{"completed": 3}', "null"])
def test_other_json_is_refused_and_the_known_tools_are_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="no result of a tool that is known"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{" + '"completed": 3, "dura', "was the benchmark cut off"),
        ("Metric,avg,p50\nX,1,2\n", "no row"),
    ],
)
def test_damaged_files_are_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, content)


def test_a_missing_or_binary_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load_serving_results(tmp_path / "nothing.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="no text file"):
        load_serving_results(tmp_path / "binary")


@pytest.mark.parametrize("value", ["100", None, True, [], {}, -1, 1.5])
def test_a_count_that_is_no_count_is_unknown(tmp_path: Path, value: Any) -> None:
    assert load(tmp_path, {**VLLM, "total_output_tokens": value})[0].num_output_tokens is None


def test_numbers_and_shapes_that_no_tool_writes_end_in_one_line_or_unknown(tmp_path: Path) -> None:
    (result,) = load(tmp_path, {**VLLM, "duration": 10**400, "total_output_tokens": 10**400})
    assert (result.duration_s, result.num_output_tokens) == (None, None)
    with pytest.raises(DataError, match="no result of a tool"):
        load(tmp_path, {"benchmarks": [], "metadata": 5})
    with pytest.raises(DataError, match="nested too deep"):
        load(tmp_path, "[" * 100_000)


def test_what_guidellm_does_not_tell_is_unknown_with_a_reason(tmp_path: Path) -> None:
    part = guidellm_benchmark()
    part["metrics"].pop("output_token_count")
    part["metrics"].pop("request_totals", None)
    (result,) = load(tmp_path, guidellm_report(part))
    assert result.num_output_tokens is None
    assert "num_output_tokens" in result.reasons
    unknown = {name for name in ("num_answered", "num_failed", "num_incomplete") if getattr(result, name) is None}
    assert unknown <= set(result.reasons)
    assert unknown
