"""Result files as the tools write them, cut down; field names and shapes are those of the sources that are named."""

from __future__ import annotations

from typing import Any

# vllm/benchmarks/serve.py: `result` of `benchmark`, `result_json` of `main_async`; percentiles 50, 90, 95, 99.
VLLM: dict[str, Any] = {
    "date": "20261101-101500",
    "endpoint_type": "openai",
    "backend": "openai",
    "label": None,
    "model_id": "org/model-7b",
    "tokenizer_id": "org/model-7b",
    "num_prompts": 100,
    "request_rate": 4.0,
    "burstiness": 1.0,
    "max_concurrency": 16,
    "duration": 25.0,
    "completed": 98,
    "failed": 2,
    "total_input_tokens": 9800,
    "total_output_tokens": 4900,
    "request_throughput": 3.92,
    "request_goodput": None,
    "output_throughput": 196.0,
    "total_token_throughput": 588.0,
    "max_output_tokens_per_s": 300.0,
    "max_concurrent_requests": 16,
    "rtfx": 0.0,
    "mean_ttft_ms": 120.0, "median_ttft_ms": 100.0, "std_ttft_ms": 9.0,
    "p50_ttft_ms": 100.0, "p90_ttft_ms": 180.0, "p95_ttft_ms": 190.0, "p99_ttft_ms": 250.0,
    "mean_tpot_ms": 20.0, "median_tpot_ms": 19.0, "std_tpot_ms": 1.0,
    "p50_tpot_ms": 19.0, "p90_tpot_ms": 22.0, "p95_tpot_ms": 23.0, "p99_tpot_ms": 25.0,
    "mean_itl_ms": 20.5, "median_itl_ms": 18.0, "std_itl_ms": 4.0,
    "p50_itl_ms": 18.0, "p90_itl_ms": 30.0, "p95_itl_ms": 35.0, "p99_itl_ms": 60.0,
}  # fmt: skip


def distribution(mean: float, count: int, total: float | None = None) -> dict[str, Any]:
    """Return a `DistributionSummary` of src/guidellm/schemas/statistics.py whose percentiles lie around the mean."""
    names = ("p001", "p01", "p05", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999")
    factors = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
    return {
        "mean": mean, "median": mean, "mode": mean, "variance": 0.0, "std_dev": 0.0, "min": mean, "max": mean,
        "count": count, "total_sum": mean * count if total is None else total,
        "percentiles": {name: mean * factor for name, factor in zip(names, factors, strict=True)}, "pdf": None,
    }  # fmt: skip


def by_status(mean: float, count: int = 50) -> dict[str, Any]:
    """Return a `StatusDistributionSummary`: answered requests, and others whose values must not be read."""
    return {
        "successful": distribution(mean, count),
        "incomplete": distribution(mean * 7, 3),
        "errored": distribution(0.0, 0),
        "total": distribution(mean * 3, count + 3),
    }


def guidellm_benchmark(rate: float = 2.0, *, streamed: bool = True) -> dict[str, Any]:
    """Return a `GenerativeBenchmark` (schemas/generative/benchmark.py and metrics.py, v0.4 and later)."""
    return {
        "type_": "generative_benchmark",
        "config": {
            "strategy": {"type_": "constant", "rate": rate},
            "backend": {"target": "http://server:8000", "model": "org/model-7b", "api_key": "do-not-read-me"},
        },
        "scheduler_metrics": {"measure_start_time": 100.0, "measure_end_time": 125.0},
        "metrics": {
            "request_totals": {"successful": 50, "incomplete": 3, "errored": 1, "total": 54},
            "requests_per_second": by_status(2.0),
            "request_latency": by_status(1.5),
            "prompt_token_count": by_status(128.0),
            "output_token_count": by_status(64.0),
            "time_to_first_token_ms": by_status(100.0 if streamed else 0.0),
            "time_per_output_token_ms": by_status(23.0),
            "inter_token_latency_ms": by_status(22.0 if streamed else 0.0),
        },
        "start_time": 100.0,
        "end_time": 125.0,
        "duration": 25.0,
    }


def guidellm_report(*benchmarks: dict[str, Any]) -> dict[str, Any]:
    """Return a `GenerativeBenchmarksReport`."""
    return {
        "metadata": {"version": 1, "guidellm_version": "0.6.0", "python_version": "3.12.3", "platform": "Linux"},
        "args": {"backend_kwargs": {"model": "org/model-7b", "api_key": "do-not-read-me"}},
        "benchmarks": list(benchmarks) or [guidellm_benchmark()],
    }


# GuideLLM 0.3: totals, model and time stood elsewhere (its `GenerativeBenchmark` of 2025).
GUIDELLM_OLD: dict[str, Any] = {
    "benchmarks": [
        {
            "type_": "generative_benchmark",
            "args": {"strategy": {"type_": "constant", "rate": 10.0}},
            "run_stats": {
                "start_time": 1758664741.0,
                "end_time": 1758664806.0,
                "requests_made": {"successful": 586, "errored": 0, "incomplete": 23, "total": 609},
            },
            "worker": {"backend_type": "openai_http", "backend_model": "Qwen/Qwen3-0.6B"},
            "metrics": {
                "request_latency": by_status(2.33, 586),
                "prompt_token_count": by_status(120.0, 586),
                "output_token_count": by_status(128.0, 586),
                "time_to_first_token_ms": by_status(1006.0, 586),
                "inter_token_latency_ms": by_status(10.4, 586),
            },
            "start_time": 1758664746.0,
            "end_time": 1758664806.0,
        }
    ]
}


def aiperf_metric(unit: str, avg: float, **more: float) -> dict[str, Any]:
    """Return a `JsonMetricResult` of src/aiperf/common/models/export_models.py."""
    return {"unit": unit, "avg": avg, **more}


# docs/reference/json-export-schema.md (schema 1.3): metrics at the top level, provenance beside them.
AIPERF: dict[str, Any] = {
    "schema_version": "1.3",
    "aiperf_version": "0.10.0",
    "benchmark_id": "f43cfc1c6cce",
    "request_throughput": aiperf_metric("requests/sec", 0.8233),
    "request_latency": aiperf_metric(
        "ms", 2400.0, p50=2430.0, p90=2440.0, p95=2441.0, p99=2445.0, count=10, sum=24000.0
    ),
    "request_count": aiperf_metric("requests", 10.0),
    "time_to_first_token": aiperf_metric("ms", 196.0, p50=175.0, p90=251.0, p95=252.0, p99=253.0, count=10),
    "inter_token_latency": aiperf_metric("ms", 35.0, p50=34.7, p90=35.9, p95=35.9, p99=36.0, count=10),
    "inter_chunk_latency": aiperf_metric("ms", 34.0, p50=33.0, p90=40.0, p95=41.0, p99=90.0, count=630),
    "output_token_throughput": aiperf_metric("tokens/sec", 52.69),
    "output_sequence_length": aiperf_metric("tokens", 64.0, p50=64.0, count=10, sum=640.0),
    "input_sequence_length": aiperf_metric("tokens", 256.0, p50=256.0, count=10, sum=2560.0),
    "benchmark_duration": aiperf_metric("sec", 12.14),
    "input_config": {"models": {"items": [{"name": "org/model-7b"}]}, "endpoint": {"urls": ["http://server:8000"]}},
    "error_summary": [],
    "was_cancelled": False,
}

# src/aiperf/exporters/metrics_csv_exporter.py: two tables, then telemetry of GPUs in a table of its own.
AIPERF_CSV = """\
Metric,avg,min,max,sum,p1,p5,p10,p25,p50,p75,p90,p95,p99,std\r
Input Sequence Length (tokens),256.00,256.00,256.00,2560.00,,,,,256.00,,256.00,256.00,256.00,0.00\r
Inter Token Latency (ms),35.00,34.66,36.00,350.00,,,,,34.70,,35.90,35.90,36.00,0.60\r
Output Sequence Length (tokens),64.00,64.00,64.00,640.00,,,,,64.00,,64.00,64.00,64.00,0.00\r
Request Latency (ms),"2,400.00",2358.58,2445.00,24000.00,,,,,2430.00,,2440.00,2441.00,2445.00,30.01\r
Time to First Token (ms),196.00,126.76,253.67,1960.00,,,,,175.00,,251.00,252.00,253.00,46.21\r
\r
Metric,Value\r
Benchmark Duration (sec),12.14\r
Error Request Count,2\r
Request Count,10.00\r
Request Throughput (requests/sec),0.82\r
\r
\r
Endpoint,GPU_Index,GPU_Name,GPU_UUID,Platform,Metric,avg,min,max\r
Request Latency (ms),0,NVIDIA H100,GPU-1,nvidia,NVIDIA GPU Power Usage (W),310.00,1.00,400.00\r
"""


def measurement(joules: float | None = 4900.0, *, duration_s: float = 30.0, grade: str = "A") -> dict[str, Any]:
    """Return what ``isojoule measure --json`` writes (harness/measure/command_format.py)."""
    modelled = grade in "CD"
    reading = {
        "sensor": "codecarbon" if modelled else "nvml", "domain": "cpu" if modelled else "gpu", "device_index": 0,
        "device": "NVIDIA H100", "energy_j": joules, "grade": grade, "method": "modelled" if modelled else "counter",
        "uncertainty_j": None, "gain_error": None, "num_samples": 100, "coverage": 1.0, "crosscheck_j": None,
        "mean_power_w": None if joules is None else joules / duration_s, "peak_power_w": 300.0, "net_energy_j": None,
        "idle_w": None, "simulated": False, "reason": None if joules is not None else "the counter stood still",
    }  # fmt: skip
    return {
        "schema_version": 1, "command": ["vllm", "bench", "serve"], "exit_code": 0, "duration_s": duration_s,
        "energy_j": joules, "readings": [reading], "findings": [],
    }  # fmt: skip
