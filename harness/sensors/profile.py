"""What a calibration found out about one GPU's readings, kept in a file that later windows use.

One file per device UUID under ``$ISOJOULE_PROFILES``, else ``$XDG_CONFIG_HOME/isojoule/profiles``, else
``~/.config/isojoule/profiles``. A profile tells timing, and how the GPU's own readings agree with each other. It cannot
tell an absolute gain, which takes a meter outside the machine: `SensorInfo.gain_error` stays as documented.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.core.errors import HarnessError, RecordError
from harness.core.plain_json import read_bytes
from harness.core.readings import Finding, SensorInfo
from harness.core.strict import Integer, Real, StrictReader, StrictValue
from harness.sensors.base import Sensor, SensorStatus, status_of

PROFILE_VERSION = 1
AGAIN = "run: isojoule sensors --calibrate"


class ProfileError(HarnessError):
    """A profile that cannot be used, or not be written."""


class Fit(StrictValue, frozen=True):
    """A fitted quantity and the half-width of its 95% interval; a value of ``None`` has its `reason`.

    `half` is ``None`` where the data did not tell an interval.
    """

    value: Real | None
    half: Real | None = None
    reason: str | None = None


class SignalFit(StrictValue, frozen=True, kw_only=True):
    """One power signal. Its value changes every `period_s` to the mean over `window_s`, which ended `delay_s` before.

    `lag_s` is how old a value is on average while it is held: ``delay + (window + period) / 2``. `agreement` holds, for
    each load by name, the counter's energy divided by the integral of the signal.
    """

    name: str
    period_s: Fit
    window_s: Fit
    delay_s: Fit
    lag_s: Fit
    agreement: dict[str, Fit]


class Calibration(StrictValue, frozen=True, kw_only=True):
    """The profile of one GPU; times in seconds, power in watts.

    `read_interval_s` is the typical distance of the reads behind the fits: nothing is known more finely than that.
    `idle_drift_w` is the idle power after the loads minus that before them. `findings` are what a reader must know.
    """

    uuid: str
    device: str
    driver_version: str | None
    date: str
    harness_version: str
    quick: bool
    read_interval_s: Real
    counter_period_s: Fit
    counter_jitter_s: Fit
    idle_w: Fit
    idle_drift_w: Fit
    signals: tuple[SignalFit, ...]
    findings: tuple[Finding, ...] = ()
    schema_version: Integer = PROFILE_VERSION

    def signal(self, name: str | None) -> SignalFit | None:
        """Return the fits of the signal `name` (``instant``, ``average``, ``usage``), ``None`` if there are none."""
        return next((signal for signal in self.signals if signal.name == name), None)


_PROFILE = StrictReader(Calibration)


def find_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder that profiles lie in; it need not exist."""
    environ = os.environ if environ is None else environ
    if environ.get("ISOJOULE_PROFILES"):
        return Path(environ["ISOJOULE_PROFILES"])
    config = environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "isojoule" / "profiles"


def find_file(uuid: str) -> Path:
    """Return where the profile of the device `uuid` lies or would lie."""
    return find_folder() / (re.sub(r"[^A-Za-z0-9._-]", "_", uuid) + ".json")


def save(profile: Calibration) -> Path:
    """Write the profile in place of an older one of the same device; return its file.

    Raises:
        ProfileError: the folder cannot be written.
    """
    path = find_file(profile.uuid)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(_PROFILE.to_json(profile, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except ValueError as error:
        raise ProfileError(f"the profile '{path}' cannot be written ({error})") from error
    except OSError as error:
        raise ProfileError(
            f"the profile '{path}' cannot be written ({error.strerror}); set ISOJOULE_PROFILES to a folder of yours."
        ) from error
    return path


def load(uuid: str, driver_version: str | None) -> Calibration | None:
    """Return the profile of the device `uuid`, or ``None`` where it was never calibrated.

    Raises:
        ProfileError: there is one, and it is not to be used; the message says why.
    """
    path = find_file(uuid)
    try:
        text = read_bytes(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProfileError(f"the profile '{path}' cannot be read ({error.strerror})") from error
    try:
        profile = _PROFILE.read(text, f"the profile '{path}' is not readable")
    except RecordError as error:
        raise ProfileError(str(error)) from error
    if profile.schema_version != PROFILE_VERSION:
        raise ProfileError(f"the profile '{path}' has schema {profile.schema_version}, not {PROFILE_VERSION}")
    if profile.uuid != uuid:
        raise ProfileError(f"the profile '{path}' is of another device, {profile.uuid}")
    if profile.driver_version != driver_version:
        was, now = profile.driver_version or "an unknown one", driver_version or "an unknown one"
        raise ProfileError(f"the profile '{path}' was made with driver {was}, and now it is {now}")
    return profile


def apply(info: SensorInfo, profile: Calibration, signal: str | None) -> SensorInfo:
    """Return `info` with the measured timing of its power `signal` in place of the documented one.

    What the calibration could not tell stays as it was. The gain stays too.
    """
    fitted = profile.signal(signal)
    changes: dict[str, float] = {}
    if fitted is not None:
        found = {"power_period_s": fitted.period_s, "power_window_s": fitted.window_s, "power_delay_s": fitted.delay_s}
        changes = {name: fit.value for name, fit in found.items() if fit.value is not None}
    words = [name.replace("_s", "").replace("_", " ") for name in changes]
    update = profile.counter_period_s if info.method == "counter" else fitted.period_s if fitted else Fit(None)
    if update.value is not None:
        changes["update_period_s"] = update.value
        words.insert(0, "update period")
    if not changes:
        return info
    source = f"{info.source}; {', '.join(words)} from the calibration of {profile.date}"
    return dataclasses.replace(info, source=source, calibrated_on=profile.date, **changes)  # type: ignore[arg-type]


def use_profiles(sensors: Iterable[Sensor]) -> list[SensorStatus]:
    """Put the profiles of this machine into the infos of open sensors.

    Returns one status for each profile that is there and was not used: the sensor works as documented.
    """
    ignored = []
    for sensor in sensors:
        uuid = getattr(sensor, "uuid", "")
        if not uuid or sensor.info.calibrated_on is not None:
            continue
        try:
            profile = load(uuid, getattr(sensor, "driver_version", None))
        except ProfileError as error:
            status = status_of(sensor.info, f"its calibration is not used: {error}")
            ignored.append(dataclasses.replace(status, fix=AGAIN))
            continue
        if profile is not None:
            sensor.info = apply(sensor.info, profile, getattr(sensor, "power_signal", None))
    return ignored
