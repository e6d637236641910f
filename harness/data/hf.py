"""Documents of a Hugging Face data set: on their hub, in a folder of ours, or saved by the `datasets` library.

No code of a data set is ever run: the library (4 or later) has no such thing any more, and names are those of the hub
(``namespace/name``), so that none of its own readers can be called by a name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.config import DataConfig
from harness.core.errors import DataError, did_you_mean
from harness.data.corpus import SourceFile
from harness.data.documents import Document
from harness.data.sources import Source, split_of, stamp_files

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_READERS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".txt": "text",
}


def open_hf(config: DataConfig) -> Source:
    """Return the data set `config.name`; nothing is read yet.

    Raises:
        DataError: no name, no such file or folder, or the library is not installed.
    """
    if not config.name:
        raise DataError("data=hf needs data.name=NAMESPACE/NAME of a data set, or of a file or folder here.")
    _import_datasets()
    place = Path(config.name).expanduser()
    try:
        is_here = place.exists()
    except (OSError, ValueError):
        is_here = False
    if is_here:
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        named = [SourceFile(path.relative_to(place).as_posix(), path) for path in files]
        return Source(["here", stamp_files(named)], 0, lambda: _read(config, place.resolve()))
    if not _HUB_NAME.fullmatch(config.name) or ".." in config.name:
        raise DataError(
            f"data.name '{config.name}' is no file or folder here and no name on the hub; give NAMESPACE/NAME "
            "(as in HuggingFaceFW/fineweb-edu) or an existing path."
        )
    return Source(["hub"], 0, lambda: _read(config, None))


def _read(config: DataConfig, place: Path | None) -> Iterator[Document | None]:
    """Yield documents up to the limits, rows that are held out first: of near-duplicates the first one stays."""
    parts = (("test", config.test_split), ("validation", config.validation_split), ("", config.split))
    parted = dataclasses.replace(
        config,
        validation_fraction=0.0 if config.validation_split else config.validation_fraction,
        test_fraction=0.0 if config.test_split else config.test_fraction,
    )
    num_documents = num_bytes = 0
    for split, rows_of in parts:
        if not rows_of:
            continue
        for text in _read_rows(config, place, rows_of):
            if text is None:
                yield None
                continue
            size = len(text.encode())
            if config.max_bytes and num_documents and num_bytes + size > config.max_bytes:
                return
            yield _name(text, split, parted)
            num_documents, num_bytes = num_documents + 1, num_bytes + size
            if num_documents == config.max_documents:
                return


def _name(text: str, split: str, config: DataConfig) -> Document:
    """Return `text` named by its content: copies of it are parted alike, whatever row they stand in."""
    name = hashlib.sha256(text.encode()).hexdigest()
    return Document(name, text, split or split_of(name, config))


def _read_rows(config: DataConfig, place: Path | None, split: str) -> Iterator[str | None]:
    """Yield the text of each row, ``None`` where it has none that is valid Unicode; byte 0 is left out."""
    try:
        for row in _open_rows(config, place, split):
            yield _text_of(row, config.text_field)
    except DataError:
        raise
    except Exception as error:  # the library and what it reads through raise dozens of types
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"the data set '{config.name}' (split '{split}') cannot be read: {text[:300]}; check data.name, "
            "data.config, data.split and data.revision."
        ) from error


def _text_of(row: dict[str, Any], field: str) -> str | None:
    if field not in row:
        columns = ", ".join(f"'{name}'" for name in row)
        raise DataError(
            f"the data set has no column '{field}' but {columns}; give data.text_field.{did_you_mean(field, row)}"
        )
    value = row[field]
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return value.replace("\0", "")


def _open_rows(config: DataConfig, place: Path | None, split: str) -> Any:
    datasets = _import_datasets()
    options: dict[str, Any] = {"split": split, "streaming": config.streaming}
    if place is None:
        revision = config.revision or None
        return datasets.load_dataset(config.name, config.config or None, revision=revision, **options)
    if place.is_dir() and any((place / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return _from_disk(datasets.load_from_disk(str(place)), split)
    if place.is_dir() and config.config:
        return datasets.load_dataset(str(place), config.config, **options)
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    readers = sorted({reader for path in files if (reader := _READERS.get(_suffix(path)))})
    if len(readers) != 1:
        found = "files of several kinds" if readers else "no file"
        raise DataError(f"'{config.name}' holds {found} that data=hf reads ({', '.join(_READERS)}); give one kind.")
    if readers[0] == "text":
        options["sample_by"] = "document"
    if place.is_file():
        _require_train(split)
        return datasets.load_dataset(readers[0], data_files={split: str(place)}, **options)
    return datasets.load_dataset(readers[0], data_dir=str(place), **options)


def _import_datasets() -> Any:
    """Return the library, an extra that is imported only when it is asked for."""
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise DataError("data=hf needs the datasets library: pip install 'isojoule[hf]'.") from error


def _suffix(path: Path) -> str:
    name = path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".xz")
    return Path(name).suffix.lower()


def _require_train(split: str) -> None:
    """Refuse the name of a split where there is one lot of rows only, which goes as ``train``."""
    if split != "train":
        raise DataError(f"the data set has no splits, so none is called '{split}'; leave the split's name out.")


def _from_disk(saved: Any, split: str) -> Any:
    if not isinstance(saved, dict):  # one data set, saved by itself
        _require_train(split)
        return saved
    if split not in saved:
        raise DataError(f"the saved data set has no split '{split}' but {', '.join(map(repr, saved))}.")
    return saved[split]
