"""A count as people read it: an aligned block that names its conventions and assumptions."""

from __future__ import annotations

from harness.core.units import format_si
from harness.flops.published.count import ModelCount

_DIGITS = 4


def count_to_text(count: ModelCount, source: str) -> str:
    """Return the block that ``isojoule model count`` prints; `source` names the config."""
    sparse = f", {count.num_sparse_layers} sparse" if count.num_sparse_layers else ", dense"
    rows = [
        ("total parameters", _params(count.total_params), f"{_params(count.total_non_embedding_params)} without embeddings"),
        (
            "active parameters",
            _params(count.active_params),
            f"{_params(count.active_non_embedding_params)} without embeddings, "
            f"{_params(count.active_params_without_input_embedding)} without the input embedding alone",
        ),
        *_mtp_rows(count),
        *_flop_rows(count),
        *_cache_rows(count),
        (
            "weights",
            format_si(count.weight_bytes, "B", _DIGITS),
            count.weight_bytes_assumption,
        ),
        *_coverage_rows(count),
    ]
    left = max(len(name) for name, _, _ in rows)
    middle = max(len(value) for _, value, _ in rows)
    lines = [f"{source}: {count.model_type}, {count.num_layers} layers{sparse}"]
    lines += [f"  {name:<{left}}  {value:>{middle}}  {text}".rstrip() for name, value, text in rows]
    lines += [
        f"  convention: {count.convention}; a windowed or chunked layer attends over its window or chunk at most",
        *(f"  note: {note}" for note in count.notes),
    ]
    return "\n".join(lines)


def _params(value: int) -> str:
    """Return a number of parameters as publishers write it: 671.0B, 494.0M."""
    for factor, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if value >= factor:
            return f"{value / factor:.2f}{letter}"
    return str(value)


def _mtp_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    if count.mtp_params is None:
        return []
    text = "multi-token prediction module, beside the main model and in none of the other figures"
    return [("MTP parameters", _params(count.mtp_params), text)]


def _flop_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    at = f"at {count.context} tokens of context ({count.context_source})"
    rows = [
        ("forward FLOPs per token", format_si(count.forward_flops_per_token, "FLOP", _DIGITS), f"full attention {at}"),
        ("", format_si(count.forward_flops_per_token_causal, "FLOP", _DIGITS), "causal attention, mean over its positions"),
    ]
    if count.forward_flops_per_token_absorbed is not None:
        value = format_si(count.forward_flops_per_token_absorbed, "FLOP", _DIGITS)
        rows.append(("", value, "full attention on the cached latents, as decoding does"))
    return rows


def _cache_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    text = f"in {count.dtype} ({count.dtype_source}); {format_si(count.kv_bytes_at_context, 'B', _DIGITS)} "
    text += f"at {count.context} tokens"
    if count.num_layers_with_bounded_reach:
        text += f", where {count.num_layers_with_bounded_reach} layers keep no more than their window or chunk"
    return [("KV cache per token", f"{count.kv_bytes_per_token} B", text)]


def _coverage_rows(count: ModelCount) -> list[tuple[str, str, str]]:
    if count.expected_expert_coverage is None or count.num_experts is None:
        return []
    value = f"{count.expected_expert_coverage:.1%}"
    text = f"of {count.num_experts} experts touched by a batch of {count.batch} (top {count.top_k}); uniform, independent "
    return [("expert coverage", value, f"{text}routing assumed")]
