"""What a run record holds of inference: the regime of a window, a model's origin, a server's answers.

Like all of a record: unknown is ``None`` with a reason beside it, SI units, a unit in every name.
"""

from __future__ import annotations

from typing import Literal

from harness.core.strict import Amount, Count, Integer, Real, StrictValue

AnswerLength = Literal["fixed", "free"]


class Regime(StrictValue, frozen=True, kw_only=True):
    """How the work of an inference window was done; windows are compared only where their regimes are equal.

    `kind` is a task kind (``arithmetic``), or ``sweep`` where batch, context and answer length were varied.
    `num_input_tokens` and `num_output_tokens` are those of one task, the first new token counted as output; ``None``
    where tasks differ. An answer is of ``fixed`` length, or ``free``: it ends where it ends, at `num_output_tokens` at
    the latest.
    """

    kind: str
    batch_size: Integer
    num_input_tokens: Count | None
    num_output_tokens: Count | None
    answer_length: AnswerLength = "fixed"


def name_regime(regime: Regime) -> str:
    """Return a regime in words: kind, batch, tokens in and out where they are known."""
    told = f"{regime.kind}, batch {regime.batch_size}"
    if regime.num_input_tokens is not None:
        told += f", {regime.num_input_tokens} in"
    if regime.num_output_tokens is not None:
        told += f", {'at most ' if regime.answer_length == 'free' else ''}{regime.num_output_tokens} out"
    return told + (", free" if regime.answer_length == "free" else "")


class ModelSource(StrictValue, frozen=True, kw_only=True):
    """Where a model that was not trained here comes from, and what was pinned when it was loaded.

    `name` is the folder's or repository's own name, never a path; `weights_sha256` is over the weight files in the
    order of their names. `precision` is that of the weights in memory. What a library does not say is ``None``.
    """

    name: str
    architecture: str
    model_type: str
    precision: str
    config_sha256: str
    weights_sha256: str | None
    library: str
    library_version: str
    device_map: str | None = None
    experts_implementation: str | None = None
    attention_implementation: str | None = None
    chat_template: bool = False
    tokenizer: str | None = None


class Percentiles(StrictValue, frozen=True, kw_only=True):
    """Mean and percentiles of one latency in seconds over `n` requests (ITL: over gaps); ``None`` without any."""

    n: Integer
    mean: Real | None
    p50: Real | None
    p90: Real | None
    p95: Real | None
    p99: Real | None
    maximum: Real | None


class ServingStats(StrictValue, frozen=True, kw_only=True):
    """What a server did under load: sent = answered + failed, always; nothing that went wrong is left out.

    `failures` counts causes (``timeout``, ``http_429``, ``http_5xx``, ``dropped_stream``, ``malformed_chunk``,
    ``refused``, ...); `num_retries` the tries beyond the first. `ttft_s`: from sending to the first output; `itl_s`:
    gaps between outputs; `tpot_s`: (E2E - TTFT) / (output tokens - 1); `e2e_s`: from sending to the end. They cover
    answered requests. Token counts are the server's own where it reports usage, and `token_source` says so.
    `steady_begin_s` and `steady_end_s` bound the stretch in which the load was full (from the start of the run);
    ``None`` with `steady_reason`. `goodput_per_s` counts answers within every limit of the configuration.
    `send_lateness_s` is how much later than planned the client itself got ready to send (open loop; ``None`` without a
    plan of arrivals).
    """

    server_model: str
    api: str
    concurrency: Integer | None
    request_rate_per_s: Amount | None
    burstiness: Real | None
    num_sent: Count
    num_answered: Count
    num_failed: Count
    num_retries: Count
    failures: dict[str, Integer]
    duration_s: Amount
    num_input_tokens: Count | None
    num_output_tokens: Count | None
    token_source: str
    ttft_s: Percentiles
    itl_s: Percentiles
    tpot_s: Percentiles
    e2e_s: Percentiles
    requests_per_s: Amount | None
    output_tokens_per_s: Amount | None
    goodput_per_s: Amount | None = None
    goodput_reason: str | None = None
    steady_begin_s: Real | None = None
    steady_end_s: Real | None = None
    steady_reason: str | None = None
    max_in_flight: Integer | None = None
    send_lateness_s: Percentiles | None = None
