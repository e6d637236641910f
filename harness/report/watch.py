"""A page that follows a study: rebuilt when the store has changed, until every planned run has a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.analysis.comparison.load import StoreContent, judge_content, load_content
from harness.core.study import STUDY_FILE
from harness.report.build import BuiltReport, find_records, render_judged, write_report

_WATCHED = ("records", "traces", "answers")
_HEAD, _TOP = '<meta charset="utf-8">', "</header>"

# For each watched folder and file its number of files, newest change and sum of sizes.
Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many of the planned runs have a record; `planned` is ``None`` where no study file says."""

    done: int
    planned: int | None

    @property
    def is_over(self) -> bool:
        """Whether every planned run has a record, finished or failed."""
        return self.planned is not None and self.done >= self.planned

    def describe(self) -> str:
        """Return the progress in words."""
        runs = f"{self.done} runs have a record"
        if self.planned is None:
            return f"{runs}; there is no study.json, so how many are planned is unknown"
        return f"{self.done} of {self.planned} runs have a record"


def watch_report(
    root: Path,
    out: Path,
    *,
    every_s: float,
    with_paths: bool = False,
    tell: Callable[[str], object],
    sleep: Callable[[float], None] | None = None,
) -> Mapping[str, Any]:
    """Write the page of the store at `root` to `out` whenever the store has changed, until the study is over.

    While it runs the page reloads itself and says so; the last one is the page that ``isojoule report`` writes. `tell`
    gets one line for each page. Returns the content of ``verdicts.json``.

    Raises:
        RecordError: `root` is no store, or its records must not be pooled.
        ConfigError: `out` cannot be written.
    """
    sleep = sleep or time.sleep
    seen: Signature | None = None
    while True:
        # taken before reading: what changes meanwhile is a change at the next look
        now = take_signature(root)
        if now != seen:
            content = load_content(root)
            progress = count_progress(content)
            report = render_judged(judge_content(content), with_paths=with_paths, records_href=find_records(root, out))
            built = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            if progress.is_over:
                write_report(report, out)
                tell(f"{built}: {progress.describe()}; the page is complete: {out}")
                return report.content
            line = f"live: built at {built}, {progress.describe()}"
            write_report(BuiltReport(page=make_live(report.page, line, every_s), results=report.results), out)
            tell(f"{line}: {out}")
            seen = now
        sleep(every_s)


def take_signature(root: Path) -> Signature:
    """Return what changes when the store at `root` does; a file that is gone while it is looked at does not count."""
    parts = []
    for name in (*_WATCHED, STUDY_FILE):
        path = root / name
        files = [path] if name == STUDY_FILE else list(path.glob("*.json*"))
        found = [status for file in files if (status := _stat(file)) is not None]
        parts.append((len(found), max((at for at, _ in found), default=0), sum(size for _, size in found)))
    return tuple(parts)


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def count_progress(content: StoreContent) -> Progress:
    """Return how many of the planned runs have a readable record."""
    held = {record.run_id for record in content.records}
    if content.study is None or not content.study.runs:
        return Progress(done=len(held), planned=None)
    planned = {run.run_id for run in content.study.runs}
    return Progress(done=len(held & planned), planned=len(planned))


def make_live(page: str, line: str, every_s: float) -> str:
    """Return `page` with `line` at its top, asking the browser to load it again every `every_s` seconds (1 or more)."""
    refresh = Markup('<meta http-equiv="refresh" content="{}">').format(max(1, round(every_s)))
    banner = Markup('<p class="live" role="status">{}</p>').format(line)
    for place, added in ((_HEAD, refresh), (_TOP, banner)):
        if page.count(place) < 1:
            raise ValueError(f"the page has no {place}, so it cannot be made live")
        page = page.replace(place, f"{place}\n{added}", 1)
    return page
