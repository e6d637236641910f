"""Corpora: which files there are, under names that do not depend on where they lie."""

from __future__ import annotations

import glob
import importlib.util
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.core.registry import Registry

# Tests, what other projects vendored in, and what is installed beside the standard library.
_LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "_vendor", "_bundled", "vendored"}
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a corpus; `name` is ``<root>/<relative POSIX path>`` and decides the file's split."""

    name: str
    path: Path


def list_files(config: DataConfig) -> list[SourceFile]:
    """Return the corpus's files sorted by name.

    Raises:
        DataError: the corpus has no file; the message says what to type instead.
    """
    files = sorted(CORPORA.get(config.corpus)(config), key=lambda file: file.name)
    if not files:
        raise DataError(f"corpus '{config.corpus}' has no file; check data.roots and data.globs.")
    return files


def python_source_files(config: DataConfig) -> Iterator[SourceFile]:
    """Yield every .py file of the running interpreter's standard library, then of each of `config.roots`."""
    yield from _python_files(Path(sysconfig.get_path("stdlib")), "stdlib")
    for root in config.roots:
        yield from _python_files(_resolve_root(root), Path(root).name)


def text_files(config: DataConfig) -> Iterator[SourceFile]:
    """Yield the files that `config.globs` match (``**`` descends)."""
    if not config.globs:
        raise DataError("data=text_files needs files: give data.globs='[\"notes/**/*.md\"]'.")
    seen = set()
    for pattern in config.globs:
        matches = sorted(path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file())
        if not matches:
            raise DataError(f"no file matches data.globs '{pattern}'; write ** to descend, and check the folder.")
        for path in matches:
            if path not in seen:
                seen.add(path)
                yield SourceFile(path.as_posix(), path)


CORPORA = Registry(
    "corpus",
    {
        "python_source": "harness.data.corpus:python_source_files",
        "text_files": "harness.data.corpus:text_files",
    },
)


def _python_files(root: Path, label: str) -> Iterator[SourceFile]:
    for path in root.rglob("*.py"):
        relative = path.relative_to(root)
        if not _LEFT_OUT.intersection(relative.parts[:-1]):
            yield SourceFile(f"{label}/{relative.as_posix()}", path)


def _resolve_root(root: str) -> Path:
    """Return the folder of an import name or of a path."""
    if Path(root).is_dir():
        return Path(root)
    spec = importlib.util.find_spec(root) if root.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"data.roots '{root}' is neither a folder nor an installed package.")
    return Path(spec.submodule_search_locations[0])
