"""Build the report: records in, one self-contained page out, the same bytes for the same records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.claims import verdicts_to_json
from harness.analysis.comparison.load import JudgedStore, judge_content, load_content
from harness.analysis.inference.detail import describe_inference
from harness.analysis.inference.results import InferenceResult
from harness.analysis.inference.summary import inference_verdicts_to_json
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.core.collector import pause_collector
from harness.core.errors import ConfigError
from harness.core.store import write_text_atomically
from harness.report import inference_page, matched_page

PAGE_FILE = "report.html"
VERDICTS_FILE = "verdicts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltReport:
    """A page and the content of ``verdicts.json`` beside it."""

    page: str
    content: dict[str, Any]


def build_report(root: Path, out: Path, *, now_utc: str | None = None, with_paths: bool = False) -> Path:
    """Match, judge and render the store at `root`; write the page to `out` and ``verdicts.json`` beside it.

    The page names no time of its own, so that the same records give the same bytes; `now_utc` adds one as a label.
    `with_paths` keeps paths and user names of the machine that free text of records holds.

    Raises:
        RecordError: `root` is no store, or its records must not be pooled.
        ConfigError: `out` cannot be written.
    """
    report = render_store(root, now_utc=now_utc, with_paths=with_paths)
    write_report(report, out)
    return out


@pause_collector()
def render_store(root: Path, *, now_utc: str | None = None, with_paths: bool = False) -> BuiltReport:
    """Return page and verdicts of the store at `root`; nothing is written.

    Raises:
        RecordError: `root` is no store, or its records must not be pooled.
    """
    return render_judged(judge_content(load_content(root)), now_utc=now_utc, with_paths=with_paths)


def render_judged(
    judged: JudgedStore,
    *,
    now_utc: str | None = None,
    with_paths: bool = False,  # noqa: ARG001 - the page holds none yet
) -> BuiltReport:
    """Return page and verdicts of a store that was read and judged; pure."""
    held, result, verdicts = judged.content, judged.result, judged.verdicts
    shared = (verdicts, held.unreadable, held.traces)
    if isinstance(result, InferenceResult):
        detail = describe_inference(held.records, held.answers, held.study)
        page = inference_page.render_inference(held.records, held.study, result, detail, *shared, now_utc=now_utc)
        return BuiltReport(page=page, content=inference_verdicts_to_json(verdicts, result))
    page = matched_page.render_report(held.records, held.study, result, *shared, now_utc=now_utc)
    sensitivity = estimate_sensitivity(held.records, held.study, result, verdicts)
    return BuiltReport(page=page, content=verdicts_to_json(verdicts, result, sensitivity))


def write_report(report: BuiltReport, out: Path) -> None:
    """Write the page to `out` and the verdicts beside it.

    Raises:
        ConfigError: `out` cannot be written.
    """
    write_output(out, report.page)
    write_output(out.with_name(VERDICTS_FILE), content_to_text(report.content))


def content_to_text(content: object) -> str:
    """Return `content` as JSON whose keys stand in order, so that the same content is the same bytes."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


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
