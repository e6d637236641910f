"""How to reproduce a study: commands, versions, seeds and hashes, and a sum over the records to know them by."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section
from harness.report.sections.environment import describe_cpu

_EQUAL = (
    "What must come out equal on the same kind of device with the same versions: the data and its hash, the plan and "
    "its order, tokens, parameters and FLOPs; losses and answers too where the runs are deterministic."
)
_NOT_EQUAL = (
    "What must not be expected to be equal: seconds, joules and power. They belong to one machine at one time; compare "
    "ratios and their intervals instead."
)


def reproduce_section(
    records: Sequence[RunRecord], study: StudyInfo | None, records_sha256: str | None = None
) -> Section:
    """Return commands, commit, versions, seeds and hashes; `records_sha256` is over the record files (`Store`)."""
    facts = [*_facts_of_records(records), *_facts_of_code(records)]
    known = n.unknown("the page was made from records in memory")
    facts.append(("SHA-256 of all records", known if records_sha256 is None else _hashes((records_sha256,), "")))
    notes: list[Cell] = [_EQUAL, _NOT_EQUAL]
    if records_sha256 is not None:
        notes.append(
            "The sum tells whether a store holds the very records of this page: the last command prints it for the "
            "folder that it names, over all files in records/ in the order of their names. A study that was run "
            "again has seconds and joules of its own, so its sum is another."
        )
    if study is None:
        notes.insert(
            0,
            "These runs were made one by one, outside a planned study, so there is no single command; each record "
            "holds its whole configuration.",
        )
        return Section(id="reproduce", title="How to reproduce this", facts=tuple(facts), notes=tuple(notes))
    facts.append(("Order of runs", n.num(study.order_seed, f"shuffled with seed {study.order_seed}", "study")))
    if "…" in study.command:
        notes.append("Folders of the machine are left out (…): isojoule report --with-paths keeps them.")
    store = f"runs/{shlex.quote(study.study)}"
    commands = [study.command, f"isojoule report {store}"]
    if records_sha256 is not None:
        commands.append(f"LC_ALL=C sh -c 'cat \"$0\"/records/*.json' {store} | sha256sum")
    return Section(
        id="reproduce",
        title="How to reproduce this",
        facts=tuple(facts),
        code="\n".join(commands),
        lead="Finished runs are skipped, so the command goes on where it stopped.",
        notes=tuple(notes),
    )


def _facts_of_code(records: Sequence[RunRecord]) -> list[tuple[str, Cell]]:
    found = [r.environment for r in records if r.environment is not None]
    dirty = {e.git_dirty for e in found if e.git_commit}
    state = {
        frozenset({False}): "no",
        frozenset({True}): "yes, on top of the commit: the commit alone is not the code that ran",
    }
    changed: Cell = n.unknown("the runs were not made from a checkout")
    if dirty:
        changed = state.get(frozenset(bool(word) for word in dirty), "in some runs, on top of the commit")
    packages = sorted({(name, version) for e in found for name, version in e.packages.items()})
    return [
        ("Commit", _listed((e.git_commit for e in found), "the runs were not made from a checkout")),
        ("Local changes", changed),
        ("isojoule", _listed((e.isojoule_version for e in found), _NO_RECORD)),
        ("Python", _listed((e.python_version for e in found), _NO_RECORD)),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages) or n.unknown(_NO_RECORD)),
        ("Device", _listed((e.device_name for e in found), _NO_RECORD)),
        ("CPU", _listed(map(describe_cpu, found), _NO_RECORD)),
        ("System", _listed((e.os for e in found), _NO_RECORD)),
        ("Determinism", _listed((e.determinism for e in found), _NO_RECORD)),
    ]


def _facts_of_records(records: Sequence[RunRecord]) -> list[tuple[str, Cell]]:
    source = n.runs(r.run_id for r in records)
    data = [r.data for r in records if r.data is not None]
    dates = sorted(r.started_utc[:10] for r in records)
    return [
        ("Records", n.count(len(records), source)),
        ("Made", n.unknown(_NO_RECORD) if not dates else " to ".join(dict.fromkeys((dates[0], dates[-1])))),
        ("Seeds", _listed((str(seed) for seed in sorted({r.seed for r in records})), _NO_RECORD, ordered=True)),
        ("SHA-256 of the data", _hashes((d.sha256 for d in data), "no run was trained on data of its own")),
        ("SHA-256 of the tokenizer", _hashes((d.tokenizer_sha256 for d in data), "no run names a tokenizer")),
        ("Schema of records", _listed((str(r.schema_version) for r in records), _NO_RECORD)),
        (
            "FLOP formulas, version",
            _listed((str(r.flops.formula_version) for r in records if r.flops), "no FLOPs are counted"),
        ),
    ]


_NO_RECORD = "no readable record"


def _listed(values: Iterable[str | None], why: str, *, ordered: bool = False) -> Cell:
    found = [value for value in values if value]
    return ", ".join(dict.fromkeys(found if ordered else sorted(found))) or n.unknown(why)


def _hashes(values: Iterable[str], why: str) -> Cell:
    found = sorted(set(values))
    return n.join((Markup("<code>{}</code>").format(value) for value in found), " ") if found else n.unknown(why)
