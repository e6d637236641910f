"""Build the report: records in, one self-contained page out, the same bytes for the same records."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.claims.projected import start_projecting
from harness.analysis.comparison.load import JudgedStore, judge_content, load_content, may_train
from harness.analysis.inference.detail import describe_inference
from harness.analysis.inference.results import InferenceResult
from harness.analysis.inference.summary import inference_verdicts_to_json
from harness.analysis.once import measure_once
from harness.analysis.results import MatchResult
from harness.analysis.sensitivity.answered import estimate_answered
from harness.core.beside import start_beside
from harness.core.collector import pause_collector
from harness.core.errors import ConfigError
from harness.core.parting import hold_to_the_end
from harness.core.store import write_text_atomically
from harness.report import inference_page, matched_page
from harness.report.ahead import SeenRecords, look_ahead, scrub_records
from harness.report.estimates import estimate_all, start_estimates
from harness.report.page.privacy import scrub_inputs
from harness.report.page.render import PageOrigin
from harness.report.results_file import ResultsFile

PAGE_FILE = "report.html"
VERDICTS_FILE = "verdicts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltReport:
    """A page and the results beside it."""

    page: str
    results: ResultsFile

    @property
    def content(self) -> Mapping[str, Any]:
        """The results as plain data."""
        return self.results.content


def build_report(root: Path, out: Path, *, now_utc: str | None = None, with_paths: bool = False) -> Path:
    """Match, judge and render the store at `root`; write the page to `out` and ``verdicts.json`` beside it.

    The page names no time of its own, so that the same records give the same bytes; `now_utc` adds one as a label.
    Paths, users and hosts of the machine are left out of both unless `with_paths`.

    Raises:
        RecordError: `root` is no store, or its records must not be pooled.
        ConfigError: `out` cannot be written.
    """
    report = render_store(root, now_utc=now_utc, with_paths=with_paths, records_href=find_records(root, out))
    write_report(report, out)
    return out


@pause_collector()
@measure_once()
def render_store(
    root: Path, *, now_utc: str | None = None, with_paths: bool = False, records_href: str = ""
) -> BuiltReport:
    """Return page and verdicts of the store at `root`; nothing is written.

    Raises:
        RecordError: `root` is no store, or its records must not be pooled.
    """
    hold_to_the_end()
    ahead = None
    if may_train(root):
        start_projecting()  # it asks for no record, and one process reads them all
        ahead = look_ahead(with_paths=with_paths)
    judged = judge_content(load_content(root, ahead))
    hold_to_the_end(judged)
    seen = None if ahead is None else ahead.results()
    return render_judged(judged, now_utc=now_utc, with_paths=with_paths, records_href=records_href, seen=seen)


def render_judged(
    judged: JudgedStore,
    *,
    now_utc: str | None = None,
    with_paths: bool = False,
    records_href: str = "",
    seen: Sequence[SeenRecords] | None = None,
) -> BuiltReport:
    """Return page and verdicts of a store that was read and judged; pure.

    Names of the machine are taken out after judging, so that what differs is not pooled because it reads alike. `seen`
    is what `look_ahead` saw of the records where they were read.
    """
    held, result = judged.content, judged.result
    origin = PageOrigin(now_utc=now_utc, records_sha256=held.records_sha256, records_href=records_href)
    clean = functools.partial(scrub_inputs, with_paths=with_paths)
    started = None
    if isinstance(result, MatchResult):
        observed = None if seen is None else [part.observed for part in seen]
        started = start_estimates(held.records, held.study, result, judged.verdicts, clean=clean, observed=observed)
    records = clean(held.records) if seen is None else scrub_records(held.records, seen, with_paths=with_paths)
    study, verdicts, unreadable = clean((held.study, judged.verdicts, held.unreadable))
    if isinstance(result, InferenceResult):
        sensitivity = start_beside(
            lambda: clean(estimate_answered(held.records, held.answers, held.study, result, judged.verdicts)),
            len(held.records),
        )
        found, detail = clean((result, describe_inference(held.records, held.answers, held.study)))
        alternatives = sensitivity()
        results = ResultsFile(inference_verdicts_to_json(verdicts, found, alternatives))
        page = inference_page.render_inference(
            records,
            study,
            found,
            detail,
            verdicts,
            unreadable,
            held.traces,
            alternatives=alternatives,
            results=results,
            origin=origin,
        )
        return BuiltReport(page=page, results=results)
    match = clean(result)
    estimates = estimate_all(records, study, match, verdicts, started)
    page = matched_page.render_report(
        records, study, match, verdicts, unreadable, held.traces, origin=origin, estimates=estimates
    )
    return BuiltReport(page=page, results=estimates.results())


def find_records(root: Path, out: Path) -> str:
    """Return where a page at `out` finds the store's record files: beside it, or nowhere."""
    return "records/" if out.resolve().parent == root.resolve() else ""


def write_report(report: BuiltReport, out: Path) -> None:
    """Write the page to `out` and the verdicts beside it.

    Raises:
        ConfigError: `out` cannot be written.
    """
    write_output(out, report.page)
    write_output(out.with_name(VERDICTS_FILE), report.results.text)


def write_output(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"'{path}' is a folder; name a file in it, e.g. --out {path / PAGE_FILE}.")
    try:
        write_text_atomically(path, text)
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}; name a file elsewhere with --out FILE.") from error
