"""What the card's bench measures: layers by dispatch, training's share of the peak, decoding's share of the bandwidth.

An arm that fails (out of memory, no Triton) is left out and its error kept; the others go on.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.decoding import step_seconds, weight_bytes
from bench.models.layer import build_layer
from bench.models.layer import make_step as make_layer_step
from bench.models.peers import build_ours, build_peer, build_peer_block, make_dense, make_sparse
from bench.models.timing import ratio, time_in_turn
from bench.models.training import make_step, peer_loss
from harness.core.model_config import ModelConfig, MoEConfig
from harness.flops.formulas import TRAIN_FACTOR, count_train_flops_per_token, swiglu_flops
from harness.models import count_params
from harness.models.dispatch import DISPATCHES
from harness.models.experts import RoutedExperts
from harness.models.layers import SwiGLU
from harness.models.transformer import Transformer
from harness.run.device import autocast_dtype, synchroniser
from harness.train.loss import training_loss

LAYER_DISPATCHES = ("grouped_mm", "fused", "bmm")
MODEL_DISPATCHES = ("grouped_mm", "fused")  # bmm waits for the GPU, so its steps cannot be recorded


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is measured. `layers`: name to tokens, model width, experts, top-k, expert width."""

    layers: Mapping[str, tuple[int, int, int, int, int]]
    training: Mapping[str, ModelConfig]
    num_sequences: int
    length: int
    decoding: Mapping[str, ModelConfig]
    num_tokens: int
    num_bytes: int
    rounds: int


_DENSE = make_dense(2048, 12, 5632, 32_768, num_heads=16)
FULL = Sizes(
    layers={
        "64 experts, top-8, width 1024": (16_384, 2048, 64, 8, 1024),
        "16 experts, top-2, width 4096": (16_384, 2048, 16, 2, 4096),
        "64 experts, top-8, width 256": (16_384, 1024, 64, 8, 256),
    },
    training={"dense": _DENSE, "sparse": make_sparse(_DENSE, 32, 8, 704)},
    num_sequences=4,
    length=2048,
    decoding={
        "dense": make_dense(4096, 16, 11_008, 32_768, num_heads=32),
        "sparse": make_sparse(make_dense(2048, 16, 0, 32_768, num_heads=16), 64, 8, 1024),
    },
    num_tokens=64,
    num_bytes=2 << 30,
    rounds=10,
)
_TOY = make_dense(64, 2, 128, 256, num_heads=4)
_TOY_SPARSE = make_sparse(_TOY, 8, 2, 64)
TINY = Sizes(
    layers={"8 experts, top-2, width 32": (64, 64, 8, 2, 32)},
    training={"dense": _TOY, "sparse": _TOY_SPARSE},
    num_sequences=2,
    length=16,
    decoding={"dense": _TOY, "sparse": _TOY_SPARSE},
    num_tokens=4,
    num_bytes=1 << 20,
    rounds=2,
)


def measure_layers(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return seconds of a forward and backward pass of each arm, and the ratios to the dense layer's."""
    result: dict[str, Any] = {}
    for name, (num_tokens, d_model, num_experts, top_k, d_expert) in sizes.layers.items():
        x, slope = (torch.randn(1, num_tokens, d_model, device=device, dtype=dtype) for _ in range(2))
        with torch.device(device):
            dense = SwiGLU(d_model, top_k * d_expert).to(dtype)
            layer = build_layer(num_experts, top_k, d_model, d_expert).to(dtype)
            peer = build_peer_block(num_experts, top_k, d_model, d_expert, "grouped_mm").to(dtype)
        arms = {"dense": make_layer_step(dense, x, slope)}
        for dispatch in LAYER_DISPATCHES:
            arms[dispatch] = _with_dispatch(layer, dispatch, make_layer_step(layer, x, slope))
        arms["transformers grouped_mm"] = make_layer_step(peer, x, slope)
        times, failed = _time(arms, sizes.rounds, device)
        flops = TRAIN_FACTOR * num_tokens * top_k * swiglu_flops(d_model, d_expert)
        medians = {arm: _median(seconds) for arm, seconds in times.items()}
        result[name] = {
            "median_s": medians,
            "flops_per_s": {arm: flops / seconds for arm, seconds in medians.items()},
            "to_dense": {
                arm: ratio(seconds, times["dense"])
                for arm, seconds in times.items()
                if arm != "dense" and "dense" in times
            },
            "failed": failed,
        }
        del dense, layer, peer, arms
        _free(device)
    return result


def measure_decoding(sizes: Sizes, device: torch.device, dtype: torch.dtype, bandwidth: float) -> dict[str, Any]:
    """Return the time of a decode step at batch 1 and its share of `bandwidth` (bytes per second), by dispatch."""
    result: dict[str, Any] = {}
    prompts = torch.randint(0, 256, (1, 16), generator=torch.Generator().manual_seed(0)).to(device)
    for name, config in sizes.decoding.items():
        model = build_ours(config, str(device)).to(dtype).eval()
        read = weight_bytes(model, prompts)
        rows: dict[str, Any] = {}
        failed: dict[str, str] = {}
        for dispatch in _dispatches(config):
            _set_dispatch(model, dispatch)
            try:
                seconds = step_seconds(model, prompts, sizes.num_tokens, sizes.rounds)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other arms are worth having
                failed[dispatch] = _one_line(error)
                continue
            rows[dispatch] = {"step_s": seconds, "bandwidth_share": read / seconds / bandwidth}
        params = count_params(config).total
        result[name] = {"weight_bytes_per_step": read, "total_params": params, "arms": rows, "failed": failed}
        del model
        _free(device)
    return result


def measure_training(
    sizes: Sizes, device: torch.device, peak_flops_per_s: float, deadline: float, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Return step times and MFU of both families, plain and compiled; `save` gets what there is after each family.

    Compiled arms are left out after `deadline` (of ``time.monotonic()``): compiling may take minutes.
    """
    result: dict[str, Any] = {}
    for name, config in sizes.training.items():
        shape = (sizes.num_sequences, sizes.length + 1)
        tokens = torch.randint(0, config.vocab_size, shape, generator=torch.Generator().manual_seed(0)).to(device)
        times, failed = _train_ours(config, tokens, sizes.rounds, deadline)
        _free(device)
        if not isinstance(config, MoEConfig):  # transformers' experts do not follow autocast: fp32 products there
            with torch.device(device):
                peer = build_peer(config).train()
            step = make_step(peer, _autocast(peer_loss(peer, config), device), tokens)
            peer_times, peer_failed = _time({"transformers": step}, sizes.rounds, device)
            times, failed = times | peer_times, failed | peer_failed
            del peer, step
            _free(device)
        num_tokens = sizes.num_sequences * sizes.length
        flops = num_tokens * count_train_flops_per_token(config, sizes.length)
        result[name] = {"active_params": count_params(config).active, "arms": {}, "failed": failed}
        for arm, seconds in times.items():
            median = _median(seconds)
            mfu = flops / median / peak_flops_per_s
            result[name]["arms"][arm] = {"step_s": median, "tokens_per_s": num_tokens / median, "mfu": mfu}
        save(result)
    return result


def _train_ours(
    config: ModelConfig, tokens: Tensor, rounds: int, deadline: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    device = tokens.device
    model = build_ours(config, str(device)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    arms = {}
    for dispatch in _dispatches(config):
        step = make_step(model, _autocast(_our_loss(model, model), device), tokens, optimizer)
        arms[dispatch] = _with_dispatch(model, dispatch, step)
    times, failed = _time(arms, rounds, device)
    for dispatch in list(times):
        arm = f"{dispatch}, compiled"
        if time.monotonic() > deadline:
            failed[arm] = "left out: no time left to compile"
            continue
        torch.compiler.reset()  # so that a graph of the other dispatch is not guarded against, but gone
        step = make_step(model, _autocast(_our_loss(torch.compile(model), model), device), tokens, optimizer)
        compiled_times, compiled_failed = _time({arm: _with_dispatch(model, dispatch, step)}, rounds, device)
        times, failed = times | compiled_times, failed | compiled_failed
    return times, failed


def _our_loss(forward: Callable[[Tensor], Any], model: Transformer) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda inputs, targets: training_loss(forward(inputs), targets, model.config)[1]


def _autocast(loss: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    dtype = autocast_dtype("auto", device)

    def run(inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            return loss(inputs, targets)

    return run


def _dispatches(config: ModelConfig) -> tuple[str, ...]:
    return MODEL_DISPATCHES if isinstance(config, MoEConfig) else ("plain",)


def _set_dispatch(model: nn.Module, name: str) -> None:
    for module in model.modules():
        if isinstance(module, RoutedExperts):
            module.dispatch = DISPATCHES.get(name)


def _with_dispatch(model: nn.Module, name: str, step: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        _set_dispatch(model, name)
        step()

    return run


def _time(
    arms: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return the times of the arms that run, and why the others do not; the first run compiles and is not kept."""
    usable, failed = {}, {}
    for name, arm in arms.items():
        try:
            arm()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other arms are worth having
            failed[name] = _one_line(error)
        else:
            usable[name] = arm
        _free(device)
    return time_in_turn(usable, rounds, warmups=2, sync=synchroniser(device)), failed


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
