"""Fairness of the recipe: what a search may change, what only sparse models have, and where weights came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from harness.analysis.pooling import read_config
from harness.analysis.results import Check
from harness.core.model_config import ModelConfig, MoEConfig
from harness.core.records import RunRecord
from harness.core.study import StudyInfo, TuningNote

MAX_FLOPS_GAP = 0.001
_SPARSE_KEYS = tuple(
    field.name
    for field in dataclasses.fields(MoEConfig)
    if field.name not in {common.name for common in dataclasses.fields(ModelConfig)}
)


def check_recipe(runs: Sequence[RunRecord], study: StudyInfo | None) -> tuple[Check, ...]:
    """Return the checks on optimiser, sparse-only settings and starting weights."""
    return (check_optimiser(runs, study), check_sparse_settings(runs), check_parents(runs))


def leave_out_searched_batch(runs: Sequence[RunRecord], study: StudyInfo | None) -> list[RunRecord]:
    """Return `runs` without their batch where each ran at the one that a disclosed search of its arm and size chose.

    A batch that was searched for each family like its rate may differ between them like its rate.
    """
    notes = _notes_of(study)
    searched = [notes.get((record.arm, record.size)) for record in runs]
    batches = [read_config(record, "train.batch_size") for record in runs]
    if not all(
        note is not None and len(note.batch_sizes) > 1 and note.chosen_batch == batch
        for note, batch in zip(searched, batches, strict=True)
    ):
        return list(runs)
    stripped = []
    for record in runs:
        train = {key: value for key, value in record.config["train"].items() if key != "batch_size"}
        stripped.append(dataclasses.replace(record, config=record.config | {"train": train}))
    return stripped


def check_optimiser(runs: Sequence[RunRecord], study: StudyInfo | None) -> Check:
    """Check what equal settings do not say: one rate and batch a size, precision as it ran, whole schedules."""
    code, title = "optimiser_same", "Optimiser as it ran: one rate and batch a size, same precision, whole schedule"
    notes = _notes_of(study)
    problems = []
    rates: dict[tuple[str, str], dict[Any, str]] = {}
    for record in runs:
        batch = read_config(record, "train.batch_size")
        rates.setdefault((record.arm, record.size), {}).setdefault(
            (read_config(record, "train.learning_rate"), batch), record.run_id
        )
        note = notes.get((record.arm, record.size))
        if note is not None and note.chosen_batch is not None and batch != note.chosen_batch:
            problems.append(f"'{record.run_id}' ran at batch {batch}, the search chose {note.chosen_batch}")
        if any(finding.code == "stopped_by_budget" for finding in record.findings):
            problems.append(f"'{record.run_id}' was stopped before its schedule ended")
    problems += [
        f"{arm} {size} ran at several rates or batches ({', '.join(map(repr, found.values()))})"
        for (arm, size), found in rates.items()
        if len(found) > 1
    ]
    for name, values in (
        ("precision", {r.batches.precision for r in runs if r.batches is not None}),
        ("isojoule version", {r.environment.isojoule_version for r in runs if r.environment is not None}),
    ):
        if len(values) > 1:
            problems.append(f"runs differ in {name} ({', '.join(sorted(values))})")
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        return Check(code=code, title=title, outcome="fail", text="; ".join(problems[:3]) + more)
    if any(rate is None or batch is None for found in rates.values() for rate, batch in found):
        return Check(code=code, title=title, outcome="unknown", text="some records name no rate or no batch")
    shown = "; ".join(
        f"{arm} {size}: {rate:g} x batch {batch}"
        for (arm, size), found in sorted(rates.items())
        for rate, batch in found
    )
    return Check(code=code, title=title, outcome="pass", text=f"{shown}{_describe_code(runs)}")


def check_sparse_settings(runs: Sequence[RunRecord]) -> Check:
    """Check that settings which only sparse models have were the same in every run of an arm and size.

    Whoever varies them among compared runs tunes one family alone; a search of them belongs into a study of its own.
    """
    code, title = "sparse_settings_fixed", "Sparse-only settings fixed within an arm and size"
    sparse = [record for record in runs if record.routing is not None or read_config(record, "model.num_experts")]
    if not sparse:
        return Check(code=code, title=title, outcome="pass", text="no run has routed experts")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in sparse:
        model = read_config(record, "model")
        own = {key: model[key] for key in _SPARSE_KEYS if key in model} if isinstance(model, dict) else {}
        if "num_experts" not in own:
            text = f"'{record.run_id}' holds no configuration of its experts"
            return Check(code=code, title=title, outcome="unknown", text=text)
        groups.setdefault((record.arm, record.size), []).append(own)
    varied, unsaid = [], []
    for (arm, size), members in sorted(groups.items()):
        for key in _SPARSE_KEYS:
            values = _distinct(member[key] for member in members if key in member)
            if len(values) > 1:
                varied.append(f"{arm} {size} has model.{key} {', '.join(map(str, values))}")
            elif 0 < sum(key in member for member in members) < len(members):
                unsaid.append(f"{arm} {size} model.{key}")
    if varied:
        return Check(code=code, title=title, outcome="fail", text="; ".join(varied))
    if unsaid:
        text = f"some runs do not say {', '.join(unsaid)}"
        return Check(code=code, title=title, outcome="unknown", text=text)
    return Check(code=code, title=title, outcome="pass", text=_describe_settings(groups, len(sparse)))


def check_parents(runs: Sequence[RunRecord]) -> Check:
    """Check that no run begins with weights whose cost is not in its path.

    Runs begin with random weights or at a fork of their trunk, so the trunk's part and their own windows hold every
    token of a path.
    """
    code, title = "parents_included", "Cost of starting weights in every path"
    num_forked = 0
    for record in runs:
        path, own = record.path, [w.work for w in record.windows_of("pretrain") if w.work is not None]
        if path is None or record.flops is None or (not own and path.fork_tokens != path.tokens):
            text = f"'{record.run_id}' does not say what its own training windows did"
            return Check(code=code, title=title, outcome="unknown", text=text)
        if record.role == "branch" and (path.trunk_run_id is None or path.fork_tokens is None):
            text = f"'{record.run_id}' is a branch, and no trunk is in its path"
            return Check(code=code, title=title, outcome="fail", text=text)
        num_forked += path.trunk_run_id is not None
        counted = (path.fork_tokens or 0) + sum(round(work.amount) for work in own)
        if counted != path.tokens:
            text = f"'{record.run_id}' saw {path.tokens} tokens, and its trunk and windows hold {counted}"
            return Check(code=code, title=title, outcome="fail", text=text)
        expected = path.tokens * record.flops.train_per_token
        if abs(path.flops - expected) > MAX_FLOPS_GAP * expected:
            text = f"'{record.run_id}' books {path.flops:.4g} FLOPs for tokens that take {expected:.4g}"
            return Check(code=code, title=title, outcome="fail", text=text)
    text = f"{num_forked} paths hold their trunk's part, {len(runs) - num_forked} begin at random weights"
    return Check(code=code, title=title, outcome="pass", text=text)


def _notes_of(study: StudyInfo | None) -> dict[tuple[str, str], TuningNote]:
    return {(note.arm, note.size): note for note in study.tuning} if study is not None else {}


def _describe_code(runs: Sequence[RunRecord]) -> str:
    """Say what else is known of the code and the cut that ran; other commits are disclosed, not judged."""
    parts = []
    commits = {r.environment.git_commit for r in runs if r.environment is not None and r.environment.git_commit}
    if len(commits) > 1:
        parts.append(f"{len(commits)} commits of isojoule ran")
    cuts = {r.batches.micro_batch_size for r in runs if r.batches is not None}
    if len(cuts) > 1:
        parts.append(f"steps in parts of {', '.join(map(str, sorted(cuts)))} sequences")
    if any(record.batches is None for record in runs):
        parts.append("the precision that ran is not in every record")
    return "".join(f"; {part}" for part in parts)


def _describe_settings(groups: dict[tuple[str, str], list[dict[str, Any]]], num_runs: int) -> str:
    between = []
    for arm in sorted({arm for arm, _ in groups}):
        own = [members[0] for (name, _), members in groups.items() if name == arm]
        keys = [key for key in _SPARSE_KEYS if len(_distinct(member.get(key) for member in own)) > 1]
        between += [f"{arm} sizes differ in {', '.join(keys)}"] if keys else []
    named = sorted({key for members in groups.values() for member in members for key in member})
    return f"{num_runs} sparse runs agree in {', '.join(named)}" + "".join(f"; {part}" for part in between)


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
