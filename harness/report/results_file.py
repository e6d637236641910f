"""The results of a study as they stand in ``verdicts.json`` beside its page."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any


class ResultsFile:
    """What ``verdicts.json`` holds: plain data, and its text, which is made once."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content

    @functools.cached_property
    def text(self) -> str:
        """The content as JSON."""
        return results_to_text(self.content)


def results_to_text(results: object) -> str:
    """Return results as they stand in ``verdicts.json``."""
    return json.dumps(results, indent=1, sort_keys=True, allow_nan=False) + "\n"
