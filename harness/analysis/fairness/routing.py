"""Fairness of what the routers did: no expert lay idle, and no token was dropped."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.pooling import read_config
from harness.analysis.results import Check
from harness.core.model_config import CHOICES
from harness.core.records import RunRecord

# Of the mean load; the same as in training's count (`harness.train.load`), which needs torch.
DEAD_EXPERT_SHARE = 0.01


def check_dead_experts(runs: Sequence[RunRecord]) -> Check:
    """Check that every expert got at least 1% of the mean load: a dead one is weight without work.

    In what the model is judged by (held-out text or some kind of task) and, where it was counted, over all of training.
    An expert that the held-out text does not need, but a kind of task does, works.
    """
    code, title = "no_dead_experts", "No dead experts"
    sparse = _select_sparse(runs)
    if not sparse:
        return Check(code=code, title=title, outcome="pass", text="no run has routed experts")
    dead = [
        record
        for record in sparse
        if _count_idle(record) > 0
        or (record.training_routing is not None and record.training_routing.num_dead_experts > 0)
    ]
    if dead:
        text = f"{len(dead)} of {len(sparse)} sparse runs have dead experts"
        return Check(code=code, title=title, outcome="fail", text=text)
    loads = [record.routing for record in sparse if record.routing is not None]
    if len(loads) < len(sparse):
        text = "some sparse runs have no routing statistics"
        return Check(code=code, title=title, outcome="unknown", text=text)
    worst = max(routing.max_violation for routing in loads)
    entropy = min(routing.mean_entropy for routing in loads)
    text = (
        f"{len(loads)} sparse runs; busiest expert {1 + worst:.2f} times the mean load, entropy at least {entropy:.2f}"
    )
    helped = sum(routing.num_dead_experts > 0 for routing in loads)
    if helped:
        text += f"; in {helped} of them experts that held-out text left idle worked on some kind of task"
    trained = [record.training_routing for record in sparse if record.training_routing is not None]
    if trained:
        busiest = 1 + max(routing.max_violation for routing in trained)
        text += f"; over training {busiest:.2f} times in the {len(trained)} runs that counted"
    return Check(code=code, title=title, outcome="pass", text=text)


def check_dropless(runs: Sequence[RunRecord]) -> Check:
    """Check that every chosen expert saw its token: only a capacity drops tokens, and then the record counts them."""
    code, title = "dropless", "No token dropped"
    sparse = [record for record in runs if read_config(record, "model.num_experts")]
    if not sparse:
        return Check(code=code, title=title, outcome="pass", text="no run has routed experts")
    shares = {record.run_id: record.flops.dropped_share if record.flops else None for record in sparse}
    dropped = [share for share in shares.values() if share]
    if dropped:
        text = f"{len(dropped)} of {len(sparse)} sparse runs dropped choices, up to {max(dropped):.1%} of them"
        return Check(code=code, title=title, outcome="fail", text=text)
    dispatches = {read_config(record, "model.dispatch") for record in sparse}
    if None in dispatches:
        text = "some sparse runs do not say how tokens were dispatched"
        return Check(code=code, title=title, outcome="unknown", text=text)
    foreign = sorted(str(dispatch) for dispatch in dispatches - set(CHOICES["dispatch"]))
    if foreign:
        text = f"dispatches that may drop tokens: {', '.join(foreign)}"
        return Check(code=code, title=title, outcome="fail", text=text)
    limited = [record for record in sparse if _has_capacity(record)]
    if any(shares[record.run_id] is None for record in limited):
        text = "some runs with a capacity do not say how many choices were dropped"
        return Check(code=code, title=title, outcome="unknown", text=text)
    how = "a capacity that nothing exceeded" if limited else "no capacity limit"
    text = f"{how} ({', '.join(sorted(map(str, dispatches)))})"
    return Check(code=code, title=title, outcome="pass", text=text)


def _count_idle(record: RunRecord) -> int:
    """Return how many experts did next to nothing on held-out text and in every kind of task that was asked."""
    routing = record.routing
    if routing is None or routing.num_dead_experts == 0 or not record.task_routing:
        return 0 if routing is None else routing.num_dead_experts
    loads = [routing.load, *(kind.load for kind in record.task_routing if len(kind.load) == len(routing.load))]
    return sum(
        max(shares) < DEAD_EXPERT_SHARE / len(shares_of_layer[0])
        for shares_of_layer in zip(*loads, strict=True)
        for shares in zip(*shares_of_layer, strict=True)
    )


def _select_sparse(runs: Sequence[RunRecord]) -> list[RunRecord]:
    return [record for record in runs if record.routing is not None or read_config(record, "model.num_experts")]


def _has_capacity(record: RunRecord) -> bool:
    """Return whether the configuration limits what an expert takes; ``switch`` does so by itself."""
    given = read_config(record, "model.capacity_factor") is not None
    return given or read_config(record, "model.router") == "switch"
