"""What a run record holds of the routers: the load of the experts, by kind of task, and how many a step touches."""

from __future__ import annotations

from harness.core.strict import Amount, Count, Integer, Real, StrictValue


class RoutingStats(StrictValue, frozen=True, kw_only=True):
    """Load of the routed experts on held-out text or over all of training, one entry per expert layer.

    `load` is layer x expert, the share of routed tokens (each row sums to 1; extra predictions, which only training
    has, come last); `max_violation` is max load / mean load - 1 of the worst layer; entropy is in nats divided by
    ln(num_experts); a dead expert got less than 1% of the mean load. The tuples say the same layer by layer, ``None``
    in records that were written before they were kept. `mean_step_violation`, of training alone, is the maximal
    violation inside single steps, averaged over steps and layers: what is even over all may swing from step to step.
    """

    load: tuple[tuple[Real, ...], ...]
    max_violation: Real
    mean_entropy: Real
    num_dead_experts: Count
    num_tokens: Count
    layer_max_violation: tuple[Real, ...] | None = None
    layer_entropy: tuple[Real, ...] | None = None
    layer_dead_experts: tuple[Integer, ...] | None = None
    mean_step_violation: Real | None = None


class TaskRouting(StrictValue, frozen=True, kw_only=True):
    """Whom the routers chose while one kind of task was answered, prompts and answers together.

    `load` is layer x expert, the share of routed choices (each row sums to 1); entropy is in nats divided by
    ln(num_experts), its mean over layers; `active_params_per_token` counts the parameters that a token used on average,
    of `total_params`.
    """

    kind: str
    load: tuple[tuple[Real, ...], ...]
    mean_entropy: Real
    num_tokens: Count
    active_params_per_token: Amount
    total_params: Count


class ExpertCoverage(StrictValue, frozen=True, kw_only=True):
    """Distinct experts that one decode step of a batch touched, a mean over steps and expert layers.

    `expected_even` is E (1 - (1 - k/E)^b), what an even and independent router would touch; `expected_load` the same
    with the loads that these steps had, layer by layer. `kind` is a task kind, ``sweep``, or ``mixed``: a batch of all
    kinds.
    """

    kind: str
    batch_size: Integer
    measured: Real
    measured_stderr: Real | None
    expected_even: Real
    expected_load: Real
    num_experts: Count
    top_k: Integer
    num_steps: Count
