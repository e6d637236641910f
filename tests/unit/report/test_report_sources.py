"""Sets of runs as short tokens: which runs a token stands for, and that no set is ever taken for another."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest

from harness.report.page.sources import SourceBook, cite_runs, current_book, name_runs, open_book, with_sources
from tests.unit.report.pages import resolve

RUNS = tuple(f"run-{i:02d}" for i in range(20))


def read_back(token: str, content: dict[str, Any]) -> list[str]:
    return resolve(token, content).removeprefix("runs: ").split(", ")


def test_no_run_and_one_run_are_named_and_more_get_a_token() -> None:
    book = SourceBook()
    assert book.cite(()) == "no runs"
    assert book.cite(("run-07",)) == book.cite(["run-07", "run-07"]) == "runs: run-07"
    assert book.to_json() == {"runs": [], "sets": []}
    assert re.fullmatch(r"§1", book.cite(RUNS[:2]))


def test_a_set_has_one_token_whatever_its_order_container_or_repeats() -> None:
    book = SourceBook()
    first = book.cite(RUNS[:3])
    assert book.cite(list(reversed(RUNS[:3]))) == first
    assert book.cite(iter([*RUNS[:3], RUNS[0]])) == first
    assert book.cite({*RUNS[:3]}) == first
    assert book.cite(RUNS[:4]) != first
    assert len(book.to_json()["sets"]) == 2


@pytest.mark.parametrize(
    "places", [[0, 1], [0, 19], [3, 4, 5, 9, 11, 12, 19], list(range(20)), list(range(0, 20, 2)), [18, 19]]
)
def test_a_token_reads_back_as_exactly_its_runs(places: list[int]) -> None:
    book = SourceBook()
    book.cite(RUNS)
    token = book.cite(tuple(RUNS[place] for place in places))
    assert read_back(token, book.to_json()) == [RUNS[place] for place in places]


def test_ranges_are_closed_and_as_few_as_can_be() -> None:
    book = SourceBook()
    book.cite(RUNS)
    book.cite([RUNS[i] for i in (0, 1, 2, 5, 7, 8)])
    assert book.to_json() == {"runs": list(RUNS), "sets": ["0-19", "0-2,5,7-8"]}


def test_runs_that_only_later_sets_hold_do_not_move_earlier_ones() -> None:
    book = SourceBook()
    late = book.cite(RUNS[10:12])
    early = book.cite(RUNS[2:4])
    content = book.to_json()
    assert content["runs"] == sorted(content["runs"])
    assert read_back(late, content) == list(RUNS[10:12])
    assert read_back(early, content) == list(RUNS[2:4])


def test_tokens_compose_inside_longer_sources() -> None:
    book = SourceBook()
    line = f"ratio of {book.cite(RUNS[:2])} and {book.cite(RUNS[5:8])}"
    assert resolve(line, book.to_json()) == (f"ratio of runs: {', '.join(RUNS[:2])} and runs: {', '.join(RUNS[5:8])}")


def test_a_remembered_tuple_is_never_mistaken_for_one_that_took_its_place_in_memory() -> None:
    book = SourceBook()
    for i in range(2000):
        pair = (f"a-{i:04d}", f"b-{i:04d}")
        assert book.cite(pair) == f"§{i + 1}"
        del pair
        if i % 500 == 0:
            gc.collect()
    assert len(book.to_json()["sets"]) == 2000


def test_a_list_that_changed_after_it_was_cited_gets_another_token() -> None:
    book, ids = SourceBook(), ["run-00", "run-01"]
    first = book.cite(ids)
    ids.append("run-02")
    assert book.cite(ids) != first


def test_without_an_open_book_the_runs_are_named() -> None:
    assert cite_runs(["b", "a", "b"]) == "runs: a, b" == name_runs(["a", "b"])
    assert cite_runs([]) == "no runs"
    assert current_book().to_json() == {"runs": [], "sets": []}


@with_sources
def fail_with_sources() -> None:
    assert cite_runs(RUNS[4:6]) == "§1"
    raise ZeroDivisionError


def test_books_do_not_leak_into_one_another_not_even_after_an_error() -> None:
    with open_book() as outer:
        cite_runs(RUNS[:2])
        with pytest.raises(ZeroDivisionError):
            fail_with_sources()
        assert current_book() is outer
        assert cite_runs(RUNS[6:8]) == "§2"
        assert outer.to_json()["runs"] == [*RUNS[:2], *RUNS[6:8]]
    assert cite_runs(RUNS[:2]).startswith("runs: ")


def test_a_function_with_sources_is_pure() -> None:
    @with_sources
    def render(prefix: str) -> tuple[str, Any]:
        return prefix + cite_runs(RUNS[3:5]), current_book().to_json()

    assert render("x ") == render("x ") == ("x §1", {"runs": list(RUNS[3:5]), "sets": ["0-1"]})
