"""How to cite the tool and this study: BibTeX to copy, and the same in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness import __version__
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.page.blocks import Section

# The same words as in CITATION.cff, which a wheel does not hold; a test compares them.
TITLE = "isojoule: energy and compute of dense and sparse-expert language models at equal quality"
AUTHORS = "The isojoule authors"
# Braces by name: BibTeX counts those that a backslash precedes, too, so one of them would end the field.
_TEX = {
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "%$&#_"},
}


def citation_section(
    records: Sequence[RunRecord], study: StudyInfo | None, name: str, records_sha256: str | None = None
) -> Section:
    """Return how to cite isojoule and this study, with the commit, dates and hash of its records; pure."""
    environments = [record.environment for record in records if record.environment is not None]
    versions = sorted({found.isojoule_version for found in environments}) or [__version__]
    commits = sorted({found.git_commit for found in environments if found.git_commit})
    dates = sorted(date for record in records if (date := _date(record.started_utc)))
    title = study.title if study is not None else f"Runs of {name}"
    year = dates[-1][:4] if dates else None
    says = [f"isojoule {', '.join(versions)}"]
    if commits:
        says.append(f"commit {', '.join(commits)}")
    if dates:
        says.append(f"{len(records)} records of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}")
    if records_sha256 is not None:
        says.append(f"SHA-256 of all records {records_sha256}")
    key = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "study"
    code = "\n\n".join(
        (
            _bibtex(
                "software", "isojoule", title=TITLE, author=f"{{{AUTHORS}}}", version=", ".join(versions), year=year
            ),
            _bibtex("misc", f"isojoule_{key}", title=title, year=year, note="; ".join(says)),
        )
    )
    shown = year or "n.d."
    return Section(
        id="citation",
        title="How to cite",
        lead="The tool and the study are two things: cite both. Who made the study adds the author to its entry.",
        code=code,
        facts=(
            ("The tool", f"{AUTHORS}. ({shown}). {TITLE} (Version {', '.join(versions)}) [Computer software]."),
            ("This study", f"{title} [Data set]. ({shown}). {'; '.join(says)}."),
        ),
    )


def _bibtex(kind: str, key: str, **fields: str | None) -> str:
    lines = [f"  {name} = {{{_escape(name, value)}}}," for name, value in fields.items() if value is not None]
    return "\n".join((f"@{kind}{{{key},", *lines, "}"))


def _escape(name: str, value: str) -> str:
    if name == "author":
        return value
    return "".join(_TEX.get(sign, sign) for sign in " ".join(value.split()))


def _date(started_utc: str) -> str | None:
    return started_utc[:10] if re.match(r"\d{4}-\d\d-\d\d", started_utc) else None
