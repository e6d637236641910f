"""A page opened in a browser that must stay silent and ask for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def open_page(browser: Any, path: Path, width: int = 1280, scheme: str = "light", **options: Any) -> Iterator[Any]:
    """Open the page; fail on any message, error or dialog, and on any request but the page's own."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append("a dialog opened"))
    page.on("request", lambda request: problems.append(request.url) if not _own(request.url, path) else None)
    page.goto(path.as_uri())
    if options.get("java_script_enabled", True):
        until(page, "!document.querySelector('.rest')")
    yield page
    assert problems == []
    context.close()


def _own(url: str, path: Path) -> bool:
    return url == path.as_uri() or url.startswith(("data:", "blob:"))


def until(page: Any, expression: str) -> None:
    """Wait until the expression is true; the page's policy forbids the browser's own way of waiting for a text."""
    for _ in range(50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never came true: {expression}")
