"""Triton kernels of the dispatch `fused` (`harness.models.permuted`): places by expert, rows there and back, SwiGLU.

A choice is one of a token's k experts, numbered ``token * k + slot``; its place is its row in the order of experts.
Choices that were dropped have expert E and come last: no kernel reads or writes their rows. Nothing is added up by
atomic operations, so the same inputs give the same bits. With ``TRITON_INTERPRET=1`` all of it runs on a CPU.

Only `harness.models.permuted` imports this module, when it is first needed: Triton is not everywhere.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = bool(triton.knobs.runtime.interpret)
_CHOICES = 128  # choices that one program ranks; it compares all pairs of them
_TILE = 2048  # numbers that one program holds of each tensor
_MOST_COLUMNS = 1024


def place_choices(experts_Nk: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sort choices by expert, stably: a count for each block of choices, its running sum, a place for each choice.

    Returns (all int32) the place of each choice (N, k), the choice at each place (N * k,), and the end of each
    expert's rows (E,).
    """
    experts_Nk = experts_Nk.contiguous()
    num_choices = experts_Nk.numel()
    num_blocks = triton.cdiv(num_choices, _CHOICES)
    rank_Nk, place_Nk = (torch.empty_like(experts_Nk, dtype=torch.int32) for _ in range(2))
    order_R = rank_Nk.new_empty(num_choices)
    counts = rank_Nk.new_zeros(num_experts + 1, num_blocks)
    _rank_choices[(num_blocks,)](experts_Nk, rank_Nk, counts, num_choices, num_blocks, BLOCK=_CHOICES, num_warps=8)
    ends = counts.flatten().cumsum(0, dtype=torch.int32)
    _place_choices[(num_blocks,)](
        experts_Nk, rank_Nk, counts, ends, place_Nk, order_R, num_choices, num_blocks, BLOCK=_CHOICES
    )
    return place_Nk, order_R, ends.view(num_experts + 1, num_blocks)[:num_experts, -1].contiguous()


def spread_rows(x_ND: Tensor, place_Nk: Tensor, ends_E: Tensor) -> Tensor:
    """Return each token's row at the places of its choices, (N * k, D); rows of no expert are not written."""
    num_tokens, width = x_ND.shape
    rows_RD = x_ND.new_empty(place_Nk.numel(), width)
    tokens, columns = _tile(width)
    grid = (triton.cdiv(num_tokens, tokens), triton.cdiv(width, columns))
    _spread_rows[grid](
        x_ND.contiguous(), place_Nk, ends_E[-1:], rows_RD, num_tokens, width, place_Nk.shape[1], tokens, columns
    )
    return rows_RD


def collect_rows(rows_RD: Tensor, place_Nk: Tensor, ends_E: Tensor) -> Tensor:
    """Return the sum of the rows of each token's choices, (N, D), added up in fp32 in the order of its choices."""
    num_tokens, top_k = place_Nk.shape
    width = rows_RD.shape[1]
    out_ND = rows_RD.new_empty(num_tokens, width)
    tokens, columns = _tile(width)
    grid = (triton.cdiv(num_tokens, tokens), triton.cdiv(width, columns))
    _collect_rows[grid](rows_RD, place_Nk, ends_E[-1:], out_ND, num_tokens, width, top_k, tokens, columns)
    return out_ND


def gated_swiglu(hidden: Tensor, gates_Nk: Tensor, order_R: Tensor, ends_E: Tensor) -> Tensor:
    """Return ``silu(first) * up * gate`` of the two halves of `hidden` (R, 2F), (R, F)."""
    num_rows, width = hidden.shape[0], hidden.shape[1] // 2
    act_RF = hidden.new_empty(num_rows, width)
    rows, columns = _tile(width)
    grid = (triton.cdiv(num_rows, rows), triton.cdiv(width, columns))
    _gated_swiglu[grid](hidden, gates_Nk, order_R, ends_E[-1:], act_RF, width, rows, columns)
    return act_RF


def gated_swiglu_backward(
    d_act_RF: Tensor, hidden: Tensor, gates_Nk: Tensor, order_R: Tensor, ends_E: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `hidden` (R, 2F) and of the gates (N, k), and the forward's result (R, F) once more."""
    num_rows, width = d_act_RF.shape
    d_hidden, act_RF = torch.empty_like(hidden), torch.empty_like(d_act_RF)
    d_gates_Nk = torch.zeros_like(gates_Nk)  # what was dropped keeps 0
    rows, columns = _tile(width)
    _gated_swiglu_backward[(triton.cdiv(num_rows, rows),)](
        d_act_RF, hidden, gates_Nk, order_R, ends_E[-1:], d_hidden, d_gates_Nk, act_RF, width, rows, columns
    )
    return d_hidden, d_gates_Nk, act_RF


def _tile(width: int) -> tuple[int, int]:
    """Return rows and columns of one program's tile."""
    columns = min(_MOST_COLUMNS, triton.next_power_of_2(width))
    return max(1, _TILE // columns), columns


@triton.jit
def _rank_choices(experts, ranks, counts, num_choices, num_blocks, BLOCK: tl.constexpr):
    """Write how many choices of the same expert stand before each in its block, and the block's choices by expert."""
    block = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    choice = block * BLOCK + lane
    inside = choice < num_choices
    expert = tl.load(experts + choice, mask=inside, other=-1).to(tl.int32)
    same = expert[:, None] == expert[None, :]
    rank = tl.sum((same & (lane[None, :] < lane[:, None])).to(tl.int32), axis=1)
    count = tl.sum(same.to(tl.int32), axis=1)
    tl.store(ranks + choice, rank, mask=inside)
    tl.store(counts + expert * num_blocks + block, count, mask=inside & (rank == 0))


@triton.jit
def _place_choices(experts, ranks, counts, ends, places, order, num_choices, num_blocks, BLOCK: tl.constexpr):
    """Write the place of each choice, and the choice of each place."""
    block = tl.program_id(0)
    choice = block * BLOCK + tl.arange(0, BLOCK)
    inside = choice < num_choices
    slot = tl.load(experts + choice, mask=inside, other=0).to(tl.int32) * num_blocks + block
    begin = tl.load(ends + slot, mask=inside, other=0) - tl.load(counts + slot, mask=inside, other=0)
    place = begin + tl.load(ranks + choice, mask=inside, other=0)
    tl.store(places + choice, place, mask=inside)
    tl.store(order + place, choice, mask=inside)


@triton.jit
def _spread_rows(
    x,
    places,
    num_kept,
    out,
    num_tokens,
    width,
    TOP_K: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (column < width)[None, :]
    present = token < num_tokens
    kept = tl.load(num_kept)
    row = tl.load(x + token.to(tl.int64)[:, None] * width + column[None, :], mask=inside & present[:, None], other=0.0)
    for slot in tl.static_range(TOP_K):
        place = tl.load(places + token * TOP_K + slot, mask=present, other=0)
        served = present & (place < kept)
        tl.store(out + place.to(tl.int64)[:, None] * width + column[None, :], row, mask=inside & served[:, None])


@triton.jit
def _collect_rows(
    rows,
    places,
    num_kept,
    out,
    num_tokens,
    width,
    TOP_K: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (column < width)[None, :]
    present = token < num_tokens
    kept = tl.load(num_kept)
    total = tl.zeros((TOKENS, COLUMNS), dtype=tl.float32)
    for slot in tl.static_range(TOP_K):
        place = tl.load(places + token * TOP_K + slot, mask=present, other=0)
        served = inside & (present & (place < kept))[:, None]
        total += tl.load(rows + place.to(tl.int64)[:, None] * width + column[None, :], mask=served, other=0.0).to(
            tl.float32
        )
    tl.store(out + token.to(tl.int64)[:, None] * width + column[None, :], total, mask=inside & present[:, None])


@triton.jit
def _gated_swiglu(hidden, gates, order, num_kept, out, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    served = row < tl.load(num_kept)
    mask = served[:, None] & (column < width)[None, :]
    choice = tl.load(order + row, mask=served, other=0)
    gate = tl.load(gates + choice, mask=served, other=0.0).to(tl.float32)
    at = row.to(tl.int64)[:, None] * width
    first = tl.load(hidden + 2 * at + column[None, :], mask=mask, other=0.0).to(tl.float32)
    up = tl.load(hidden + 2 * at + width + column[None, :], mask=mask, other=0.0).to(tl.float32)
    tl.store(out + at + column[None, :], first * tl.sigmoid(first) * up * gate[:, None], mask=mask)


@triton.jit
def _gated_swiglu_backward(
    d_act,
    hidden,
    gates,
    order,
    num_kept,
    d_hidden,
    d_gates,
    act,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Recompute the activation; its dot product with the gradient is the gate's."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    served = row < tl.load(num_kept)
    choice = tl.load(order + row, mask=served, other=0)
    gate = tl.load(gates + choice, mask=served, other=0.0).to(tl.float32)[:, None]
    at = row.to(tl.int64)[:, None] * width
    along = tl.zeros((ROWS,), dtype=tl.float32)
    for begin in range(0, width, COLUMNS):
        column = (begin + tl.arange(0, COLUMNS))[None, :]
        mask = served[:, None] & (column < width)
        grad = tl.load(d_act + at + column, mask=mask, other=0.0).to(tl.float32)
        first = tl.load(hidden + 2 * at + column, mask=mask, other=0.0).to(tl.float32)
        up = tl.load(hidden + 2 * at + width + column, mask=mask, other=0.0).to(tl.float32)
        sigmoid = tl.sigmoid(first)
        silu = first * sigmoid
        along += tl.sum(grad * silu * up, axis=1)
        tl.store(act + at + column, silu * up * gate, mask=mask)
        grad *= gate
        tl.store(d_hidden + 2 * at + column, grad * up * sigmoid * (1.0 + first - silu), mask=mask)
        tl.store(d_hidden + 2 * at + width + column, grad * silu, mask=mask)
    tl.store(d_gates + choice, along, mask=served)
