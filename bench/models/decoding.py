"""Decoded tokens per second against transformers' ``generate``, greedy, both with a KV cache and random weights.

Small models are bound by launching operators, large ones by reading weights: there the rate is also held against the
bandwidth of the machine's memory, in bytes of weights that a step must read (for experts: those that were chosen).
"""

from __future__ import annotations

import gc
from typing import Any

import torch

from bench.models.peers import build_ours, build_peer, make_dense, make_sparse
from bench.models.timing import ratio, time_in_turn
from harness.core.config import ModelConfig, MoEConfig
from harness.infer.engine import decode, prefill
from harness.models import count_params
from harness.models.transformer import Transformer

PROMPT = 16
BATCHES = (1, 16)
SMALL_DENSE = make_dense(128, 4, 384, 512, num_heads=4)
LARGE_DENSE = make_dense(1280, 14, 3584, 4096, num_heads=20)
MODELS: dict[str, tuple[ModelConfig, int]] = {
    "small dense": (SMALL_DENSE, 64),
    "small sparse": (make_sparse(SMALL_DENSE, 8, 2, 192), 64),
    "large dense": (LARGE_DENSE, 8),
    "large sparse": (make_sparse(make_dense(1024, 12, 0, 4096, num_heads=16), 16, 2, 1024), 8),
}
BARS = {"small": 2.0, "large": 1.0}
LEAST_BANDWIDTH = 0.7


def measure(rounds: int, bandwidth: float) -> dict[str, Any]:
    """Return tokens per second, speed-ups, and for large models the share of `bandwidth` (bytes per second)."""
    result: dict[str, Any] = {}
    for name, (config, num_tokens) in MODELS.items():
        ours = build_ours(config).eval()
        peers = {kind: build_peer(config, kind).eval() for kind in _kinds(config)}
        for batch in BATCHES:
            prompts = torch.randint(0, config.vocab_size, (batch, PROMPT), generator=torch.Generator().manual_seed(batch))
            arms = {"ours": lambda p=prompts, n=num_tokens: decode(ours, prefill(ours, p, n), n)}
            for kind, peer in peers.items():
                arms[f"transformers {kind}".strip()] = lambda p=prompts, n=num_tokens, m=peer: _generate(m, p, n)
            times = time_in_turn(arms, rounds, warmups=1)
            best = min((arm for arm in arms if arm != "ours"), key=lambda arm: sum(times[arm]))
            row: dict[str, Any] = {
                "total_params": count_params(config).total,
                "tokens_per_s": {arm: batch * num_tokens / sorted(ts)[len(ts) // 2] for arm, ts in times.items()},
                "peer": best,
                "speedup": ratio(times[best], times["ours"]),
            }
            if name.startswith("large"):
                seconds = _step_seconds(ours, prompts, num_tokens, rounds)
                row["weight_bytes_per_step"] = read = _weight_bytes(ours, prompts)
                row["bandwidth_share"] = read / seconds / bandwidth
            result[f"{name}, batch {batch}"] = row
        del ours, peers
        gc.collect()
    return result


def _kinds(config: ModelConfig) -> tuple[str, ...]:
    return ("grouped_mm", "batched_mm", "eager") if isinstance(config, MoEConfig) else ("",)


@torch.inference_mode()
def _generate(model: Any, prompts: torch.Tensor, num_tokens: int) -> torch.Tensor:
    return model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=num_tokens,
        min_new_tokens=num_tokens,
        do_sample=False,
    )


def _step_seconds(model: Transformer, prompts: torch.Tensor, num_tokens: int, rounds: int) -> float:
    """Return the median time of one decode step, prefill left out."""
    filled = prefill(model, prompts, num_tokens)
    times = time_in_turn({"decode": lambda: decode(model, filled, num_tokens)}, rounds, warmups=1)["decode"]
    return sorted(times)[len(times) // 2] / (num_tokens - 1)


@torch.inference_mode()
def _weight_bytes(model: Transformer, prompts: torch.Tensor) -> int:
    """Return the bytes of weights that a step of this batch reads; of the experts those that it chose."""
    routings = model(prompts[:, -1:]).routings
    size = model.embedding.weight.element_size()
    expert = 3 * model.config.d_model * model.config.d_expert if isinstance(model.config, MoEConfig) else 0
    unused = sum(int((routing.load_E == 0).sum()) for routing in routings)
    return (count_params(model.config).total - count_params(model.config).embedding - unused * expert) * size
