"""Whether the comparison was fair, as code over records: every check passes, fails or cannot tell, with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from harness.analysis.fairness.cost import check_flop_rates, check_idle_drift, check_interleaving, check_sensor_grade
from harness.analysis.fairness.energy import check_energy
from harness.analysis.fairness.recipe import check_recipe, leave_out_searched_batch
from harness.analysis.fairness.routing import check_dead_experts, check_dropless
from harness.analysis.fairness.runs import check_runs
from harness.analysis.multipliers import Pair
from harness.analysis.pooling import read_config
from harness.analysis.results import Check, FrontierPoint
from harness.core.records import RunRecord
from harness.core.run_id import ADDED_LATER
from harness.core.study import StudyInfo, TuningNote

MIN_SEEDS = 3
MAX_EPOCHS = 4.0
MAX_FLOP_GAP = 0.01
MAX_TRIAL_DIFFERENCE = 0.1

# What may differ between runs without touching the comparison.
_FREE_TRAIN_KEYS = ("learning_rate", "budget", "checkpoint_interval_s")
_RECIPE_KEYS = ("rope_theta", "qk_norm", "tie_embeddings", "norm_eps", "embedding_std")
Outcome = Literal["pass", "fail", "unknown"]


def check_fairness(
    records: Sequence[RunRecord], study: StudyInfo | None, points: Sequence[FrontierPoint], pair: Pair
) -> tuple[Check, ...]:
    """Return all checks over the runs of both arms that stand on the frontier."""
    used = {point.run_id for point in points if point.arm in pair.arms}
    runs = [record for record in records if record.run_id in used]
    if not runs:
        return (Check(code="runs", title="Finished runs of both arms", outcome="unknown", text="there are none"),)
    return (
        _check_same_data(runs),
        _check_same_training(runs, study),
        _check_same_recipe(runs),
        _check_same_device(runs),
        _check_tuning(runs, study, pair),
        _check_interior_rate(study, pair),
        _check_seeds(pair),
        _check_epochs(runs),
        _check_formula(runs),
        check_dead_experts(runs),
        check_dropless(runs),
        _check_auxiliary_loss(runs),
        check_plan(records, study),
        check_interleaving(runs, pair),
        check_idle_drift(runs),
        check_sensor_grade(points, pair),
        check_flop_rates(runs, pair),
        *check_recipe(runs, study),
        *check_energy(runs, pair),
        *check_runs(records, runs, points, pair),
    )


def _check(code: str, title: str, outcome: Outcome, text: str) -> Check:
    return Check(code=code, title=title, outcome=outcome, text=text)


def _check_same_data(runs: Sequence[RunRecord]) -> Check:
    check = _check_same_section(runs, "data", "same_data", "Same text, split and tokenizer")
    if check.outcome != "pass":
        return check
    known = [record.data for record in runs if record.data is not None]
    if len(known) < len(runs):
        return _check(check.code, check.title, "unknown", "some records do not say which bytes they learned")
    same = len({(data.sha256, data.tokenizer_sha256, data.train_tokens) for data in known}) == 1
    text = f"corpus {known[0].corpus}, tokenizer {known[0].tokenizer}, {known[0].train_tokens} training tokens"
    return _check(check.code, check.title, "pass" if same else "fail", text if same else "the hashes differ")


def _check_same_training(runs: Sequence[RunRecord], study: StudyInfo | None) -> Check:
    title = "Same context, batch, precision and schedule"
    return _check_same_section(leave_out_searched_batch(runs, study), "train", "same_training", title)


def _check_same_section(runs: Sequence[RunRecord], section: str, code: str, title: str) -> Check:
    """Compare one section of the configurations key by key; a record older than a key did what its default says."""
    before = {key: value for (part, *rest), value in ADDED_LATER.items() if part == section for key in rest}
    sections = [read_config(record, section) for record in runs]
    if not all(isinstance(values, dict) and values for values in sections):
        return _check(code, title, "unknown", f"some records hold no configuration of {section}")
    keys = sorted({key for values in sections for key in values} - set(_FREE_TRAIN_KEYS))
    whole = [before | values for values in sections]
    differing = [f"{section}.{key}" for key in keys if _num_distinct(values.get(key) for values in whole) > 1]
    if differing:
        return _check(code, title, "fail", f"runs differ in {', '.join(differing)}")
    return _check(code, title, "pass", f"all runs agree in {', '.join(f'{section}.{key}' for key in keys)}")


def _check_same_recipe(runs: Sequence[RunRecord]) -> Check:
    code, title = "same_recipe", "Same attention, norm, initialisation and weight tying"
    models = [read_config(record, "model") for record in runs]
    if not all(isinstance(model, dict) and model for model in models):
        return _check(code, title, "unknown", "some records hold no configuration of the model")
    differing = [key for key in _RECIPE_KEYS if _num_distinct(model.get(key) for model in models) > 1]
    if differing:
        return _check(code, title, "fail", f"runs differ in {', '.join(f'model.{key}' for key in differing)}")
    return _check(code, title, "pass", f"all runs agree in {', '.join(f'model.{key}' for key in _RECIPE_KEYS)}")


def _check_same_device(runs: Sequence[RunRecord]) -> Check:
    code, title = "same_device", "Same device and software"
    places = [record.environment for record in runs if record.environment is not None]
    if len(places) < len(runs):
        return _check(code, title, "unknown", "some records do not say where they ran")
    for name, values in (
        ("device", [(place.device, place.device_name, place.num_threads) for place in places]),
        ("card", [place.gpu_uuid for place in places]),
        ("torch version", [place.packages.get("torch") for place in places]),
    ):
        if _num_distinct(values) > 1:
            return _check(code, title, "fail", f"runs differ in {name}")
    return _check(code, title, "pass", f"{places[0].device_name}, {places[0].num_threads} threads, one torch version")


def _check_tuning(  # noqa: PLR0911  # one return for each way a search can be unequal
    runs: Sequence[RunRecord], study: StudyInfo | None, pair: Pair
) -> Check:
    code, title = "tuned_equally", "Learning rate tuned per family with equal trials, cost disclosed"
    notes = {arm: [n for n in study.tuning if n.arm == arm] if study is not None else [] for arm in pair.arms}
    if not any(notes.values()):
        return _check(code, title, "unknown", "the study names no search of the learning rate")
    for arm in pair.arms:
        if not notes[arm]:
            return _check(code, title, "fail", f"the study names a search for one arm, and none for {arm}")
    trials = {arm: sorted(n.num_trials for n in notes[arm]) for arm in pair.arms}
    text = "; ".join(f"{arm}: {sum(trials[arm])} trials ({_describe_cost(notes[arm])})" for arm in pair.arms)
    if trials[pair.baseline] != trials[pair.candidate]:
        return _check(code, title, "fail", f"unequal trials: {text}")
    tokens = [note.tokens_per_trial for arm in pair.arms for note in notes[arm]]
    costs = [sum(note.total_flops or 0.0 for note in notes[arm]) for arm in pair.arms]
    if not _is_close(min(tokens), max(tokens)) and not (min(costs) > 0 and _is_close(min(costs), max(costs))):
        return _check(code, title, "fail", f"trials of unequal length: {text}")
    chosen = {(note.arm, note.size): note.chosen for arm in pair.arms for note in notes[arm]}
    for record in runs:
        rate = read_config(record, "train.learning_rate")
        wanted = chosen.get((record.arm, record.size))
        if wanted is None:
            return _check(code, title, "unknown", f"no search for {record.arm} {record.size}; {text}")
        if rate is not None and abs(rate - wanted) > 1e-9 * wanted:
            return _check(code, title, "fail", f"'{record.run_id}' ran at {rate:g}, the search chose {wanted:g}")
    if any(note.total_flops is None and note.total_duration_s is None for arm in pair.arms for note in notes[arm]):
        return _check(code, title, "unknown", f"the cost of a search is not disclosed; {text}")
    return _check(code, title, "pass", text)


def _describe_cost(notes: Sequence[TuningNote]) -> str:
    flops = [note.total_flops for note in notes]
    seconds = [note.total_duration_s for note in notes]
    parts = []
    if all(value is not None for value in flops):
        parts.append(f"{sum(value for value in flops if value is not None):.3g} FLOPs")
    if all(value is not None for value in seconds):
        parts.append(f"{sum(value for value in seconds if value is not None):.3g} s")
    return ", ".join(parts) or "cost unknown"


def _check_interior_rate(study: StudyInfo | None, pair: Pair) -> Check:
    code, title = "rate_interior", "Chosen learning rate inside its grid"
    notes = [note for note in study.tuning if note.arm in pair.arms] if study is not None else []
    if not notes:
        return _check(code, title, "unknown", "the study names no search of the learning rate")
    edge = [n for n in notes if not min(n.learning_rates, default=0) < n.chosen < max(n.learning_rates, default=0)]
    if edge:
        listed = ", ".join(f"{note.arm} {note.size} ({note.chosen:g})" for note in edge)
        return _check(code, title, "fail", f"the best rate stands at an edge of its grid: {listed}")
    return _check(code, title, "pass", ", ".join(f"{note.arm} {note.size}: {note.chosen:g}" for note in notes))


def _check_seeds(pair: Pair) -> Check:
    n = len(pair.seeds)
    text = f"{n} seeds have runs of both arms; {MIN_SEEDS} are needed"
    return _check("seeds", "At least three seeds", "pass" if n >= MIN_SEEDS else "fail", text)


def _check_epochs(runs: Sequence[RunRecord]) -> Check:
    code, title = "epochs", "At most four epochs over the text"
    known = [record.epochs for record in runs if record.epochs is not None]
    if len(known) < len(runs):
        return _check(code, title, "unknown", "some records do not say how often the text was seen")
    return _check(code, title, "pass" if max(known) <= MAX_EPOCHS else "fail", f"at most {max(known):.3g} epochs")


def _check_formula(runs: Sequence[RunRecord]) -> Check:
    code, title = "flops_traced", "Counted FLOPs equal a traced step within 1%"
    gaps = [record.flops.relative_gap if record.flops is not None else None for record in runs]
    known = [abs(gap) for gap in gaps if gap is not None]
    if any(gap > MAX_FLOP_GAP for gap in known):
        return _check(code, title, "fail", f"the gap reaches {max(known):.2%}")
    if len(known) < len(runs):
        return _check(code, title, "unknown", "some runs have no traced step")
    return _check(code, title, "pass", f"the largest gap is {max(known):.2%}")


def _check_auxiliary_loss(runs: Sequence[RunRecord]) -> Check:
    code, title = "loss_without_auxiliary", "Auxiliary losses left out of the reported loss"
    tasks = {quality.task for record in runs for quality in record.quality if quality.metric.endswith("bits_per_byte")}
    if tasks == {"language_modelling"}:
        return _check(code, title, "pass", "the loss is cross-entropy on held-out text alone")
    return _check(code, title, "unknown", f"losses come from {', '.join(sorted(tasks)) or 'an unnamed task'}")


def check_plan(records: Sequence[RunRecord], study: StudyInfo | None) -> Check:
    """Check that every run of the plan finished."""
    code, title = "plan_finished", "All planned runs finished"
    if study is None or not study.runs:
        return _check(code, title, "unknown", "there is no plan that was written before the first run")
    finished = {record.run_id for record in records if record.status == "finished"}
    missing = [run.run_id for run in study.runs if run.run_id not in finished]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        return _check(code, title, "fail", f"{len(missing)} of {len(study.runs)} did not finish: {shown}")
    return _check(code, title, "pass", f"all {len(study.runs)} runs finished")


def _num_distinct(values: Iterable[Any]) -> int:
    return len({_to_key(value) for value in values})


def _to_key(value: Any) -> tuple[type, Any]:
    """Return what is equal for values that are written alike; of plain ones without writing them."""
    if value is None or isinstance(value, (str, int, float)):
        return type(value), value
    return list, json.dumps(value, sort_keys=True, default=str)


def _is_close(low: float, high: float) -> bool:
    return high <= low * (1 + MAX_TRIAL_DIFFERENCE)
