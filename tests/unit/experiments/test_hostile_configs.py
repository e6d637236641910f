"""Configurations from elsewhere: no import path, no environment, no growth; one line each and nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.experiments.compose import compose_app, to_run_config

from harness.core.errors import ConfigError

_HEAD = "# @package _global_\n"
_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("+_target_=os.system", "import"),
        ("+model._target_=os.system", "import"),
        ("hydra.launcher._target_=os.system", "import"),
        ("+hydra.callbacks.x._target_=os.system", "import"),
        ("study=${oc.env:HOME}", "environment"),
        ("sweep.notes=${oc.env:HOME}", "environment"),
        ("study=../../x", "file names"),
        ("arm=a/b", "file names"),
        ("study='a\u202eb'", "file names"),
        ("seed=99999999999999999999999", "64 bits"),
        ("train.learning_rate=nan", "is nan"),
        ("train.budget.flops=inf", "finite"),
        ("train.budget.tokens=-5", "above 0"),
        ("model=../../etc/passwd", "no 'passwd'"),
        ("+nonsense=1", "unknown key 'nonsense'"),
        ("+model.nonsense=1", "unknown key"),
        ("track=[nothing]", "unknown tracking sink"),
        ("study=" + "[" * 2000, "."),
    ],
)
def test_an_override_that_reaches_outside_is_refused_in_one_line(override: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        to_run_config(compose_app([override]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("study: !!python/object/apply:os.system ['touch pwned']\n", "python/object"),
        ("model:\n  _target_: os.system\n", "_target_"),
        ("hydra:\n  launcher:\n    _target_: os.system\n", "_target_"),
        ("study: ${oc.env:HOME}\n", "environment"),
        ("part: oc\nstudy: ${${part}.env:HOME}\n", "."),
        ("study: a\nstudy: b\n", "duplicate key"),
        ("study: " + "[" * 3000 + "]" * 3000 + "\n", "nested too deep"),
        (f"seed: {'9' * 5000}\n", "4300 digits"),
        (f"seed: {'9' * 4000}\n", "64 bits"),
        (_BOMB, "aliases"),
        ("train:\n  learning_rate: .nan\n", "is nan"),
        ("train: 5\n", "."),
    ],
    ids=range(12),
)
def test_a_file_that_reaches_outside_is_refused_in_one_line(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(_HEAD + text)
    with pytest.raises(ConfigError, match=why) as caught:
        to_run_config(compose_app(["experiment=mine"], str(tmp_path / "conf")))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("launcher", ["basic"])
def test_hydras_own_launchers_stay(launcher: str) -> None:
    assert compose_app([f"hydra/launcher={launcher}"]).study == "adhoc"


def test_the_environment_can_be_read_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf

    with pytest.raises(ConfigError):
        compose_app(["study=${oc.env:HOME}"])
    monkeypatch.setenv("ISOJOULE_TEST_VALUE", "seen")
    assert OmegaConf.create({"x": "${oc.env:ISOJOULE_TEST_VALUE}"}).x == "seen"
