"""The verb ``report``: pages of studies, one page that puts studies side by side, and a page that follows a study."""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_OK, ConfigError
from harness.core.terminal import escape_controls

STDOUT = "-"
COMPARE_FILE = Path("compare.html")
_EVERY_S = "5"
_LEAST_S = 0.05


def add_report_verb(verbs: Any, find_store: Callable[[Path | None], Path]) -> None:
    """Add ``report`` to the parser; `find_store` returns the store that was named, or the newest."""
    report = verbs.add_parser(
        "report",
        help="write the HTML page and verdicts.json of a study, or one page that compares studies",
        epilog="Each page is one file that loads nothing. Only records are read: no study is run, nothing is changed.",
    )
    report.add_argument(
        "store", nargs="*", type=Path, help="folders of studies (default: the newest under runs/), a page for each"
    )
    report.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: report.html in the store; compare.html here)"
    )
    report.add_argument("--open", action="store_true", help="show the page in the browser")
    report.add_argument(
        "--json", metavar="FILE", help=f"write all results as JSON too ({STDOUT}: print them; paths go to stderr)"
    )
    report.add_argument(
        "--compare", nargs="*", type=Path, metavar="STORE", help="one page that puts two or more studies side by side"
    )
    report.add_argument(
        "--watch",
        nargs="?",
        const=_EVERY_S,
        metavar="SECONDS",
        help=f"rebuild the page while the study runs, looking every SECONDS (default {_EVERY_S}); Ctrl-C ends it",
    )
    report.add_argument(
        "--with-paths", action="store_true", help="keep paths and user names of the machine in texts of the page"
    )
    report.set_defaults(handler=functools.partial(_report, find_store))


def _report(find_store: Callable[[Path | None], Path], options: argparse.Namespace) -> int:
    stores = [*options.store, *(options.compare or ())]
    every_s = None
    if options.watch is not None:
        every_s = _read_seconds(options.watch)
        if every_s is None:  # it was the store that stands after --watch
            stores.insert(0, Path(options.watch))
            every_s = float(_EVERY_S)
    if every_s is not None and (options.compare is not None or len(stores) > 1):
        raise ConfigError("--watch follows one study; name one store: isojoule report --watch STORE")
    if options.compare is not None:
        return _compare(stores, options)
    if len(stores) > 1 and options.out is not None:
        raise ConfigError(
            f"--out names one page, and {len(stores)} stores were given; for one page type: isojoule report "
            "--compare STORE STORE --out FILE; without --out each page stands in its own store."
        )
    roots = stores or [find_store(None)]
    if every_s is not None:
        return _watch(roots[0], every_s, options)
    return _write_pages(roots, options)


def _write_pages(roots: list[Path], options: argparse.Namespace) -> int:
    from harness.report.build import PAGE_FILE, find_records, render_store, write_report

    contents = []
    for root in roots:
        page = options.out or root / PAGE_FILE
        report = render_store(root, with_paths=options.with_paths, records_href=find_records(root, page))
        write_report(report, page)
        contents.append(report.content)
        _show_path(page, options)
    if options.json is not None:
        _write_json(options.json, contents if len(contents) > 1 else contents[0])
    return EXIT_OK


def _compare(stores: list[Path], options: argparse.Namespace) -> int:
    from harness.report.build import write_output
    from harness.report.compare_page import build_comparison

    if len(stores) < 2:
        raise ConfigError(
            f"--compare needs two stores or more, and {len(stores)} was given; type: isojoule report --compare A B"
        )
    report = build_comparison(stores, with_paths=options.with_paths)
    page = options.out or COMPARE_FILE
    write_output(page, report.page)
    _show_path(page, options)
    if options.json is not None:
        _write_json(options.json, report.content)
    return EXIT_OK


def _watch(root: Path, every_s: float, options: argparse.Namespace) -> int:
    from harness.report.build import PAGE_FILE
    from harness.report.watch import watch_report

    page = options.out or root / PAGE_FILE
    opened = False

    def tell(line: str) -> None:
        nonlocal opened
        print(escape_controls(line), file=sys.stderr, flush=True)
        if options.open and not opened:
            opened = True
            _open_page(page)

    try:
        content = watch_report(root, page, every_s=every_s, with_paths=options.with_paths, tell=tell)
    except KeyboardInterrupt:
        print("isojoule: stopped watching; the study goes on.", file=sys.stderr)
        return EXIT_OK
    _print_path(page, options)
    if options.json is not None:
        _write_json(options.json, content)
    return EXIT_OK


def _read_seconds(text: str) -> float | None:
    """Return the seconds that `text` gives, ``None`` where it is no number.

    Raises:
        ConfigError: it is a number that cannot be waited for.
    """
    try:
        seconds = float(text)
    except ValueError:
        return None
    if not (math.isfinite(seconds) and seconds >= _LEAST_S):
        raise ConfigError(f"--watch is '{text}'; give seconds of at least {_LEAST_S}, e.g. --watch {_EVERY_S}.")
    return seconds


def _show_path(page: Path, options: argparse.Namespace) -> None:
    _print_path(page, options)
    if options.open:
        _open_page(page)


def _print_path(page: Path, options: argparse.Namespace) -> None:
    print(escape_controls(str(page)), file=sys.stderr if options.json == STDOUT else sys.stdout, flush=True)


def _open_page(page: Path) -> None:
    """Open `page` in the default browser, or say in one line that none can be opened."""
    import webbrowser

    try:
        opened = webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        print(f"isojoule: no browser could be opened; open {escape_controls(str(page))} yourself.", file=sys.stderr)


def _write_json(target: str, content: object) -> None:
    from harness.report.results_file import results_to_text

    text = results_to_text(content)
    if target == STDOUT:
        print(text, end="")
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write '{target}': {error.strerror}.") from error
