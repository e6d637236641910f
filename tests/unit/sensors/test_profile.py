"""Profiles: written whole, read back the same, and never used where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.readings import Finding
from harness.sensors.profile import (
    Calibration,
    Fit,
    ProfileError,
    SignalFit,
    apply,
    find_file,
    find_folder,
    load,
    save,
    use_profiles,
)
from harness.sensors.synthetic import SyntheticSensor

UUID, DRIVER = "GPU-1", "550.54"
PROFILE = Calibration(
    uuid=UUID,
    device="NVIDIA Something",
    driver_version=DRIVER,
    date="2026-01-02T03:04:05+00:00",
    harness_version="0.1.0",
    quick=True,
    read_interval_s=0.001,
    counter_period_s=Fit(0.1, 0.001),
    counter_jitter_s=Fit(0.002, 0.001),
    idle_w=Fit(70.0, 0.1),
    idle_drift_w=Fit(None, None, "no idle time after the loads"),
    signals=(
        SignalFit(
            name="usage",
            period_s=Fit(0.08, 0.001),
            window_s=Fit(0.6, 0.01),
            delay_s=Fit(0.02, 0.002),
            lag_s=Fit(0.36, 0.01),
            agreement={"steady": Fit(1.05, 0.001)},
        ),
        SignalFit(
            name="instant",
            period_s=Fit(0.1, 0.001),
            window_s=Fit(None, None, "too few"),
            delay_s=Fit(None, None, "too few"),
            lag_s=Fit(None, None, "too few"),
            agreement={},
        ),
    ),
    findings=(Finding(code="weak_load", severity="warning", text="weak"),),
)


class Card(SyntheticSensor):
    """A sensor that a profile can belong to."""

    def __init__(self, uuid: str = UUID, driver: str = DRIVER, signal: str = "usage") -> None:
        super().__init__()
        self.uuid, self.driver_version, self.power_signal = uuid, driver, signal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOJOULE_PROFILES", str(tmp_path / "profiles"))
    return tmp_path / "profiles"


def test_what_is_saved_is_read_back_and_replaces_the_older_one(folder: Path) -> None:
    assert load(UUID, DRIVER) is None
    path = save(PROFILE)
    assert path.parent == folder
    assert load(UUID, DRIVER) == PROFILE
    save(PROFILE)
    assert [file.name for file in folder.iterdir()] == [f"{UUID}.json"]
    assert json.loads(path.read_text())["idle_drift_w"] == {
        "value": None, "half": None, "reason": "no idle time after the loads",
    }  # fmt: skip


def test_folders_come_in_order_and_a_uuid_cannot_leave_its_folder() -> None:
    assert find_folder({"ISOJOULE_PROFILES": "/a", "XDG_CONFIG_HOME": "/b"}) == Path("/a")
    assert find_folder({"XDG_CONFIG_HOME": "/b"}) == Path("/b/isojoule/profiles")
    assert find_folder({}) == Path.home() / ".config/isojoule/profiles"
    assert find_file("../../etc/x").parent == find_folder()


def test_a_folder_that_cannot_be_written_is_one_clear_line(folder: Path) -> None:
    folder.write_text("a file is in the way")
    with pytest.raises(ProfileError, match="set ISOJOULE_PROFILES"):
        save(PROFILE)


def test_measured_timing_replaces_what_is_documented_and_the_gain_stays() -> None:
    info = Card().info
    new = apply(info, PROFILE, "usage")
    assert (new.power_period_s, new.power_window_s, new.power_delay_s) == (0.08, 0.6, 0.02)
    assert new.calibrated_on == PROFILE.date
    assert PROFILE.date in new.source
    assert "power window" in new.source
    assert new.gain_error == info.gain_error
    part = apply(info, PROFILE, "instant")
    assert (part.power_period_s, part.power_window_s) == (0.1, info.power_window_s)
    assert "power window" not in part.source


def test_a_signal_that_was_not_calibrated_leaves_power_as_documented() -> None:
    info = Card().info
    new = apply(info, PROFILE, "average")
    assert (new.power_period_s, new.power_window_s) == (info.power_period_s, info.power_window_s)


def spoil(text: str, **changes: object) -> str:
    return json.dumps(json.loads(text) | changes)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda text: "", "not readable"),
        (lambda text: text[: len(text) // 2], "not readable"),
        (lambda text: spoil(text, idle_w=5), "idle_w"),
        (lambda text: spoil(text, surprise=1), "surprise"),
        (lambda text: spoil(text, schema_version=99), "schema 99"),
        (lambda text: spoil(text, uuid="GPU-2"), "another device, GPU-2"),
        (lambda text: spoil(text, driver_version="999.1"), "driver 999.1, and now it is 550.54"),
        (lambda text: spoil(text, read_interval_s="fast"), "read_interval_s"),
    ],
)
def test_a_profile_that_does_not_belong_is_ignored_and_said_so(how, says: str) -> None:
    path = save(PROFILE)
    path.write_text(how(path.read_text()))
    card = Card()
    documented = card.info
    (status,) = use_profiles([card])
    assert card.info == documented
    assert status.available
    assert says in status.explain()
    assert "isojoule sensors --calibrate" in status.explain()


def test_a_missing_profile_is_normal_and_a_good_one_is_used_once() -> None:
    card, other = Card(), Card(uuid="GPU-9")
    assert use_profiles([card, other, SyntheticSensor()]) == []
    assert card.info.calibrated_on is None
    save(PROFILE)
    assert use_profiles([card, other]) == []
    assert (card.info.power_window_s, other.info.calibrated_on) == (0.6, None)
    once = card.info
    assert use_profiles([card]) == []
    assert card.info == once
