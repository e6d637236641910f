"""Drawings that wait for the end of a page are the drawings that would be made at once."""

from __future__ import annotations

import os
from functools import partial

import pytest
from markupsafe import Markup

from harness.core import beside
from harness.report.plots.board import Pending, draw_while, finish, open_board, put_up


def _draw(name: str) -> Markup:
    return Markup("<svg>{}</svg>").format(name)


def _parts(name: str) -> list[partial[Markup]]:
    return [partial(_draw, f"{name} wide"), partial(_draw, f"{name} narrow")]


WHOLE = "<svg>{0} wide</svg><svg>{0} narrow</svg>"


def test_without_a_board_a_drawing_is_made_at_once() -> None:
    assert put_up(_parts("a")) == WHOLE.format("a")
    assert finish(Markup("<b>other</b>")) == "<b>other</b>"


@pytest.mark.parametrize("cores", [1, 2])
def test_what_stands_for_a_drawing_becomes_it(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    with open_board():
        first, second = put_up(_parts("a")), put_up(_parts("b"))
        assert isinstance(first, Pending)
        assert first != second
        assert finish(second) == WHOLE.format("b")
        third = put_up(_parts("c"))
        assert [finish(each) for each in (first, third)] == [WHOLE.format("a"), WHOLE.format("c")]
        assert finish(Markup("")) == ""


def test_drawings_are_made_while_another_process_works_and_no_longer() -> None:
    drawn: list[str] = []

    def note(name: str) -> Markup:
        drawn.append(name)
        return _draw(name)

    with open_board():
        pending = [put_up([partial(note, name)]) for name in "abc"]
        draw_while(lambda: len(drawn) < 2)
        assert drawn == ["a", "b"]
        assert [finish(each) for each in pending] == [_draw(name) for name in "abc"]
        draw_while(lambda: True)
    assert drawn[:2] == ["a", "b"]
    assert "a" not in drawn[2:]


def test_a_board_is_of_its_page_alone() -> None:
    with open_board():
        outer = put_up(_parts("outer"))
        with open_board():
            assert finish(put_up(_parts("inner"))) == WHOLE.format("inner")
        assert finish(outer) == WHOLE.format("outer")


def test_work_that_waits_here_keeps_nobody_waiting() -> None:
    calls: list[int] = []
    work = beside.start_beside(lambda: calls.append(1), beside.MIN_RECORDS - 1)
    assert work.is_ready()
    assert not calls
