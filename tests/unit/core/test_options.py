"""Options of a kind: what is refused, and what the line says."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.core.errors import ConfigError
from harness.core.options import NoOptions, build_options, some_of, whole_number


@dataclass(frozen=True, kw_only=True)
class Options:
    """One option of each sort."""

    count: int = whole_number(2, 1, 9)
    signs: str = some_of("+", "+-")
    path: str = ""


def test_given_values_replace_defaults() -> None:
    assert build_options(Options, {"count": 9, "signs": "-+"}, "x") == Options(count=9, signs="-+", path="")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, r"x\.count is 0; give a whole number from 1 to 9"),
        ({"count": True}, r"x\.count is True"),
        ({"count": 2.0}, r"x\.count is 2\.0"),
        ({"count": "2"}, r"x\.count is '2'"),
        ({"signs": ""}, r"one or more of '\+-', each once"),
        ({"signs": "++"}, "each once"),
        ({"signs": "*"}, "each once"),
        ({"path": 3}, r"x\.path is 3; give a text"),
        ({"cuont": 3}, r"x\.cuont is unknown; known: count, signs, path\. Did you mean 'count'\?"),
    ],
)
def test_what_an_option_does_not_take_is_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_options(Options, options, "x")


def test_a_kind_without_options_says_so() -> None:
    with pytest.raises(ConfigError, match="this kind has no options"):
        build_options(NoOptions, {"count": 1}, "x")
