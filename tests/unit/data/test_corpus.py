"""Which files a corpus holds, and what they are called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.core.config import DataConfig
from harness.core.errors import ConfigError, DataError
from harness.data.corpus import list_files


def _write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}\n")


def _names(config: DataConfig) -> list[str]:
    return [file.name for file in list_files(config)]


def test_names_do_not_depend_on_where_the_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same folder gives the same names from an absolute glob, a relative one, and after a move."""
    for place in ("here", "there/deeper"):
        _write(tmp_path / place / "notes", "a.md", "sub/b.md")
    expected = ["a.md", "sub/b.md"]
    for place in ("here", "there/deeper"):
        assert _names(DataConfig(corpus="text_files", globs=[f"{tmp_path / place}/notes/**/*.md"])) == expected
    monkeypatch.chdir(tmp_path / "here")
    assert _names(DataConfig(corpus="text_files", globs=["notes/**/*.md"])) == expected


def test_several_globs_share_one_root_and_a_file_comes_once(tmp_path: Path) -> None:
    """Names start at the folder that holds all patterns; overlapping patterns do not repeat a file."""
    _write(tmp_path, "x/a.md", "y/a.md", "y/b.txt")
    globs = [f"{tmp_path}/x/*.md", f"{tmp_path}/y/*", f"{tmp_path}/y/a.md"]
    assert _names(DataConfig(corpus="text_files", globs=globs)) == ["x/a.md", "y/a.md", "y/b.txt"]


def test_a_glob_without_a_match_is_one_clear_line(tmp_path: Path) -> None:
    """The message names the pattern and what to do."""
    with pytest.raises(DataError, match=r"no file matches data\.globs '.*nothing.*'; write \*\*") as caught:
        list_files(DataConfig(corpus="text_files", globs=[f"{tmp_path}/nothing/*.md"]))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"give data\.globs="):
        list_files(DataConfig(corpus="text_files"))


def test_an_unknown_corpus_is_answered_with_the_nearest_name() -> None:
    """A misspelt corpus lists the known ones."""
    with pytest.raises(ConfigError, match="Did you mean 'text_files'"):
        list_files(DataConfig(corpus="text_file"))


def test_python_source_leaves_out_tests_and_vendored_sets(tmp_path: Path) -> None:
    """Of a further root, too, only its own source remains; a link to a folder is not followed."""
    kept = ("module.py", "package/inner.py", "test.py")
    _write(tmp_path / "mine", *kept, "tests/t.py", "package/test/t.py", "idle_test/t.py", "pip/_vendor/v.py")
    _write(tmp_path / "mine", "ensurepip/_bundled/b.py", "site-packages/s.py", "__pycache__/c.py", "notes.txt")
    (tmp_path / "mine/loop").symlink_to(tmp_path / "mine", target_is_directory=True)
    names = _names(DataConfig(roots=[str(tmp_path / "mine")]))
    assert [name for name in names if name.startswith("mine/")] == [f"mine/{name}" for name in sorted(kept)]
    folders = {part for name in names for part in name.split("/")[:-1]}
    assert folders.isdisjoint({"test", "tests", "idle_test", "site-packages", "_vendor", "_bundled", "__pycache__"})
    assert "stdlib/json/decoder.py" in names
    assert len(names) > 400


def test_python_packages_adds_what_is_installed_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder of installed packages on the import path; of two that hold a file, the first, as imports have it."""
    _write(tmp_path / "a/site-packages", "one/m.py", "one/tests/t.py", "one/data.txt", "one/_vendor/v.py")
    _write(tmp_path / "b/dist-packages", "one/m.py", "two.py")
    _write(tmp_path / "c/elsewhere", "three.py")
    folders = ["a/site-packages", "b/dist-packages", "c/elsewhere", "d/site-packages"]
    monkeypatch.setattr(sys, "path", [str(tmp_path / folder) for folder in folders])
    files = list_files(DataConfig(corpus="python_packages"))
    assert [file.name for file in files if file.name.startswith("packages/")] == [
        "packages/one/m.py",
        "packages/two.py",
    ]
    assert next(file for file in files if file.name == "packages/one/m.py").path.is_relative_to(tmp_path / "a")
    assert "stdlib/json/decoder.py" in {file.name for file in files}


def test_a_root_may_be_an_installed_package() -> None:
    """An import name stands for its folder."""
    assert "yaml/nodes.py" in _names(DataConfig(roots=["yaml"]))


def test_a_root_that_is_nowhere_and_two_roots_of_one_name_are_refused(tmp_path: Path) -> None:
    """Both would make names that mean nothing, or two things."""
    with pytest.raises(DataError, match="neither a folder nor an installed package"):
        list_files(DataConfig(roots=["no_such_package_at_all"]))
    _write(tmp_path, "a/src/m.py", "b/src/m.py")
    with pytest.raises(DataError, match=r"two files are called 'src/m\.py'"):
        list_files(DataConfig(roots=[str(tmp_path / "a/src"), str(tmp_path / "b/src")]))
