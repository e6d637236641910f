"""Lists of runs that stay short on a page of thousands: the first ones, and how many more there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from markupsafe import Markup

from harness.report.page import numbers as n
from harness.report.page.blocks import Cell

MAX_NAMED = 12


def list_runs(run_ids: Iterable[str], known: Collection[str] = ()) -> Cell:
    """Return the one run id, or a fold with the first `MAX_NAMED` of them and how many more there are.

    Where they are all of the `known` runs, and too many to name, it says so; the table of every run names them.
    """
    ids = sorted(set(run_ids))
    if len(ids) <= MAX_NAMED:
        return n.where(ids)
    if len(ids) == len(known) and set(ids) == set(known):
        return f"all {len(ids)} runs"
    named = n.join((Markup("<code>{}</code>").format(run) for run in ids[:MAX_NAMED]), ", ")
    return Markup("<details><summary>{} runs</summary>{} and {} more</details>").format(
        len(ids), named, len(ids) - MAX_NAMED
    )
