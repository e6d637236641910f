"""The form of a product with few rows is the one that was the fastest, and torch's own unless the gain is clear."""

from __future__ import annotations

import pytest
import torch

from harness.models import few_rows, packed
from harness.models.few_rows import TIMED_ROWS, Form, Forms, find_fastest


def make_weights() -> list[torch.Tensor]:
    return [torch.randn(8, 4), torch.randn(6, 8)]


def charge(monkeypatch: pytest.MonkeyPatch, seconds: dict[Form, float]) -> None:
    """Let each form's products take so many seconds by a clock that stands still otherwise."""
    now = [0.0]

    def taking(form: Form, run: object) -> object:
        def timed(*arguments: object) -> object:
            now[0] += seconds[form]
            return run(*arguments)  # type: ignore[operator]

        return timed

    monkeypatch.setattr(few_rows.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(few_rows.F, "linear", taking(Form.PLAIN, torch.nn.functional.linear))
    monkeypatch.setattr(few_rows, "in_halves", taking(Form.HALVES, few_rows.in_halves))
    for form, kind in few_rows.COPIES.items():
        monkeypatch.setattr(kind, "__call__", taking(form, kind.__call__))


@pytest.mark.parametrize(
    ("seconds", "one_row", "more_rows"),
    [
        ((1.0, 1.0, 1.0), Form.PLAIN, Form.PLAIN),
        ((1.0, 0.5, 0.9), Form.HALVES, Form.PLAIN),
        ((1.0, 0.5, 0.6), Form.HALVES, Form.TRANSPOSED),
        ((1.0, 0.6, 0.5), Form.TRANSPOSED, Form.TRANSPOSED),
        ((0.4, 0.5, 0.6), Form.PLAIN, Form.PLAIN),
    ],
)
def test_the_fastest_form_is_taken(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float, float], one_row: Form, more_rows: Form
) -> None:
    plain, halves, transposed = seconds
    charge(monkeypatch, {Form.PLAIN: plain, Form.HALVES: halves, Form.TRANSPOSED: transposed, Form.PACKED: 0.1})
    forms = find_fastest(make_weights())  # too small to be packed
    assert [forms.at(rows) for rows in (1, 2, packed.FEW_ROWS)] == [one_row, more_rows, more_rows]


def test_packed_copies_are_timed_where_weights_can_be_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    if not packed.has_onednn():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(packed, "SMALL_WEIGHT", 0)
    charge(monkeypatch, {Form.PLAIN: 1.0, Form.HALVES: 0.5, Form.TRANSPOSED: 0.5, Form.PACKED: 0.1})
    assert set(find_fastest(make_weights()).by_rows) == {Form.PACKED}
    assert set(find_fastest(make_weights(), (Form.PLAIN, Form.TRANSPOSED)).by_rows) == {Form.TRANSPOSED}


def test_only_as_many_weights_as_fill_the_cache_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_rows, "SAMPLE_BYTES", 8 * 4 * 4 + 1)
    seen = []
    monkeypatch.setattr(few_rows.F, "linear", lambda x, weight: seen.append(weight) or x)
    weights = [torch.randn(8, 4) for _ in range(5)]
    find_fastest(weights, (Form.PLAIN,))
    assert {id(weight) for weight in seen} == {id(weight) for weight in weights[:2]}


def test_rows_between_timed_ones_take_the_form_of_the_next_larger_count() -> None:
    forms = Forms((Form.HALVES, Form.PLAIN, Form.PACKED, Form.TRANSPOSED, Form.PLAIN, Form.PACKED))
    assert [forms.at(rows) for rows in (1, 2, 3, 4, 5, 8, 9, 17, 32)] == [
        Form.HALVES,
        Form.PLAIN,
        Form.PACKED,
        Form.PACKED,
        Form.TRANSPOSED,
        Form.TRANSPOSED,
        Form.PLAIN,
        Form.PACKED,
        Form.PACKED,
    ]
    assert forms.at(TIMED_ROWS[-1] + 1) is Form.PLAIN
