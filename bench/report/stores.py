"""Stores of any number of runs, made from committed records: every field of a real record stays, its figures vary.

A store is what `isojoule run` leaves behind: the plan, a record for each run, a trace for each that finished. Losses
follow L = E + A N^-alpha + B D^-beta with noise of trunk and branch, joules and seconds follow the tokens.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic_core import from_json, to_json

from bench.stats.designs import ALPHA, BETA, FLOOR, SCALE_D, SCALE_N
from harness.core.study import PlannedRun, StudyInfo, load_study, save_study

REPORTS = Path(__file__).parents[2] / "reports"
Design = Literal["seeds", "cells"]
# Records with kinds of tasks are four times as long as those of losses alone; each design has one of them.
TEMPLATES: dict[Design, Path] = {"seeds": REPORTS / "2026-11_tasks_cpu", "cells": REPORTS / "2026-11_iso_loss_cpu"}
ARMS = ("dense", "moe")
SHARE_FAILED = 0.02
SHARE_NEVER = 0.005
SHARE_TRUNCATED = 0.001
SHARE_DISTURBED = 0.05
_ADVANTAGE = 2.0
_TRUNK_NOISE, _BRANCH_NOISE, _COST_NOISE = 0.008, 0.012, 0.03
_FIRST_TOKENS = 400_000
_ERRORS = (
    "the worker ended with signal 9 (out of memory?); the last line of its log: step {step} of 4000, loss {loss:.4f}",
    "RuntimeError: the loss is not finite at step {step}",
    'the worker ended with exit code 1: torch.OutOfMemoryError: tried to allocate {step} MiB\n  File "train.py"',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One planned run: a trunk where `budget` is ``None``; `scale` is its parameters over those of the template."""

    arm: str
    size: str
    scale: float
    seed: int
    budget: int | None
    num_budgets: int

    @property
    def tokens(self) -> int:
        """Return the tokens of the path; a trunk ends where the last of its branches begins its decay."""
        last = _FIRST_TOKENS * 2 ** (4 * (self.num_budgets - 1) / max(self.num_budgets - 1, 3))
        if self.budget is None:
            return round(0.8 * last)
        return round(_FIRST_TOKENS * (last / _FIRST_TOKENS) ** (self.budget / max(self.num_budgets - 1, 1)))


def list_cells(num_records: int, design: Design) -> list[Cell]:
    """Return `num_records` runs: few cells with as many seeds as are needed, or three seeds of as many cells."""
    if design == "seeds":
        num_sizes, num_budgets = 3, 4
        num_seeds = math.ceil(num_records / (2 * num_sizes * (num_budgets + 1)))
    else:
        num_seeds = 3
        pairs = math.ceil(num_records / (2 * num_seeds))
        num_budgets = max(3, round(math.sqrt(pairs) / 1.5))
        num_sizes = math.ceil(pairs / (num_budgets + 1))
    scales = [0.5 * 2 ** (3 * i / max(num_sizes - 1, 1)) for i in range(num_sizes)]
    cells = [
        Cell(arm=arm, size=f"n{i:02d}", scale=scale, seed=seed, budget=budget, num_budgets=num_budgets)
        for seed in range(num_seeds)
        for i, scale in enumerate(scales)
        for arm in ARMS
        for budget in (None, *range(num_budgets))
    ]
    return cells[:num_records]


def write_store(root: Path, num_records: int, design: Design, seed: int = 0) -> Path:
    """Write a study of `num_records` runs to `root`; the same bytes for the same seed. Return `root`.

    Some runs failed, fewer have no record at all, and a few records end in the middle.
    """
    source = TEMPLATES[design]
    promise = load_study(source)
    if promise is None:
        raise ValueError(f"'{source}' has no study.json")
    templates, trace = _load_templates(source)
    study = f"scale_{design}"
    cells = list_cells(num_records, design)
    names = [_name(study, cell) for cell in cells]
    save_study(root, _promise(promise, study, cells, names))
    for folder in ("records", "traces"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in _make_records(study, cells, names, templates, np.random.default_rng(seed)):
        (root / "records" / f"{name}.json").write_bytes(content)
        if b'"status": "finished"' in content:
            (root / "traces" / f"{name}.json").write_bytes(trace)
    return root


def _load_templates(source: Path) -> tuple[dict[tuple[str, str], bytes], bytes]:
    """Return the bytes of one finished record by arm and role, and those of a trace."""
    found: dict[tuple[str, str], bytes] = {}
    trace = b""
    for path in sorted((source / "records").glob("*.json")):
        content = path.read_bytes()
        record = from_json(content)
        key = (record["arm"], record["role"])
        if record["status"] == "finished" and key not in found:
            found[key] = content
            if record["role"] == "branch":
                trace = (source / "traces" / path.name).read_bytes()
    return found, trace


def _name(study: str, cell: Cell) -> str:
    budget = "trunk" if cell.budget is None else f"{cell.tokens / 1e6:g}M"
    name = "-".join((study, cell.arm, cell.size, budget, f"s{cell.seed}"))
    return f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _promise(promise: StudyInfo, study: str, cells: list[Cell], names: list[str]) -> StudyInfo:
    runs = tuple(
        PlannedRun(
            run_id=name,
            arm=cell.arm,
            size=cell.size,
            role="trunk" if cell.budget is None else "branch",
            seed=cell.seed,
            tokens=cell.tokens,
            block=cell.seed,
        )
        for cell, name in zip(cells, names, strict=True)
    )
    known = {note.arm: note for note in promise.tuning}
    sizes = dict.fromkeys((cell.arm, cell.size) for cell in cells)
    tuning = tuple(dataclasses.replace(known[arm], size=size) for arm, size in sizes if arm in known)
    title = f"A study of {len(cells)} simulated runs"
    return dataclasses.replace(promise, study=study, title=title, runs=runs, tuning=tuning)


def _make_records(
    study: str,
    cells: list[Cell],
    names: list[str],
    templates: dict[tuple[str, str], bytes],
    rng: np.random.Generator,
) -> Iterator[tuple[str, bytes]]:
    trunks = {
        (cell.arm, cell.size, cell.seed): name for cell, name in zip(cells, names, strict=True) if cell.budget is None
    }
    offsets = {key: rng.normal(0, _TRUNK_NOISE) for key in trunks}
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        fate = rng.random()
        if fate < SHARE_NEVER:
            continue
        record = from_json(templates[cell.arm, "trunk" if cell.budget is None else "branch"])
        key = (cell.arm, cell.size, cell.seed)
        _vary(record, cell, offsets[key], trunks[key], rng)
        record.update(study=study, run_id=name, config_hash=hashlib.sha256(name.encode()).hexdigest())
        record["plan_position"].update(block=cell.seed, index=index)
        if fate < SHARE_NEVER + SHARE_FAILED and cell.budget is not None:
            _fail(record, rng)
        content = to_json(record, indent=1)
        yield name, content[: len(content) // 2] if fate > 1 - SHARE_TRUNCATED else content


def _vary(record: dict[str, Any], cell: Cell, offset: float, trunk: str, rng: np.random.Generator) -> None:
    """Give the copy of a template the size, tokens, loss and cost of its cell."""
    record.update(size=cell.size, seed=cell.seed)
    record["config"].update(study=record["study"], seed=cell.seed)
    for count in ("total", "active", "embedding", "active_non_embedding"):
        record["params"][count] = round(record["params"][count] * cell.scale)
    for count in ("forward_per_token", "train_per_token", "executed_train_per_token"):
        if record["flops"].get(count) is not None:
            record["flops"][count] *= cell.scale
    path, own = record["path"], next(w for w in record["windows"] if w["phase"] == "pretrain")
    tokens = cell.tokens
    cost = cell.scale * tokens / path["tokens"]
    if cell.budget is not None:
        path.update(trunk_run_id=trunk, fork_tokens=round(0.8 * tokens))
        record["config"].update(trunk_id=trunk)
    done = tokens - (path["fork_tokens"] or 0)
    own["work"].update(amount=float(done), num_input_tokens=done, flops=done * record["flops"]["train_per_token"])
    path.update(
        tokens=tokens,
        flops=tokens * record["flops"]["train_per_token"],
        duration_s=path["duration_s"] * cost * math.exp(rng.normal(0, _COST_NOISE)),
    )
    _scale_energy(path["energy"], cost * math.exp(rng.normal(0, _COST_NOISE)))
    _vary_windows(record["windows"], cell.scale, rng)
    loss = _true_loss(cell, record["params"]["active"]) + offset + rng.normal(0, _BRANCH_NOISE)
    for quality in record["quality"]:
        if quality["metric"] == "validation_bits_per_byte":
            quality["value"] = loss
        elif quality["value"] is not None and quality["num_samples"]:
            share = min(0.9, max(0.02, 1.1 - 0.35 * loss))
            quality["value"] = float(rng.binomial(quality["num_samples"], share)) / quality["num_samples"]
    if rng.random() < SHARE_DISTURBED:
        count = int(rng.integers(1, 30))
        text = f"pretrain 0: {count} other process(es) used the device"
        finding = {"code": "device_shared", "severity": "warning", "text": text, "value": float(count), "limit": 0.0}
        record["findings"].append(finding)


def _vary_windows(windows: list[dict[str, Any]], scale: float, rng: np.random.Generator) -> None:
    factors = np.exp(rng.normal(0, _COST_NOISE, size=len(windows))).tolist()
    for window, factor in zip(windows, factors, strict=True):
        if window["phase"].startswith("idle"):
            continue
        window["duration_s"] *= factor * scale
        _scale_energy(window["energy"], factor * scale)


def _scale_energy(readings: list[dict[str, Any]], factor: float) -> None:
    for reading in readings:
        for name in ("energy_j", "net_energy_j", "crosscheck_j", "uncertainty_j"):
            if reading.get(name) is not None:
                reading[name] *= factor


def _true_loss(cell: Cell, params: float) -> float:
    gain = _ADVANTAGE if cell.arm == "moe" else 1.0
    return float(FLOOR + SCALE_N * params**-ALPHA + SCALE_D * (gain * cell.tokens) ** -BETA)


def _fail(record: dict[str, Any], rng: np.random.Generator) -> None:
    """Leave of the record what one holds whose worker died."""
    error = _ERRORS[int(rng.integers(len(_ERRORS)))]
    record.update(
        status="failed",
        error=error.format(step=int(rng.integers(1, 4000)), loss=float(rng.uniform(1.5, 4))),
        path=None,
        windows=[],
        quality=[],
        routing=None,
        training_routing=None,
        loss_curve=[],
        findings=[],
        sensors=[],
        epochs=None,
        train_flops_per_s=None,
        mfu=None,
    )
    for name in ("task_routing", "expert_coverage"):
        if name in record:
            record[name] = []
