"""The policy of a page: only its own style and script run, and nothing in the page would need more."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from types import ModuleType

import pytest

from harness.report.matched_page import render_report
from harness.report.page.glossary import TERMS, term_id
from harness.report.page.render import content_policy, page_style

HOSTILE = "</script></style><img src=x onerror=alert(1) style=color:red>\u202e"


class Tags(HTMLParser):
    """Collects start tags with attributes, and the texts of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Keep what stands in a script or style."""
        if self.tags and self.lasttag in self.texts:
            self.texts[self.lasttag].append(data)


@pytest.fixture(scope="module")
def page(factory: ModuleType) -> str:
    records = [factory.make_record(a, s, k, t) for a in factory.ARMS for s in factory.SIZES for k in range(7)
               for t in factory.TOKENS]  # fmt: skip
    records.append(factory.make_record("moe", "s", 9, status="failed", error=HOSTILE))
    match = factory.make_match(records)
    study = factory.make_study(records, title=HOSTILE)
    traces = {records[0].run_id: factory.make_trace()}
    return render_report(records, study, match, factory.make_verdicts(match), (HOSTILE,), traces)


def test_the_hashes_are_those_of_the_bytes_that_stand_in_the_page(page: str) -> None:
    found = Tags(page)
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv"))
    style = "".join(re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL))
    script = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(script) == 1
    for kind, text in (("style", style), ("script", script[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy == content_policy(style, script[0])
    assert style == page_style()


def test_the_policy_allows_nothing_else() -> None:
    policy = content_policy("a", "b")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_policy_stands_before_all_that_it_rules(page: str) -> None:
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script>")


def test_no_element_has_a_style_or_a_handler_of_its_own(page: str) -> None:
    bad = [(tag, name) for tag, attrs in Tags(page).tags for name in attrs if name == "style" or name.startswith("on")]
    assert bad == []
    assert not {"img", "iframe", "object", "embed", "base", "form", "link"} & {
        tag for tag, attrs in Tags(page).tags if attrs.get("href") != "data:,"
    }


def test_nothing_ends_a_script_or_style_early(page: str) -> None:
    found = Tags(page)
    scripts = [attrs for tag, attrs in found.tags if tag == "script"]
    assert scripts == [{"type": "application/octet-stream", "id": "payload"}, {}]
    assert page.count("</script") == 2
    assert page.count("</style") == 1
    assert sum(tag == "style" for tag, _ in found.tags) == 1
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", found.texts["script"][0])


def test_each_explanation_stands_once_and_buttons_lead_to_one(page: str) -> None:
    tags = Tags(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    popovers = [attrs["id"] for _, attrs in tags if "popover" in attrs]
    assert set(popovers) <= {term_id(term) for term in TERMS}
    targets = [attrs["popovertarget"] for _, attrs in tags if "popovertarget" in attrs]
    assert len(targets) == len(set(targets)) > 10
    assert sorted(targets) == sorted(popovers)
    labels = [attrs.get(name, "") for _, attrs in tags for name in ("aria-labelledby", "data-copy")]
    assert set(" ".join(labels).split()) <= set(ids)
    links = [attrs["href"][1:] for tag, attrs in tags if tag == "a" and attrs.get("href", "").startswith("#")]
    assert set(links) <= set(ids)
