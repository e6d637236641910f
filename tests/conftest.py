"""Runs of tests lock devices among themselves only: each process of tests has locks of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_device_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("ISOJOULE_LOCK_DIR")
    os.environ["ISOJOULE_LOCK_DIR"] = str(tmp_path_factory.mktemp("locks"))
    yield
    if before is None:
        del os.environ["ISOJOULE_LOCK_DIR"]
    else:
        os.environ["ISOJOULE_LOCK_DIR"] = before
