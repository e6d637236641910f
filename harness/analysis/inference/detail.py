"""Everything that single runs say of inference, for a trained study, an inference study or runs made one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from harness.analysis.inference.additivity import check_sums
from harness.analysis.inference.costs import measure_regimes, merge_runs
from harness.analysis.inference.results import InferenceDetail, RegimeCost, Views
from harness.analysis.inference.routing import compare_kinds_used, summarise_coverage, summarise_routing
from harness.analysis.inference.scores import summarise_scores
from harness.analysis.inference.seeds import EVEN, Weights, pick_repeats, read_weights
from harness.analysis.inference.serving import summarise_serving
from harness.analysis.inference.views import WeighedRuns, build_views
from harness.analysis.match import choose_arms, keep_planned
from harness.analysis.multipliers import build_pair
from harness.analysis.results import MatchResult
from harness.analysis.stats import Pairing
from harness.analysis.tasks import choose_runs
from harness.core.answers import TaskResult
from harness.core.records import RunRecord
from harness.core.study import StudyInfo


def is_inference(records: Sequence[RunRecord], study: StudyInfo | None) -> bool:
    """Return whether models or servers answered as they are: the study says so, or no finished run trained anything."""
    if study is not None:
        return study.purpose == "inference"
    finished = [record for record in records if record.status == "finished"]
    answered = any(record.serving is not None or record.model_source is not None for record in records)
    return answered or (bool(finished) and all(record.path is None for record in finished))


def describe_matched(records: Sequence[RunRecord], match: MatchResult, study: StudyInfo | None) -> InferenceDetail:
    """Return the detail of a study that trained its models: of the pair at the matched loss, else of all runs."""
    by_id = {record.run_id: record for record in records}
    used = [by_id[point.run_id] for point in match.points if point.run_id in by_id]
    pairing: Pairing = study.match.interval if study is not None else "paired"
    views = None
    chosen = None
    if match.matched_loss is not None and any(record.windows_of("prefill", "decode") for record in used):
        pair = build_pair(match.points, match.baseline_arm, match.candidate_arm, pairing, decay=match.decay)
        chosen = choose_runs(pair, match.matched_loss)
    if chosen is not None:
        runs = {
            arm: {seed: [(by_id[p.run_id], weight) for p, weight in found] for seed, found in weighed.items()}
            for arm, (_, weighed) in chosen.items()
        }
        weights = read_weights(runs)
        used = [record for record in used if record.run_id in weights]
        costs = {record.run_id: measure_regimes(record) for record in used}
        views = build_views((match.baseline_arm, match.candidate_arm), runs, pairing, costs)
        detail = describe_runs(used, {}, views, weights, costs)
        return dataclasses.replace(detail, matched_loss=match.matched_loss)
    return describe_runs(used, {}, views)


def describe_inference(
    records: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]], study: StudyInfo | None
) -> InferenceDetail:
    """Return the detail of an inference study; views are over its repeats, the same runs as are compared."""
    kept, _ = keep_planned(records, study, [])
    finished = [record for record in kept if record.status == "finished"]
    arms = choose_arms(kept, study, [])
    repeats = pick_repeats(finished)
    common = set(repeats.get(arms[0], ())) & set(repeats.get(arms[1], ()))
    runs: WeighedRuns = {arm: {seed: [(repeats[arm][seed], 1.0)] for seed in sorted(common)} for arm in arms if common}
    pairing: Pairing = study.match.interval if study is not None else "paired"
    return describe_runs(kept, answers, build_views(arms, runs, pairing) if common else None)


def describe_runs(
    records: Sequence[RunRecord],
    answers: Mapping[str, Sequence[TaskResult]],
    views: Views | None,
    weights: Weights = EVEN,
    costs: Mapping[str, tuple[RegimeCost, ...]] | None = None,
) -> InferenceDetail:
    """Return what `records` say one by one, beside `views`; of failed ones only what servers did.

    Runs of one arm, size and seed are one sample, averaged by `weights`. `costs` are those of `measure_regimes` by run
    id, where they were measured before.
    """
    ordered = sorted(records, key=lambda r: (r.arm, r.size, r.seed, r.run_id))
    finished = [record for record in ordered if record.status == "finished"]
    known = costs if costs is not None else {record.run_id: measure_regimes(record) for record in finished}
    regimes = tuple(cost for record in finished for cost in known[record.run_id])
    return InferenceDetail(
        regimes=regimes,
        arm_regimes=merge_runs(regimes, weights),
        scores=summarise_scores(finished, weights),
        additivity=tuple(check for record in finished for check in check_sums(record)),
        views=views,
        routing=summarise_routing(finished, weights),
        overlaps=compare_kinds_used(finished, weights),
        coverage=summarise_coverage(finished, weights),
        serving=summarise_serving(ordered, answers),
    )
