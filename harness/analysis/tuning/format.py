"""A search for the terminal, for other programs, and as the block to paste under ``sweep.tuning`` of a study."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

import yaml  # type: ignore[import-untyped, unused-ignore]

from harness.analysis.tuning.findings import describe_trial
from harness.analysis.tuning.results import ArmChoice, Search, SearchCost, Trial, TuningResult

SCHEMA_VERSION = 1
_MARKS = {"pass": "pass", "fail": "FAIL", "unknown": "?"}


def tuning_to_json(tuning: TuningResult) -> dict[str, Any]:
    """Return all of `tuning` as plain dicts, lists and scalars; unknown numbers are ``None``."""
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(tuning), allow_nan=False))
    return {"schema_version": SCHEMA_VERSION, **content}


def tuning_to_text(tuning: TuningResult) -> str:
    """Return every trial, what was chosen and how sure, the cost and the findings, without colours."""
    lines = [f"study {tuning.study}: {sum(search.cost.num_runs for search in tuning.searches)} runs of a search"]
    for search in tuning.searches:
        lines += ["", *_search_lines(search)]
    lines += ["", "one rate for all sizes of a family (lowest mean over sizes)"]
    lines += [f"  {_describe_arm(arm)}" for arm in tuning.arms]
    check = tuning.equal_budgets
    lines += ["", f"{_MARKS[check.outcome]:<5} {check.title}: {check.text}"]
    if tuning.findings:
        lines += ["", "findings", *(f"  {finding.severity}: {finding.text}" for finding in tuning.findings)]
    return "\n".join(lines)


def tuning_to_yaml(tuning: TuningResult, by: Literal["size", "arm"] = "size") -> str:
    """Return the notes to paste under ``sweep.tuning``, one for each arm and size, indented as in the shipped studies.

    `by` says what is chosen: each size's own best, or one rate and batch for all sizes of an arm. Where nothing was
    chosen a comment stands instead.
    """
    arms = {choice.arm: choice for choice in tuning.arms}
    blocks = []
    for search in tuning.searches:
        choice = arms[search.arm]
        rate, batch, reason = (
            (choice.learning_rate, choice.batch_size, choice.reason)
            if by == "arm"
            else (search.chosen.learning_rate, search.chosen.batch_size, None)
            if search.chosen is not None
            else (None, None, search.reason)
        )
        if rate is None or search.tokens_per_trial is None:
            why = reason or "its trials saw unequal numbers of tokens"
            blocks.append(f"    # {search.arm} {search.size}: nothing to disclose yet: {why}")
            continue
        cost = search.cost
        values: list[tuple[str, str]] = [
            ("arm", _word(search.arm)),
            ("size", _word(search.size)),
            ("learning_rates", f"[{', '.join(_float(value) for value in search.learning_rates)}]"),
            ("chosen", _float(rate)),
        ]
        if len(search.batch_sizes) > 1:
            values += [("batch_sizes", str(list(search.batch_sizes))), ("chosen_batch", str(batch))]
        values += [
            ("tokens_per_trial", str(search.tokens_per_trial)),
            ("num_seeds", str(search.num_seeds)),
            ("total_flops", _float(cost.flops)),
            ("total_duration_s", _float(cost.duration_s)),
            ("total_energy_j", _float(cost.energy_j)),
            ("energy_grade", cost.energy_grade or "null"),
            ("where", json.dumps(f"study {tuning.study}")),
        ]
        if cost.num_unknown:
            blocks.append(f"    # {search.arm} {search.size}: {_describe_cost(cost)}")
        blocks.append(_wrap([f"{key}: {value}" for key, value in values]))
    return "\n".join(blocks) + "\n"


def _search_lines(search: Search) -> list[str]:
    names = ("rate", "batch", "bits/byte", "spread", "tokens", "FLOPs", "seconds", "joules")
    lines = [f"{search.arm} {search.size}: {_describe_choice(search)}", f"  {_row(*names)}  grade"]
    for trial in search.trials:
        mark = " <- chosen" if trial is search.chosen else "" if trial.state == "finished" else f" {trial.state}"
        lines.append(f"  {_trial_row(trial)}  {trial.energy_grade or '-':<5}{mark}")
    return [*lines, f"  {_describe_cost(search.cost)}"]


def _trial_row(trial: Trial) -> str:
    costs = (trial.tokens, trial.flops, trial.duration_s, trial.energy_j)
    batch = "?" if trial.batch_size is None else str(trial.batch_size)
    losses = (_fixed(trial.mean_loss), _fixed(trial.spread))
    return _row(f"{trial.learning_rate:g}", batch, *losses, *(_short(cost) for cost in costs))


def _row(*cells: str) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, (9, 7, 11, 9, 11, 11, 9, 10), strict=True))


def _describe_choice(search: Search) -> str:
    if search.chosen is None:
        return f"nothing chosen: {search.reason}"
    words = [f"{describe_trial(search.chosen)} chosen"]
    words.append({True: "inside its grid", False: "at an EDGE of its grid", None: "edge unknown"}[search.rate_interior])
    if search.batch_interior is not None:
        words.append("batch inside its grid" if search.batch_interior else "batch at an EDGE of its grid")
    words.append(_describe_gap(search))
    return ", ".join(words)


def _describe_gap(search: Search) -> str:
    next_best, gap, interval = search.next_best, search.gap, search.gap_interval
    if next_best is None or gap is None:
        return "no other trial to compare with"
    text = f"next best {describe_trial(next_best)} is {gap:.4f} worse"
    if interval is None:
        return f"{text} (one seed: this may be noise)"
    sure = "clear of" if search.is_clear else "within"
    return f"{text} ({interval.level:.0%} CI {interval.low:.4f} to {interval.high:.4f}, {sure} seed noise)"


def _describe_cost(cost: SearchCost) -> str:
    if cost.num_unknown:
        return f"cost of the search: unknown for {cost.num_unknown} runs; at least {cost.known_flops:.3g} FLOPs"
    energy = "energy unknown" if cost.energy_j is None else f"{cost.energy_j:.4g} J (grade {cost.energy_grade})"
    return f"cost of the search: {_short(cost.flops)} FLOPs, {_short(cost.duration_s)} s, {energy} in training"


def _describe_arm(choice: ArmChoice) -> str:
    sizes = ", ".join(choice.sizes)
    if choice.learning_rate is None or choice.mean_loss is None:
        return f"{choice.arm} ({sizes}): none: {choice.reason}"
    batch = f" x batch {choice.batch_size}" if choice.batch_size is not None else ""
    return f"{choice.arm} ({sizes}): {choice.learning_rate:g}{batch}, mean {choice.mean_loss:.4f}"


def _wrap(items: list[str]) -> str:
    """Return a flow mapping over as many lines as it needs, in the form of the shipped studies."""
    lines, line = [], "    - {"
    for index, item in enumerate(items):
        piece = item + ("}" if index == len(items) - 1 else ",")
        if len(line) + len(piece) > 110:
            lines.append(line.rstrip())
            line = "       "
        line += piece + " "
    return "\n".join([*lines, line.rstrip()])


def _float(value: float | None) -> str:
    """Return a number that every YAML reader takes for a float: with a point, also before an exponent."""
    if value is None:
        return "null"
    mantissa, mark, exponent = f"{value:.6g}".partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{mark}{exponent}"


def _word(text: str) -> str:
    """Return a name as YAML, quoted where it would be read as something else (``1``, ``no``)."""
    return text if yaml.safe_load(text) == text else json.dumps(text)


def _fixed(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
