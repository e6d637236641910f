"""Runs in this process: their cache is a folder of the tests, and torch is left as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    yield
    torch.use_deterministic_algorithms(False)
