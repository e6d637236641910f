"""What a reader must know about a search: failed trials, unequal grids or budgets, choices at an edge or in noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.results import Check
from harness.analysis.tuning.results import Search, Trial
from harness.core.readings import Finding, Severity

MAX_BUDGET_DIFFERENCE = 0.1


def check_equal_budgets(searches: Sequence[Search], expected: Sequence[str]) -> Check:
    """Check that every arm got the same training FLOPs to search with: runs x FLOPs of a run, within 10%."""
    code, title = "equal_budgets", "Equal search budgets (runs x FLOPs, within 10%)"
    arms = sorted({search.arm for search in searches} | set(expected))
    totals: dict[str, float] = {}
    for arm in arms:
        own = [search for search in searches if search.arm == arm]
        if not own:
            return Check(code=code, title=title, outcome="fail", text=f"no trial of {arm}")
        parts = [_count_planned(s) * s.flops_per_trial for s in own if s.flops_per_trial is not None]
        if len(parts) < len(own):
            return Check(code=code, title=title, outcome="unknown", text=f"no trial of {arm} finished in some size")
        totals[arm] = sum(parts)
    text = "; ".join(
        f"{arm}: {sum(_count_planned(s) for s in searches if s.arm == arm)} runs, {total:.3g} FLOPs"
        for arm, total in totals.items()
    )
    if len(totals) < 2:
        return Check(code=code, title=title, outcome="unknown", text=f"one family only; {text}" if text else "no trial")
    equal = max(totals.values()) <= min(totals.values()) * (1 + MAX_BUDGET_DIFFERENCE)
    return Check(code=code, title=title, outcome="pass" if equal else "fail", text=text)


def find_problems(
    searches: Sequence[Search], expected: Sequence[str], unreadable: Sequence[str], num_outside: int
) -> tuple[Finding, ...]:
    """Return findings on files, arms and every search, in that order."""
    findings = [_finding("unreadable_record", "warning", line) for line in unreadable]
    if num_outside:
        text = f"{num_outside} records are not in the plan of study.json and are left out"
        findings.append(_finding("outside_plan", "warning", text))
    if not expected:
        text = "no study.json: which trials were planned is not known"
        findings.append(_finding("no_study", "warning", text))
    searched = {search.arm for search in searches}
    findings += [
        _finding("missing_arm", "error", f"arm '{arm}' has no trial: a search of one family alone favours it")
        for arm in dict.fromkeys(expected)
        if arm not in searched
    ]
    findings += _compare_grids(searches)
    for search in searches:
        findings += _find_in(search)
    return tuple(findings)


def _compare_grids(searches: Sequence[Search]) -> Iterator[Finding]:
    for size in sorted({search.size for search in searches}):
        own = [search for search in searches if search.size == size]
        grids = {search.arm: (search.learning_rates, search.batch_sizes, search.num_seeds) for search in own}
        # A run without a record does not tell its rate, so an unfinished search has no grid to compare.
        if len(set(grids.values())) > 1 and not any(search.num_missing for search in own):
            text = "; ".join(f"{search.arm} {_describe_grid(search)}" for search in own)
            yield _finding("unequal_grids", "warning", f"size {size}: the families' grids differ: {text}")
    sizes = {arm: {s.size for s in searches if s.arm == arm} for arm in sorted({s.arm for s in searches})}
    if len({frozenset(own) for own in sizes.values()}) > 1:
        text = "; ".join(f"{arm} {', '.join(sorted(own))}" for arm, own in sizes.items())
        yield _finding("unequal_sizes", "warning", f"the families were searched at different sizes: {text}")


def _find_in(search: Search) -> Iterator[Finding]:
    name = f"{search.arm} {search.size}"
    if search.num_missing:
        text = f"{name}: {search.num_missing} planned runs have no record; run the same command again"
        yield _finding("missing_trials", "error", text, search.num_missing)
    yield from _find_in_trials(search, name)
    yield from _find_in_choice(search, name)


def _find_in_trials(search: Search, name: str) -> Iterator[Finding]:
    for trial in search.trials:
        if trial.state == "failed":
            text = f"{name} at {describe_trial(trial)} failed and was not judged ({trial.reason})"
            yield _finding("failed_trial", "error", text)
        elif trial.state == "diverged":
            text = f"{name} at {describe_trial(trial)} diverged and is not chosen ({trial.reason})"
            yield _finding("diverged_trial", "warning", text)
        elif len(trial.losses) < search.num_seeds:
            text = f"{name} at {describe_trial(trial)} has {len(trial.losses)} of {search.num_seeds} seeds; not chosen"
            yield _finding("missing_seeds", "error", text)
    if len({trial.tokens for trial in search.trials if trial.tokens is not None}) > 1:
        yield _finding("unequal_tokens", "error", f"{name}: trials saw unequal numbers of tokens")
    if search.cost.num_unknown:
        text = (
            f"{name}: the cost of {search.cost.num_unknown} failed runs is unknown; the others took "
            f"{search.cost.known_flops:.3g} FLOPs, so the search took at least that"
        )
        yield _finding("cost_unknown", "warning", text, search.cost.num_unknown)


def _find_in_choice(search: Search, name: str) -> Iterator[Finding]:
    if search.chosen is None:
        yield _finding("no_choice", "error", f"{name}: nothing is chosen: {search.reason}")
        return
    for word, inside in (("rate", search.rate_interior), ("batch", search.batch_interior)):
        if inside is False:
            text = f"{name}: the best {word} stands at an edge of its grid; search further out"
            yield _finding(f"edge_{word}", "warning", text)
    if search.rate_interior is None:
        yield _finding("edge_unknown", "warning", f"{name}: a neighbour of the best rate failed, so it may be an edge")
    if search.num_seeds == 1:
        yield _finding("one_seed", "info", f"{name}: one seed, so the choice may be noise")
    elif search.is_clear is False:
        text = f"{name}: the next best trial lies within the noise of {search.num_seeds} seeds; the choice may be noise"
        yield _finding("choice_within_noise", "info", text)


def describe_trial(trial: Trial) -> str:
    """Return the rate and batch of a trial in words."""
    return f"{trial.learning_rate:g}" + (f" x batch {trial.batch_size}" if trial.batch_size is not None else "")


def _describe_grid(search: Search) -> str:
    rates = ", ".join(f"{rate:g}" for rate in search.learning_rates)
    return f"{rates} x batch {', '.join(map(str, search.batch_sizes))} x {search.num_seeds} seeds"


def _count_planned(search: Search) -> int:
    return search.cost.num_runs + search.num_missing


def _finding(code: str, severity: Severity, text: str, value: float | None = None) -> Finding:
    return Finding(code=code, severity=severity, text=text, value=value)
