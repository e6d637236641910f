"""Hostile texts in a real browser: pages of all kinds run nothing, ask for nothing, and are no wider than a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.core.store import Store
from harness.core.study import save_study
from harness.report.build import render_store
from harness.report.compare_page import build_comparison
from tests.integration.opened import open_page
from tests.unit.analysis.inference.factory import fill_store, make_inference_study, make_pair
from tests.unit.report import factory
from tests.unit.report.planted import IDENTITY, plant

HOSTILE = (
    "<script>window.__pwned=1</script>\"><img src=x onerror=window.__pwned=1>'</script></style></title>]]><!--"
    "<svg/onload=window.__pwned=1><a xlink:href=javascript:window.__pwned=1>x</a> javascript:window.__pwned=1 {{7*7}} "
    "\u202egnp.exe\u2066 \u200b\u2028\x00\x1b[31m =cmd|' /C calc'!A0 " + "w" * 400
)
ALSO_NAMES = frozenset(IDENTITY - {"name", "corpus", "device", "sensor", "severity", "code", "convention"})


def write_trained(root: Path) -> Path:
    """Write a trained study with failed runs and a trace whose labels are hostile, too."""
    records = [*factory.make_records(), factory.make_record("moe", "s", 8, status="failed", error="x")]
    for record in records:
        Store(root).write_record(plant(record, HOSTILE, [], kept=ALSO_NAMES | {"severity", "code"}))
    trace: Any = factory.make_trace()
    trace["series"][0]["sensor"] = HOSTILE
    trace["windows"][1]["phase"] = HOSTILE
    Store(root).write_trace(records[-2].run_id, trace)
    save_study(root, plant(factory.make_study(records), HOSTILE, []))
    (root / "records" / "<img src=x onerror=window.__pwned=1>.json").write_text("{")
    return root


def build_trained(root: Path) -> str:
    return render_store(write_trained(root)).page


def build_inference(root: Path) -> str:
    records, answers = make_pair(0.5)
    planted = [
        plant(record, HOSTILE, [], kept=ALSO_NAMES | {"severity", "code", "sensor", "device"}) for record in records
    ]
    fill_store(root, planted, answers, plant(make_inference_study(planted), HOSTILE, []))
    return render_store(root).page


def build_compared(root: Path) -> str:
    return build_comparison([write_trained(root / "one"), write_trained(root / "two")]).page


@pytest.mark.parametrize("build", [build_trained, build_inference, build_compared])
def test_hostile_texts_run_nothing_and_fit_a_phone(browser: Any, tmp_path: Path, build: Callable[[Path], str]) -> None:
    path = tmp_path / "page.html"
    path.write_text(build(tmp_path), encoding="utf-8")
    with open_page(browser, path, width=390) as page:
        assert page.evaluate("window.__pwned") is None
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        page.wait_for_timeout(300)
        assert page.evaluate("window.__pwned") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        text = page.evaluate("document.documentElement.textContent")
        assert "window.__pwned=1" in text, "the texts are there, as texts"
        assert "\\u202e" in text
        assert page.evaluate(r"/[\u0000-\u0008\u000b-\u001f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/.test("
                             "document.documentElement.outerHTML)") is False  # fmt: skip
        assert page.evaluate("document.querySelectorAll('img, iframe, object, embed').length") == 0
        assert page.evaluate("document.querySelectorAll('a[href^=\"javascript\" i]').length") == 0
