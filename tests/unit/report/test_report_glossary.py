"""Terms: explained where they first stand in running text, and nowhere that a button would break."""

from __future__ import annotations

import html
import re

import pytest
from markupsafe import Markup

from harness.report.page import numbers as n
from harness.report.page.glossary import _SPELLINGS, TERMS, Explainer, term_id

BUTTON = re.compile(r'<button type="button" class="term(?: q)?" popovertarget="([^"]+)"')


def terms_in(text: str) -> list[str]:
    return BUTTON.findall(text)


def test_a_term_is_explained_where_it_first_stands_only() -> None:
    explainer = Explainer()
    text = explainer.explain("The seed, the seed and more seeds.")
    assert terms_in(text) == ["term-seed"]
    assert text.striptags() == "The seed, the seed and more seeds."
    assert terms_in(explainer.explain("A seed again.")) == []
    assert explainer.hint("Seeds") == ""


def test_another_page_explains_anew() -> None:
    assert Explainer().explain("A router.") == Explainer().explain("A router.")
    assert terms_in(Explainer().explain("A router.")) == ["term-router"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("net of idle power", ["term-net-of-idle"]),
        ("active parameters and routed experts", ["term-active-parameters", "term-routed-expert"]),
        ("FLOP/s, not FLOPs", ["term-flop-s", "term-flops"]),
        ("the matched loss", ["term-matched-loss"]),
    ],
)
def test_the_longest_term_wins(text: str, wanted: list[str]) -> None:
    assert terms_in(Explainer().explain(text)) == wanted


@pytest.mark.parametrize("text", ["reseeded", "seed_everything", "/router/x", "grades", "xMFU", "prefill/decode"])
def test_a_term_inside_a_word_or_path_is_none(text: str) -> None:
    assert terms_in(Explainer().explain(text)) == []


@pytest.mark.parametrize("tag", ["a", "button", "code", "summary", "svg", "small", "pre"])
def test_words_inside_what_is_pressed_or_quoted_stay_as_they_are(tag: str) -> None:
    text = Markup(f'<{tag} class="x">a <b>seed</b></{tag}> then a seed')  # noqa: S704 - the test's own
    shown = Explainer().explain(text)
    assert terms_in(shown) == ["term-seed"]
    assert shown.startswith(f'<{tag} class="x">a <b>seed</b></{tag}> then a <button')


def test_a_number_that_is_pressed_itself_holds_no_button() -> None:
    shown = Explainer().explain(Markup("{} of one <b>seed</b>").format(n.num(3.0, "3 seeds", "runs: a")))
    assert '">3 seeds</span>' in shown
    assert terms_in(shown) == ["term-seed"]


def test_attributes_are_not_text() -> None:
    number = n.num(1.0, "1", "seed of the router")
    assert Explainer().explain(number) == number


def test_hostile_text_stays_text() -> None:
    shown = Explainer().explain('<script>seed</script> & "router" <a>')
    assert shown.startswith("&lt;script&gt;")
    assert "<script" not in shown
    assert "<a" not in shown
    assert html.unescape(re.sub(r"</?button[^>]*>", "", shown)) == '<script>seed</script> & "router" <a>'


def test_a_column_gets_one_small_button_outside_its_title() -> None:
    explainer = Explainer()
    shown = explainer.hint("Max violation per router")
    assert terms_in(shown) == ["term-max-violation"]
    assert 'aria-label="What is max violation?"' in shown
    assert terms_in(explainer.hint("Max violation per router")) == ["term-router"]
    assert explainer.hint("Run") == ""


def test_ids_are_distinct_and_other_spellings_lead_to_terms() -> None:
    ids = [term_id(term) for term in TERMS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"term-[a-z0-9-]+", name) for name in ids)
    assert set(_SPELLINGS.values()) <= set(TERMS)
    assert all(text.strip().endswith((".", "?")) for text in TERMS.values())
