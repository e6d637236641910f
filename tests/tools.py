"""Outside programs and modules that some tests need."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest

REQUIRE_VARIABLE = "ISOJOULE_REQUIRE_TOOLS"


def require_tool(name: str) -> str:
    """Return the path of program `name`; skip the test without it, or fail where ISOJOULE_REQUIRE_TOOLS=1."""
    path = shutil.which(name)
    if path is not None:
        return path
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"'{name}' is not installed, and {REQUIRE_VARIABLE}=1 asks for it")
    pytest.skip(f"'{name}' is not installed")


def require_module(name: str) -> None:
    """Skip the test where the Python module `name` is not installed, or fail where ISOJOULE_REQUIRE_TOOLS=1."""
    if importlib.util.find_spec(name) is not None:
        return
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"the module '{name}' is not installed, and {REQUIRE_VARIABLE}=1 asks for it")
    pytest.skip(f"the module '{name}' is not installed")
