"""A count as people read it: an aligned block, and below it the conventions and assumptions."""

from __future__ import annotations

import textwrap

from harness.core.units import format_si
from harness.flops.published.count import ModelCount

_DIGITS = 4
_WIDTH = 110


def count_to_text(count: ModelCount, source: str) -> str:
    """Return the block that ``isojoule model count`` prints; `source` names the config."""
    sparse = f"{count.num_sparse_layers} of them sparse" if count.num_sparse_layers else "dense"
    rows = [*_param_rows(count), *_flop_rows(count), *_byte_rows(count), *_coverage_rows(count)]
    left = max(len(name) for name, _, _ in rows)
    middle = max(len(value) for _, value, _ in rows)
    lines = [f"{source}: {count.model_type}, {count.num_layers} layers, {sparse}"]
    lines += [f"  {name:<{left}}  {value:>{middle}}  {text}".rstrip() for name, value, text in rows]
    for remark in _remarks(count):
        lines += textwrap.wrap(remark, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines)


def _params(value: int) -> str:
    """Return a number of parameters as publishers write it: 671.03B, 494.03M."""
    for factor, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if value >= factor:
            return f"{value / factor:.2f}{letter}"
    return str(value)


def _param_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    body = _params(count.active_non_embedding_params)
    with_head = _params(count.active_params_without_input_embedding)
    rows = [
        (
            "total parameters",
            _params(count.total_params),
            f"{_params(count.total_non_embedding_params)} without embeddings",
        ),
        (
            "active parameters",
            _params(count.active_params),
            f"{body} without embeddings, {with_head} with the head alone",
        ),
    ]
    if count.mtp_params is not None:
        rows.append(
            ("MTP parameters", _params(count.mtp_params), "multi-token prediction, in none of the other figures")
        )
    return rows


def _flop_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    full = format_si(count.forward_flops_per_token, "FLOP", _DIGITS)
    causal = format_si(count.forward_flops_per_token_causal, "FLOP", _DIGITS)
    rows = [
        ("forward per token", full, f"full attention, context {count.context} ({count.context_source})"),
        ("", causal, "causal attention, mean over the positions of that context"),
    ]
    if count.forward_flops_per_token_absorbed is not None:
        absorbed = format_si(count.forward_flops_per_token_absorbed, "FLOP", _DIGITS)
        rows.append(("", absorbed, "full attention on the cached latents, as decoding does"))
    return rows


def _byte_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    at_context = f"{count.dtype}; {format_si(count.kv_bytes_at_context, 'B', _DIGITS)} at context {count.context}"
    if count.num_layers_with_bounded_reach:
        at_context += f", {count.num_layers_with_bounded_reach} layers keep their window or chunk only"
    return [
        ("KV cache per token", f"{count.kv_bytes_per_token} B", at_context),
        ("weights", format_si(count.weight_bytes, "B", _DIGITS), count.weight_bytes_assumption.partition(":")[0]),
    ]


def _coverage_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    if count.expected_expert_coverage is None:
        return []
    text = f"of a layer's {count.num_experts} experts touched by a batch of {count.batch}, top {count.top_k}"
    return [("expert coverage", f"{count.expected_expert_coverage:.1%}", text)]


def _remarks(count: ModelCount) -> list[str]:
    remarks = [f"FLOPs: {count.convention}"]
    if count.num_layers_with_bounded_reach:
        remarks[0] += "; a layer with a window or chunk attends over no more than that"
    if count.weight_bytes is None or ":" in count.weight_bytes_assumption:
        remarks.append(f"weights: {count.weight_bytes_assumption}")
    remarks.append(f"dtype: {count.dtype} ({count.dtype_source})")
    if count.coverage_assumption is not None:
        remarks.append(f"expert coverage: {count.coverage_assumption}")
    return [*remarks, *count.notes]
