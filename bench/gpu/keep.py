"""Results of a card in one file that is small enough to carry: records, pages, logs; no weights or samples."""

from __future__ import annotations

import tarfile
from pathlib import Path

KEPT_FILE = "kept.tar.gz"
# Folders of a store that others need to read it, and to go on with its finished runs.
_FOLDERS = ("records", "traces", "answers", "logs")
_ENDINGS = (".json", ".jsonl", ".html", ".xml", ".log")


def keep_results(out: Path) -> Path:
    """Write ``kept.tar.gz`` into `out`, whole or not at all: its small files, and of each store what is measured."""
    target = out / KEPT_FILE
    temporary = target.with_name(f".{KEPT_FILE}.tmp")
    with tarfile.open(temporary, "w:gz") as archive:
        for path in sorted(_list_kept(out)):
            archive.add(path, path.relative_to(out).as_posix(), recursive=False)
    temporary.replace(target)
    return target


def take_results(source: Path, out: Path) -> None:
    """Unpack an earlier ``kept.tar.gz`` into `out`; files that are there stay, so that nothing measured is lost.

    Paths that lead out of `out` are refused (`tarfile`'s filter ``data``).
    """
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            if member.isfile() and not (out / member.name).exists():
                archive.extract(member, out, filter="data")


def _list_kept(out: Path) -> list[Path]:
    stores = [folder for folder in out.iterdir() if (folder / "records").is_dir()]
    found = [path for path in (*out.iterdir(), *(out / "logs").glob("*")) if path.is_file()]
    for store in stores:
        found += [path for path in store.iterdir() if path.is_file()]
        found += [path for folder in _FOLDERS for path in (store / folder).glob("*") if path.is_file()]
    return [path for path in found if path.suffix in _ENDINGS and not path.name.startswith(".")]
