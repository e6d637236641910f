"""How workers run is checked with one line and is no part of a run id."""

from __future__ import annotations

import pytest
from harness.experiments.compose import compose_app, to_run_config

from harness.core.errors import ConfigError
from harness.run.identity import identify
from harness.run.options import WorkerOptions, validate_options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"isolation": "warn"}, r"isolation is 'warn'; it is process or spawn or warm. Did you mean 'warm'\?"),
        ({"lock": "never"}, "lock is 'never'; it is wait or fail or off"),
        ({"watchdog_s": -1.0}, "watchdog_s is -1.0; give seconds above 0"),
        ({"watchdog_s": float("nan")}, "watchdog_s is nan"),
    ],
)
def test_what_is_no_option_is_refused_in_one_line(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as refused:
        validate_options(WorkerOptions(**options))
    assert "\n" not in str(refused.value)


def test_a_run_id_knows_nothing_of_its_worker() -> None:
    plain, warm = compose_app([]), compose_app(["isolation=warm", "lock=off", "watchdog_s=5"])
    assert (warm.isolation, warm.lock, warm.watchdog_s) == ("warm", "off", 5.0)
    assert identify(to_run_config(plain)) == identify(to_run_config(warm))
