"""RAPL over a made-up powercap tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import SensorError
from harness.sensors.overlap import domains_to_sum
from harness.sensors.rapl import Rapl

RANGE_UJ = 262_143_328_850


def add_zone(root: Path, name: str, label: str, energy_uj: int, range_uj: int | None = RANGE_UJ) -> Path:
    zone = root / name
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{label}\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    if range_uj is not None:
        (zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return zone


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two packages with DRAM, psys around them, and the zones that would count them twice: core, the MMIO mirror."""
    add_zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    add_zone(tmp_path, "intel-rapl:0:0", "core", 600_000)
    add_zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000)
    add_zone(tmp_path, "intel-rapl:1", "package-1", 3_000_000)
    add_zone(tmp_path, "intel-rapl:1:0", "dram", 4_000_000)
    add_zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    add_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    return tmp_path


def test_packages_dram_and_psys_are_read_once(tree: Path) -> None:
    """Core and the mirror are left out; psys stands in a domain of its own and no total adds it to the packages."""
    sensors = Rapl(tree).open()
    got = {(s.info.domain, s.info.device_index): s.read_energy_j() for s in sensors}
    assert got == {("cpu", 0): 1.0, ("dram", 0): 2.0, ("cpu", 1): 3.0, ("dram", 1): 4.0, ("system", 0): 9.0}
    counted = domains_to_sum([s.info for s in sensors])
    assert sum(s.read_energy_j() or 0 for s, counts in zip(sensors, counted, strict=True) if counts) == 10.0
    assert [s.info.update_period_s for s in sensors if s.info.domain == "system"] == [None]
    assert {s.info.gain_error for s in sensors} == {None}
    assert {(s.info.grade, s.info.method) for s in sensors} == {("A", "counter")}


def test_wraps_are_undone(tmp_path: Path) -> None:
    """Energy goes on over two wraps as if the counter had no range."""
    zone = add_zone(tmp_path, "intel-rapl:0", "package-0", 900_000_000, range_uj=1_000_000_000)
    (sensor,) = Rapl(tmp_path).open()
    readings = []
    for energy_uj in (900_000_000, 100_000_000, 800_000_000, 50_000_000):
        (zone / "energy_uj").write_text(str(energy_uj))
        readings.append(sensor.read_energy_j())
        if energy_uj == 100_000_000:  # stay below half the range per read
            (zone / "energy_uj").write_text("500000000")
            sensor.read_energy_j()
    assert readings == [900.0, 1100.0, 1800.0, 2050.0]


@pytest.mark.parametrize(("range_uj", "before"), [(None, 900_000_000), (1_000_000_000, 300_000_000)])
def test_a_reset_is_not_taken_for_a_wrap(tmp_path: Path, range_uj: int | None, before: int) -> None:
    """Without a range, or where the wrap would imply most of it, the fall shows and no energy is invented."""
    zone = add_zone(tmp_path, "intel-rapl:0", "package-0", before, range_uj=range_uj)
    (sensor,) = Rapl(tmp_path).open()
    sensor.read_energy_j()
    (zone / "energy_uj").write_text("1000000")
    assert sensor.read_energy_j() == 1.0


def test_no_permission_names_the_file_and_the_fix(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user learns what to type."""
    real = Path.read_text

    def read_text(path: Path, *args: object, **kwargs: object) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", read_text)
    statuses = Rapl(tree).probe()
    assert not any(s.available for s in statuses)
    assert "permission" in (statuses[0].reason or "")
    with pytest.raises(SensorError, match=r"sudo chmod a\+r .*intel-rapl:0/energy_uj"):
        Rapl(tree).open()


def test_one_unreadable_zone_leaves_the_others(tree: Path) -> None:
    """A zone with rubbish in it is reported, the rest is opened."""
    (tree / "intel-rapl:1" / "energy_uj").write_text("rubbish")
    assert [(s.device, s.domain) for s in Rapl(tree).probe() if not s.available] == [("package-1", "cpu")]
    assert len(Rapl(tree).open()) == 4


def test_psys_that_the_board_does_not_feed_is_left_out(tree: Path) -> None:
    """A platform counter that stands at 0 is no reading of 0 joules."""
    (tree / "intel-rapl:2" / "energy_uj").write_text("0\n")
    assert {s.info.domain for s in Rapl(tree).open()} == {"cpu", "dram"}
    assert all(status.available for status in Rapl(tree).probe())


def test_a_read_that_fails_later_raises(tmp_path: Path) -> None:
    """A vanished file is an error of this read, not zero joules."""
    zone = add_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    (sensor,) = Rapl(tmp_path).open()
    (zone / "energy_uj").unlink()
    with pytest.raises(SensorError, match="energy_uj"):
        sensor.read_energy_j()


def test_no_zone_says_so(tmp_path: Path) -> None:
    """A machine without RAPL gives one line with the usual cause."""
    (status,) = Rapl(tmp_path).probe()
    assert not status.available
    with pytest.raises(SensorError, match="virtual machines"):
        Rapl(tmp_path).open()
