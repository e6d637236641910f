"""A store's windows fitted and predicted: which runs count, which arms, and the power limit of a named card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.analysis.inference.detail import is_inference
from harness.analysis.inference.seeds import pick_repeats
from harness.analysis.match import choose_arms, keep_planned
from harness.analysis.pooling import INFERENCE_KEYS, POOL_KEYS, require_poolable
from harness.analysis.projection.hardware import Card
from harness.analysis.roofline.fit import fit_steps
from harness.analysis.roofline.observations import Observations
from harness.analysis.roofline.observe import Observed, join_observed, observe
from harness.analysis.roofline.predict import predict_candidate
from harness.analysis.roofline.results import PHASES, Roofline
from harness.analysis.task_costs import SWEEP
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import StudyInfo, load_study

NO_CARD = "no card was named, so no power limit caps a prediction"


def load_roofline(root: Path | str, card: Card | None = None) -> Roofline:
    """Read the store at `root`, fit the energy of its steps and predict the candidate; `card` brings the power limit.

    Raises:
        RecordError: there is no record, the study file cannot be read, or records must not be pooled.
    """
    records, _ = Store(root).load_records()
    study = load_study(Path(root))
    used = pick_records(records, study)
    require_poolable(used, INFERENCE_KEYS if is_inference(records, study) else POOL_KEYS)
    return build_roofline(used, choose_arms(records, study, []), card)


def pick_records(records: Sequence[RunRecord], study: StudyInfo | None) -> list[RunRecord]:
    """Return the finished runs of the study's plan; of models that were not trained here one a repeat.

    Runs of all budgets count, whatever loss they reached: what a step costs does not depend on what was learned.
    """
    kept, _ = keep_planned(records, study, [])
    finished = [record for record in kept if record.status == "finished"]
    if not is_inference(records, study):
        return finished
    return [record for runs in pick_repeats(finished).values() for record in runs.values()]


def build_roofline(
    records: Sequence[RunRecord],
    arms: tuple[str, str],
    card: Card | None = None,
    observed: Sequence[Observed] | None = None,
) -> Roofline:
    """Return the fits of both `arms` (baseline, candidate) and the prediction of the candidate, in both phases.

    `observed` are the windows of `records`, and maybe of others, where these were observed before. Too little data
    gives ``None`` with a reason, never an exception. The same records give the same numbers in any order.
    """
    baseline, candidate = arms
    ordered = sorted((record for record in records if record.arm in arms), key=lambda record: record.run_id)
    parts = [observe(ordered)] if observed is None else observed
    observations, left_out = join_observed(parts, {record.run_id for record in ordered})
    limit, note = _find_limit(observations, card)
    fits = tuple(fit_steps(observations, arm, phase, limit) for phase in PHASES for arm in arms)
    return Roofline(
        study=ordered[0].study if ordered else "",
        baseline_arm=baseline,
        candidate_arm=candidate,
        device=next((r.environment.device_name for r in ordered if r.environment is not None), None),
        power_limit_w=limit,
        power_limit_note=note,
        fits=fits,
        predictions=tuple(
            predict_candidate(fit, observations, candidate, limit) for fit in fits if fit.arm == baseline
        ),
        left_out=tuple(left_out),
        num_observations=len(observations),
        num_in_sweeps=_count_in_sweeps(observations),
    )


def _count_in_sweeps(observations: Observations) -> int:
    swept = [place for place, regime in enumerate(observations.regimes) if regime.kind == SWEEP]
    return int(np.isin(observations.regime, swept).sum())


def _find_limit(observations: Observations, card: Card | None) -> tuple[float | None, str]:
    """Return the power limit of one card in watts, and what it does here; it says nothing of a processor's energy."""
    if card is None:
        return None, NO_CARD
    value = card.power_limit_w.value
    told = f"power limit of {card.name}, {value:g} W"
    if len(observations) and not any(one.num_gpus for one in observations.boundaries):
        return None, f"the {told}, is not applied: the energy here covers no accelerator"
    return value, f"predictions are capped at the {told} a card, times the measured seconds"
