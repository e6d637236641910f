"""The fault suite runs for minutes, so only where it is asked for: ``make faults``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.tiny_study import STUDY, run, store_in


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(*STUDY, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert store_in(folder).load_records()[1] == []
    return folder
