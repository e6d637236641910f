"""Pretraining under windows: segments between checkpoints, each with its own energy, summed to the cost of the path."""

from __future__ import annotations

import math
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.clock import now_s
from harness.core.config import RunConfig
from harness.core.errors import RunFailedError
from harness.core.readings import Finding
from harness.core.records import PathCost, WindowRecord, Work
from harness.data.shards import Tokens
from harness.flops.formulas import count_train_flops_per_token
from harness.measure import Meter
from harness.measure.totals import total_energy_j
from harness.models.transformer import Transformer
from harness.run import stop
from harness.run.device import autocast_dtype, peak_memory_bytes, synchroniser
from harness.run.rank_energy import RankMeter
from harness.run.spent import Spent, pack_spent, sum_readings, unpack_path, unpack_spent
from harness.train.checkpoint import (
    checkpoint_path,
    drop_checkpoints,
    find_last_good,
    load_checkpoint,
    save_checkpoint,
)
from harness.train.integrity import find_damage
from harness.train.loop import Plan, Progress, TrainState, train_steps
from harness.train.micro import Forward, MicroBatch
from harness.train.optim import build_optimizer
from harness.train.ranks import ALONE
from harness.train.schedule import count_steps, fork_step, tokens_per_step
from harness.train.spread import Spread

# Periodic checkpoints that stay: with two, one that a crash or a disk has damaged is not the last.
KEPT_CHECKPOINTS = 2

Emit = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Pretraining:
    """Outcome: the state after training, its windows, the cost of its whole path, and what a reader must know."""

    state: TrainState
    windows: list[WindowRecord]
    path: PathCost
    findings: list[Finding] = field(default_factory=list)

    def give_back(self) -> None:
        """Free gradients and optimiser state: what comes after training is measured without them."""
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.optimizer.state.clear()


class Pretrainer:
    """Trains one run of any role and keeps account of what it cost."""

    def __init__(  # noqa: PLR0917 - the runner makes it, once
        self,
        config: RunConfig,
        model: Transformer,
        tokens: Tokens,
        bytes_per_token: float,
        meter: Meter | RankMeter,
        forward: Forward | None = None,
        micro: MicroBatch | None = None,
        spread: Spread | None = None,
    ) -> None:
        self.config = config
        self.meter = meter
        self.ranks = spread.ranks if spread is not None else ALONE
        self.device = model.embedding.weight.device
        self.bytes_per_token = bytes_per_token
        self.flops_per_token = count_train_flops_per_token(model.config, config.train.context_length)
        optimizer = build_optimizer(model, config.train)
        self.state = TrainState(model, optimizer, forward=forward, micro=micro, spread=spread or Spread())
        budget = config.train.budget
        limit = budget.tokens if budget.flops is None else min(budget.tokens, int(budget.flops / self.flops_per_token))
        self.num_steps = count_steps(config.train, limit)
        decays = config.role != "trunk" and config.train.decay_fraction > 0
        self.plan = Plan(
            train=config.train,
            tokens=tokens,
            seed=config.seed,
            device=self.device,
            autocast=autocast_dtype(config.train.precision, self.device),
            decay_from=fork_step(config.train, limit) if decays else None,
            num_steps=self.num_steps,
        )
        self.prefix: PathCost | None = None
        self.windows: list[WindowRecord] = []
        self.findings: list[Finding] = []
        self.stopped = False  # a budget has ended training

    def run(self, own_checkpoints: Path, trunk_checkpoints: Path | None, emit: Emit) -> Pretraining:
        """Train to the end of the run, resuming from its own last good checkpoint or from its trunk's fork.

        A process that is asked to stop meanwhile saves a checkpoint at the next step, and ends.
        """
        with stop.deferred():
            return self._run(own_checkpoints, trunk_checkpoints, emit)

    def _run(self, own_checkpoints: Path, trunk_checkpoints: Path | None, emit: Emit) -> Pretraining:
        is_trunk = self.config.role == "trunk"
        fork_steps = self._fork_steps()
        self._restore(own_checkpoints, trunk_checkpoints, fork_steps if is_trunk else ())
        stops = [step for step in (fork_steps if is_trunk else [self.num_steps]) if step > self.state.step]
        is_interrupted = self._is_interrupted()
        while stops and not self.stopped and not is_interrupted:
            self.stopped = self._segment(stops[0], emit)
            if self.state.step >= stops[0]:
                stops.pop(0)
            is_interrupted = self._is_interrupted()
            if stops or is_trunk or is_interrupted:
                self._save(own_checkpoints, keep={*fork_steps, self.state.step})
        if is_interrupted and stop.requested() is None:
            raise stop.StopRun(128 + signal.SIGTERM)  # another rank was asked, and ends now
        return Pretraining(self.state, self.windows, self.path(), self.findings)

    def _is_interrupted(self) -> bool:
        """Return whether any rank was asked to stop: the same answer on all of them."""
        return self.ranks.any_true(stop.requested() is not None)

    def _fork_steps(self) -> list[int]:
        return [fork_step(self.config.train, tokens) for tokens in sorted(set(self.config.branch_tokens))]

    def path(self) -> PathCost:
        """Return the cost of the path up to now: the trunk's prefix plus this run's own windows."""
        own = [window for window in self.windows if window.phase == "pretrain"]
        prefix = self.prefix
        tokens = self.state.step * tokens_per_step(self.config.train)
        peaks = [window.peak_memory_bytes for window in own if window.peak_memory_bytes is not None]
        if prefix is not None and prefix.peak_memory_bytes is not None:
            peaks.append(prefix.peak_memory_bytes)
        return PathCost(
            tokens=tokens,
            flops=tokens * self.flops_per_token,
            duration_s=sum(window.duration_s for window in own) + (prefix.duration_s if prefix else 0.0),
            energy=sum_readings([*(prefix.energy if prefix else ()), *(r for w in own for r in w.energy)]),
            peak_memory_bytes=max(peaks, default=None),
            trunk_run_id=self.config.trunk_id,
            fork_tokens=prefix.tokens if prefix else None,
        )

    def _segment(self, until_step: int, emit: Emit) -> bool:
        """Train in one window, to `until_step` or a pause for a checkpoint; return whether a budget ended the run."""
        began, first_step = now_s(), self.state.step
        reason: list[str] = []
        spent = self.path()

        def should_stop(progress: Progress) -> bool:
            # all ranks ask, before anything that differs between them is looked at
            energy_j = window.energy_so_far_j() if self.config.train.budget.joules is not None else None
            emit(
                {
                    "event": "progress",
                    "phase": "pretrain",
                    "done": progress.step,
                    "total": self._last_step(),
                    "loss": self._bits_per_byte(progress.loss),
                }
            )
            limit = self._limit_reached(progress, spent, energy_j, now_s() - began)
            pause = now_s() - began > self.config.train.checkpoint_interval_s
            limit, pause = self.ranks.from_main((limit, pause))
            if limit:
                reason.append(limit)
            return bool(limit) or pause

        with self.meter.window("pretrain", repetition=len(self.windows), sync=synchroniser(self.device)) as window:
            train_steps(self.state, self.plan, until_step, should_stop, self._is_interrupted)
        num_tokens = (self.state.step - first_step) * tokens_per_step(self.config.train)
        work = Work(
            unit="token", amount=num_tokens, flops=num_tokens * self.flops_per_token, num_input_tokens=num_tokens
        )
        self.windows.append(window.to_record(work=work, peak_memory_bytes=peak_memory_bytes(self.device)))
        self.findings.extend(window.findings)
        if reason:
            self.findings.append(
                Finding(
                    code="stopped_by_budget", severity="info", text=f"training stopped before its tokens: {reason[0]}"
                )
            )
        return bool(reason)

    def _limit_reached(self, progress: Progress, spent: PathCost, now_j: float | None, seconds: float) -> str | None:
        budget = self.config.train.budget
        if budget.seconds is not None and spent.duration_s + seconds >= budget.seconds:
            return f"budget.seconds {budget.seconds:g} reached"
        if budget.target_loss is not None and self._bits_per_byte(progress.loss) <= budget.target_loss:
            return f"budget.target_loss {budget.target_loss:g} bits per byte (training loss) reached"
        if budget.joules is not None:
            before_j = total_energy_j(spent.energy) if spent.energy else 0.0  # nothing was spent yet
            if now_j is not None and before_j is not None and now_j + before_j >= budget.joules:
                return f"budget.joules {budget.joules:g} reached"
        return None

    def _last_step(self) -> int:
        if self.config.role != "trunk":
            return self.num_steps
        return max(fork_step(self.config.train, tokens) for tokens in self.config.branch_tokens)

    def _bits_per_byte(self, nats_per_token: float) -> float:
        return nats_per_token / math.log(2) / self.bytes_per_token

    def _save(self, root: Path, keep: set[int]) -> None:
        spent = Spent(self.prefix, self.windows, self.findings, self.stopped)
        save_checkpoint(root, self.state, pack_spent(spent, self.path()))
        if self.ranks.is_main:
            drop_checkpoints(root, keep, newest=KEPT_CHECKPOINTS)

    def _restore(self, own: Path, trunk: Path | None, needed_steps: Sequence[int]) -> None:
        found = find_last_good(own, needed_steps) if self.ranks.is_main else (None, [])
        latest, damaged = self.ranks.from_main(found)
        if latest is not None:
            spent = unpack_spent(load_checkpoint(latest, self.state), latest)
            self.windows, self.prefix = spent.windows, spent.prefix
            self.findings, self.stopped = spent.findings, spent.stopped
            self.findings.append(
                Finding(
                    code="resumed",
                    severity="info",
                    text="resumed from a checkpoint; work after it, lost with the process, is not in the energy",
                    value=self.state.step * tokens_per_step(self.config.train),
                )
            )
        elif trunk is not None:
            fork = checkpoint_path(trunk, self.plan.decay_from or 0)
            self.prefix = unpack_path(self._load_fork(fork), fork)
        self.findings.extend(
            Finding(code="checkpoint_damaged", severity="warning", text=f"{text}; it was passed over")
            for text in damaged
        )

    def _load_fork(self, path: Path) -> dict[str, Any]:
        """Load a trunk's checkpoint; a damaged one is removed, so that the trunk makes it again."""
        damage = self.ranks.from_main(find_damage(path) if self.ranks.is_main else None)
        if damage is None:
            return load_checkpoint(path, self.state)
        if self.ranks.is_main:
            shutil.rmtree(path, ignore_errors=True)
        raise RunFailedError(
            f"checkpoint '{path.name}' of the trunk '{path.parent.name}' cannot be used: {damage}; the same command "
            "with --retry-failed makes it again."
        )
