"""Corpora: which files there are, under names that do not depend on where they lie."""

from __future__ import annotations

import glob
import importlib.util
import itertools
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.core.registry import Registry

_INSTALLED = frozenset({"site-packages", "dist-packages"})
# Tests, what other projects vendored in, and what is installed beside the standard library.
_LEFT_OUT = frozenset({"test", "tests", "idle_test", "__pycache__", "_vendor", "_bundled", "vendored", *_INSTALLED})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a corpus.

    `name` decides the file's split: its POSIX path relative to its root, after the root's own name where a corpus has
    several. It holds nothing of where the root lies.
    """

    name: str
    path: Path


def list_files(config: DataConfig) -> list[SourceFile]:
    """Return the corpus's files sorted by name.

    Raises:
        DataError: the corpus has no file, or two files share a name; the message says what to type instead.
    """
    files = sorted(CORPORA.get(config.corpus)(config), key=lambda file: file.name)
    if not files:
        raise DataError(f"corpus '{config.corpus}' has no file; check data.roots and data.globs.")
    for left, right in itertools.pairwise(files):
        if left.name == right.name:
            raise DataError(f"two files are called '{left.name}'; give data.roots whose folders have different names.")
    return files


def python_source_files(config: DataConfig) -> Iterator[SourceFile]:
    """Yield every .py file of the running interpreter's standard library, then of each of `config.roots`."""
    yield from _python_files(Path(sysconfig.get_path("stdlib")), "stdlib")
    for root in config.roots:
        yield from _python_files(_resolve_root(root), Path(root).name or "root")


def python_package_files(config: DataConfig) -> Iterator[SourceFile]:
    """Yield every .py file of the standard library and of all installed packages, then of each of `config.roots`.

    What is installed differs between machines, and so does the corpus: its hash tells.
    """
    yield from _python_files(Path(sysconfig.get_path("stdlib")), "stdlib")
    seen: set[str] = set()
    for folder in sys.path:
        if Path(folder).name not in _INSTALLED or not Path(folder).is_dir():
            continue
        for file in _python_files(Path(folder), "packages"):
            if file.name not in seen:  # a package that two folders hold is imported from the first
                seen.add(file.name)
                yield file
    for root in config.roots:
        yield from _python_files(_resolve_root(root), Path(root).name or "root")


def text_files(config: DataConfig) -> Iterator[SourceFile]:
    """Yield the files that `config.globs` match (``**`` descends), each once.

    Names are relative to the deepest folder that holds the wildcard-free part of every pattern.

    Raises:
        DataError: no pattern was given, or one matches no file.
    """
    if not config.globs:
        raise DataError("data=text_files needs files: give data.globs='[\"notes/**/*.md\"]'.")
    base = os.path.commonpath([_fixed_folder(pattern) for pattern in config.globs])
    seen: set[str] = set()
    for pattern in config.globs:
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
        matches = [path for path in found if Path(path).is_file()]
        if not matches:
            raise DataError(f"no file matches data.globs '{pattern}'; write ** to descend, and check the folder.")
        for path in matches:
            name = Path(os.path.relpath(path, base)).as_posix()
            if name not in seen:
                seen.add(name)
                yield SourceFile(name, Path(path))


CORPORA = Registry(
    "corpus",
    {
        "python_packages": "harness.data.corpus:python_package_files",
        "python_source": "harness.data.corpus:python_source_files",
        "text_files": "harness.data.corpus:text_files",
        "hf": "harness.data.hf:open_hf",
    },
)


def _python_files(root: Path, label: str) -> Iterator[SourceFile]:
    for folder, subfolders, names in os.walk(root):  # links to folders are not followed: no file comes twice
        subfolders[:] = sorted(set(subfolders) - _LEFT_OUT)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix == ".py" and path.is_file():
                yield SourceFile(f"{label}/{path.relative_to(root).as_posix()}", path)


def _fixed_folder(pattern: str) -> str:
    """Return the absolute folder in front of the first wildcard of `pattern`."""
    parts = Path(pattern).parts[:-1]
    folder = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    return os.path.abspath(folder)  # noqa: PTH100  resolve() would follow links, and a linked file keep another name


def _resolve_root(root: str) -> Path:
    """Return the folder of a path or, where there is no such folder, of an import name."""
    if Path(root).is_dir():
        return Path(root)
    spec = importlib.util.find_spec(root) if root.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"data.roots '{root}' is neither a folder nor an installed package; give either.")
    return Path(spec.submodule_search_locations[0])
