"""Build the report: records in, one self-contained page out, the same bytes for the same records."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.claims import judge_all, load_claims, verdicts_to_json
from harness.analysis.claims.inference import judge_inference
from harness.analysis.claims.spec import INFERENCE_CLAIMS, PRESS_CLAIMS
from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.detail import describe_inference, is_inference
from harness.analysis.inference.load import load_answers
from harness.analysis.inference.summary import inference_verdicts_to_json
from harness.analysis.match import match_study
from harness.core.errors import RecordError
from harness.core.store import Store, write_text_atomically
from harness.core.study import load_study
from harness.report import inference_page, matched_page
from harness.report.page.privacy import scrub_inputs
from harness.report.sections.downloads import results_to_text

VERDICTS_FILE = "verdicts.json"


def build_report(root: Path, out: Path, *, now_utc: str | None = None, with_paths: bool = False) -> Path:
    """Match, judge and render the store at `root`; write the page to `out` and ``verdicts.json`` beside it.

    The page names no time of its own, so that the same records give the same bytes; `now_utc` adds one as a label.
    Paths, users and hosts of the machine are left out of both unless `with_paths`.

    Raises:
        RecordError: there is no record file at all under `root`.
    """
    store = Store(root)
    records, unreadable = store.load_records()
    try:
        study = load_study(root)
    except RecordError as error:
        study = None
        unreadable = [*unreadable, str(error).replace(str(root), "").lstrip("/")]
    traces = {r.run_id: trace for r in records if (trace := store.load_trace(r.run_id)) is not None}
    records_sha256 = store.hash_records()
    if is_inference(records, study):
        answers = load_answers(store, records)
        result = compare_inference(records, answers, study, unreadable)
        verdicts = judge_inference(load_claims(study.claims if study is not None else INFERENCE_CLAIMS), result)
        detail = describe_inference(records, answers, study)
        parts = (records, study, result, detail, verdicts, unreadable, traces)
        records, study, result, detail, verdicts, unreadable, traces = scrub_inputs(parts, with_paths=with_paths)
        page = inference_page.render_inference(
            records, study, result, detail, verdicts, unreadable, traces, now_utc=now_utc, records_sha256=records_sha256
        )
        content = inference_verdicts_to_json(verdicts, result)
    else:
        match = match_study(records, study, unreadable)
        verdicts = judge_all(load_claims(study.claims if study is not None else PRESS_CLAIMS), match)
        cleaned = (records, study, match, verdicts, unreadable, traces)
        records, study, match, verdicts, unreadable, traces = scrub_inputs(cleaned, with_paths=with_paths)
        page = matched_page.render_report(
            records, study, match, verdicts, unreadable, traces, now_utc=now_utc, records_sha256=records_sha256
        )
        content = verdicts_to_json(verdicts, match)
    write_text_atomically(out, page)
    write_text_atomically(out.with_name(VERDICTS_FILE), results_to_text(content))
    return out
