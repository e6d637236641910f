"""Tiny trainings that one process and several do alike; as a program, one of several ranks (see `start_ranks`)."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.core.config import Budget, TrainConfig
from harness.core.model_config import ModelConfig, MoEConfig
from harness.core.parallel import ParallelConfig
from harness.models import build_model
from harness.train.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from harness.train.loop import Plan, TrainState, train_steps
from harness.train.micro import MicroBatch, accumulate
from harness.train.optim import build_optimizer
from harness.train.ranks import ALONE, Ranks, join_ranks, leave_ranks
from harness.train.spread import gather_weights, spread_model, walk_tensors

ROOT = Path(__file__).resolve().parents[3]
BATCH, STEPS, FORK = 8, 20, 10
DENSE = ModelConfig(d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32, mtp_depth=1)
MOE = MoEConfig(
    d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32, num_experts=4, top_k=2, d_expert=8,
    bias_update_rate=0.01, balance_loss_weight=0.1,
)  # fmt: skip
MODELS = {
    "dense": DENSE,
    "deepseek_v3": dataclasses.replace(MOE, attention="mla", mtp_depth=1),
    "mixtral": dataclasses.replace(MOE, router="mixtral"),
    "olmoe": dataclasses.replace(MOE, router="olmoe"),
    "switch": dataclasses.replace(MOE, router="switch", top_k=1),
    "switch_narrow": dataclasses.replace(MOE, router="switch", top_k=1, capacity_factor=0.5, dispatch="loop"),
}
TRAIN = TrainConfig(budget=Budget(tokens=STEPS * 128), batch_size=BATCH, context_length=16, warmup_tokens=256)
TEXT = (np.arange(4000) * 7 % 29).astype(np.uint16)
TOKENS = torch.randint(0, 32, (BATCH, 17), generator=torch.Generator().manual_seed(1))
TIMEOUT_S = 240


def begin(config: ModelConfig, ranks: Ranks, part: int) -> tuple[TrainState, Plan]:
    """Return an untrained state whose steps go through in parts of `part` sequences, and its plan."""
    model = build_model(config, seed=0)
    with torch.no_grad():  # as built, outputs are zero and most gradients with them
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            parameter.add_(0.05 * noise)
    spread = spread_model(model, ranks)
    micro = MicroBatch(BATCH // ranks.size, part, "test", fixed=True)
    state = TrainState(model, build_optimizer(model, TRAIN), micro=micro, spread=spread)
    plan = Plan(
        train=TRAIN, tokens=TEXT, seed=0, device=torch.device("cpu"), autocast=None, decay_from=15, num_steps=STEPS
    )
    settle(state, ranks)
    return state, plan


def settle(state: TrainState, ranks: Ranks) -> None:
    """Let DDP order its buckets, as the runner does before it trains."""
    for _ in range(2 if state.spread.wrapped is not None else 0):
        gradients(state, ranks)
    state.model.zero_grad(set_to_none=True)


def gradients(state: TrainState, ranks: Ranks) -> Any:
    """Leave the gradients of a fixed batch in the parameters; return the sums of the step."""
    rows = torch.from_numpy(ranks.share(TOKENS.numpy()))
    forward = state.spread.wrapped or state.model
    assert state.micro is not None
    state.model.train()
    return accumulate(state.model, forward, rows[:, :-1], rows[:, 1:], None, state.micro, state.spread)


def describe(state: TrainState) -> dict[str, Any]:
    """Return what a training has come to, comparable between layouts."""
    return {
        "losses": [loss for _, loss in state.losses],
        "rows": None if state.expert_rows is None else state.expert_rows.tolist(),
        "load": None if state.load is None else state.load.load_LE.tolist(),
        "weights": {name: tensor.flatten().tolist() for name, tensor in gather_weights(state.model, state.spread)},
    }


def describe_gradients(state: TrainState, ranks: Ranks) -> dict[str, Any]:
    """Return every gradient of the fixed batch, whole and after clipping, by its parameter's name."""
    sums = gradients(state, ranks)
    state.spread.clip_gradients(state.model, 0.05)
    found = {}
    for name, parameter in state.model.named_parameters():
        whole = state.spread.as_global(parameter.grad, parameter)
        found[name] = (whole.full_tensor() if hasattr(whole, "full_tensor") else whole).flatten().tolist()
    state.model.zero_grad(set_to_none=True)
    return {"gradients": found, "loads": [load.tolist() for load in sums.loads]}


def train(name: str, ranks: Ranks, part: int) -> dict[str, Any]:
    """Return a fixed batch's gradients, and what a whole training has come to."""
    state, plan = begin(MODELS[name], ranks, part)
    found = describe_gradients(state, ranks)
    train_steps(state, plan, STEPS)
    return found | describe(state)


def save_half(name: str, ranks: Ranks, part: int, root: Path) -> dict[str, Any]:
    """Train, saving half-way; then go on from there in a new state: both ends."""
    state, plan = begin(MODELS[name], ranks, part)
    train_steps(state, plan, FORK)
    save_checkpoint(root, state, {"note": "half"})
    train_steps(state, plan, STEPS)
    return {"through": describe(state), "resumed": go_on(name, ranks, part, root)}


def go_on(name: str, ranks: Ranks, part: int, root: Path) -> dict[str, Any]:
    """Return what a training that goes on from a checkpoint has come to."""
    state, plan = begin(MODELS[name], ranks, part)
    extra = load_checkpoint(checkpoint_path(root, FORK), state)
    assert extra == {"note": "half"}
    loaded = sorted(tensor_name for tensor_name, _ in walk_tensors(state.model, state.optimizer, state.spread))
    train_steps(state, plan, STEPS)
    return describe(state) | {"loaded": loaded}


def start_ranks(size: int, jobs: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Do `jobs` in `size` processes, a group for each strategy, and return the main rank's results by job."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in range(size):
        env = {
            **os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            "RANK": str(rank), "WORLD_SIZE": str(size), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        log = (folder / f"rank{rank}.log").open("w")
        command = [sys.executable, "-m", "tests.unit.train.spread_models", str(folder)]
        processes.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=ROOT))
    try:
        codes = [process.wait(TIMEOUT_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    logs = "\n".join((folder / f"rank{rank}.log").read_text()[-2000:] for rank in range(size))
    assert codes == [0] * size, logs
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def main(folder: Path) -> None:
    """Do the jobs of `folder` as the rank that the environment names."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    results = {}
    world = join_ranks(ParallelConfig(strategy="ddp", num_processes=size), rank, size, rank, size, "cpu")
    for number, job in enumerate(json.loads((folder / "jobs.json").read_text())):
        ranks = dataclasses.replace(world, strategy=job["strategy"])
        if job["strategy"] == "ep":
            ranks.shard_experts_over(job.get("expert_parallel", size))
        part = job.get("part", BATCH // size)
        root = Path(job["root"]) if "root" in job else folder / f"checkpoints{number}"
        if job["do"] == "train":
            results[job["key"]] = train(job["model"], ranks, part)
        elif job["do"] == "save_half":
            results[job["key"]] = save_half(job["model"], ranks, part, root)
        else:
            results[job["key"]] = go_on(job["model"], ranks, part, root)
    if world.is_main:
        (folder / "results.json").write_text(json.dumps(results))
    leave_ranks()


__all__ = ["ALONE", "MODELS", "STEPS", "go_on", "start_ranks", "train"]

if __name__ == "__main__":
    main(Path(sys.argv[1]))
