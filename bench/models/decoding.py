"""Decoded tokens per second against transformers' ``generate``, greedy, both with a KV cache and random weights.

Small models are bound by launching operators, large ones by reading weights: there the rate is also held against the
bandwidth of the machine's memory, in bytes of weights that a step must read (for experts: those that were chosen).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import CompileConfig

from bench.models.peers import build_ours, build_peer, make_dense, make_sparse
from bench.models.stream import measure_bandwidth
from bench.models.timing import fastest, ratio, time_in_turn
from harness.core.model_config import ModelConfig, MoEConfig
from harness.infer.engine import decode, prefill
from harness.models import count_params
from harness.models.transformer import Transformer
from harness.run.device import synchroniser

PROMPT = 16
BATCHES = (1, 16)
SMALL_DENSE = make_dense(128, 4, 384, 512, num_heads=4)
LARGE_DENSE = make_dense(1280, 16, 3584, 4096, num_heads=20)
MODELS: dict[str, tuple[ModelConfig, int]] = {
    "small dense": (SMALL_DENSE, 64),
    "small sparse": (make_sparse(SMALL_DENSE, 8, 2, 192), 64),
    "large dense": (LARGE_DENSE, 8),
    "large sparse": (make_sparse(make_dense(1024, 12, 0, 4096, num_heads=16), 16, 2, 1024), 8),
}
BARS = {"small": 2.0, "large": 1.0}
LEAST_BANDWIDTH = 0.7


def measure(rounds: int, peak: float) -> dict[str, Any]:
    """Return tokens per second and speed-ups, and for large models the share of the memory's bandwidth.

    Beside that share stands what the FLOPs of a step alone would allow at `peak` (FLOP/s of a large product).
    """
    result: dict[str, Any] = {}
    for name, (config, num_tokens) in MODELS.items():
        ours = build_ours(config).eval()
        peers = {_arm(kind): build_peer(config, kind or "grouped_mm").eval() for kind in _kinds(config, name)}
        for batch in BATCHES:
            generator = torch.Generator().manual_seed(batch)
            prompts = torch.randint(0, config.vocab_size, (batch, PROMPT), generator=generator)
            result[f"{name}, batch {batch}"] = row = _compare(ours, peers, prompts, num_tokens, rounds)
            if name.startswith("large"):
                row["weight_bytes_per_step"] = read = weight_bytes(ours, prompts)
                steps, bandwidth = _steps_and_bandwidth(ours, prompts, num_tokens, rounds)
                row["bandwidth_bytes_per_s"] = bandwidth
                row["bandwidth_shares"] = {arm: read / seconds / bandwidth for arm, seconds in steps.items()}
                row["bandwidth_share"] = max(row["bandwidth_shares"].values())
                active = count_params(config)
                flops = 2 * batch * (active.active - active.embedding)
                row["share_at_peak_flops"] = read / (flops / peak) / bandwidth
        del ours, peers
        gc.collect()
    return result


def _compare(
    ours: Transformer, peers: dict[str, Any], prompts: torch.Tensor, num_tokens: int, rounds: int
) -> dict[str, Any]:
    """Time all arms in turn, as they come and through ``torch.compile``; the best of a side counts."""
    first = next(iter(peers))
    arms: dict[str, Callable[[], object]] = {
        "ours": lambda: decode(ours, prefill(ours, prompts, num_tokens), num_tokens),
        **{arm: partial(_generate, peer, prompts, num_tokens) for arm, peer in peers.items()},
        "ours compiled": lambda: decode(ours, prefill(ours, prompts, num_tokens), num_tokens, compiled=True),
        f"{first} compiled": partial(_generate, peers[first], prompts, num_tokens, compiled=True),
    }
    times = time_in_turn(arms, rounds, warmups=1)
    mine, best = fastest(times, "ours"), fastest(times, "transformers")
    best_eager = fastest({arm: times[arm] for arm in peers}, "transformers")
    tokens = prompts.shape[0] * num_tokens
    return {
        "total_params": count_params(ours.config).total,
        "tokens_per_s": {arm: tokens / sorted(ts)[len(ts) // 2] for arm, ts in times.items()},
        "ours": mine,
        "peer": best,
        "speedup": ratio(times[best], times[mine]),
        "speedup_as_they_come": ratio(times[best_eager], times["ours"]),
    }


def _arm(kind: str) -> str:
    return f"transformers {kind}".strip()


def _kinds(config: ModelConfig, name: str) -> tuple[str, ...]:
    """Return the implementations of experts to try; ``batched_mm`` copies weights for every token: minutes if large."""
    if not isinstance(config, MoEConfig):
        return ("",)
    return ("grouped_mm", "eager") if name.startswith("large") else ("grouped_mm", "batched_mm", "eager")


@torch.inference_mode()
def _generate(model: Any, prompts: torch.Tensor, num_tokens: int, *, compiled: bool = False) -> torch.Tensor:
    """Generate greedily; `compiled` as transformers compiles for itself: a static cache and its compiled forward."""
    extra: dict[str, Any] = {}
    if compiled:
        config = CompileConfig(fullgraph=False, mode="default")
        config._compile_all_devices = True  # noqa: SLF001 - without it transformers compiles on accelerators only
        extra = {"cache_implementation": "static", "compile_config": config}
    return model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=num_tokens,
        min_new_tokens=num_tokens,
        do_sample=False,
        **extra,
    )


def _steps_and_bandwidth(
    model: Transformer, prompts: torch.Tensor, num_tokens: int, rounds: int
) -> tuple[dict[str, float], float]:
    """Return the median time of a decode step of either arm and the best triad's bytes per second, taken in turn."""
    filled = {arm: prefill(model, prompts, num_tokens) for arm in ("ours", "ours compiled")}
    triads: list[float] = []
    arms: dict[str, Callable[[], object]] = {
        "ours": lambda: decode(model, filled["ours"], num_tokens),
        "ours compiled": lambda: decode(model, filled["ours compiled"], num_tokens, compiled=True),
        "triad": lambda: triads.append(measure_bandwidth(repeats=2)),
    }
    times = time_in_turn(arms, rounds, warmups=1)
    return {arm: sorted(times[arm])[len(times[arm]) // 2] / (num_tokens - 1) for arm in filled}, max(triads)


def step_seconds(model: Transformer, prompts: torch.Tensor, num_tokens: int, rounds: int) -> float:
    """Return the median time of one decode step, prefill left out."""
    filled = prefill(model, prompts, num_tokens)
    arms = {"decode": lambda: decode(model, filled, num_tokens)}
    times = time_in_turn(arms, rounds, warmups=1, sync=synchroniser(prompts.device))["decode"]
    return sorted(times)[len(times) // 2] / (num_tokens - 1)


@torch.inference_mode()
def weight_bytes(model: Transformer, prompts: torch.Tensor) -> int:
    """Return the bytes of weights that a step of this batch reads; of the experts those that its last tokens choose.

    With one sequence that is exact; with more, other steps choose more or fewer distinct experts.
    """
    routings = model(prompts[:, -1:]).routings
    size = model.embedding.weight.element_size()
    expert = 3 * model.config.d_model * model.config.d_expert if isinstance(model.config, MoEConfig) else 0
    unused = sum(int((routing.load_E == 0).sum()) for routing in routings)
    return (count_params(model.config).total - count_params(model.config).embedding - unused * expert) * size
