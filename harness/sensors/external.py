"""A meter outside the machine: a smart plug, a rack PDU or IPMI, asked by HTTP or by a command.

Grade B, gain and update period unknown. A read waits up to `timeout_s`; no number in the answer is an error, never 0.
"""

from __future__ import annotations

import http.client
import json
import math
import shlex
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, cast, get_args

from harness.core.clock import now_s
from harness.core.config import ExternalMeterConfig, SensorConfig
from harness.core.errors import ConfigError, HarnessError, SensorError, did_you_mean
from harness.core.readings import Domain, SensorInfo
from harness.sensors.base import Sensor, SensorStatus, status_of

# Power and energy that are read within this time come from one answer.
ANSWER_HOLDS_S = 0.02
WHOLE_ANSWER = "."
_KEY = "measure.sensor.external"
_MAX_ANSWER_BYTES = 1 << 20
_SHOWN_CHARACTERS = 80


class ExternalSensor(Sensor):
    """One number in watts, one in joules, or both, out of one meter's answer."""

    answer_s: float | None = 0.0

    def __init__(self, config: ExternalMeterConfig) -> None:
        """Check the configuration, raising `ConfigError` that says what to set; the meter is not asked yet."""
        self._config = config
        self._argv = _check(config)
        self._power_path, self._energy_path = config.power_path, config.energy_path
        if not self._power_path and not self._energy_path:
            self._power_path = WHOLE_ANSWER  # a command that prints one number prints watts
        self._lock = threading.Lock()
        self._answer: Any = None
        self._failure: str | None = None
        self._asked_s = -math.inf
        self.info = SensorInfo(
            name="external",
            domain=cast("Domain", config.domain),
            device=config.device,
            device_index=0,
            method="counter" if self._energy_path else "sampled",
            grade="B",
            update_period_s=None,
            source=self._describe(),
        )

    def read_energy_j(self) -> float | None:
        """Return the meter's energy in joules, or ``None`` where no ``energy_path`` is set.

        Raises:
            SensorError: the meter does not answer, or not with a number.
        """
        if not self._energy_path:
            return None
        return self._read("energy_path", self._energy_path) * self._config.energy_scale

    def read_power_w(self) -> float | None:
        """Return the meter's power in watts, or ``None`` where only ``energy_path`` is set.

        Raises:
            SensorError: the meter does not answer, or not with a number that is at least 0.
        """
        if not self._power_path:
            return None
        power_w = self._read("power_path", self._power_path) * self._config.power_scale
        if power_w < 0:
            raise SensorError(f"{self._name()} gave {power_w:g} W; a consumer's power is not below 0 (is it turned?)")
        return power_w

    def _read(self, key: str, path: str) -> float:
        with self._lock:
            if now_s() - self._asked_s > ANSWER_HOLDS_S:
                self._ask()
            if self._failure is not None:
                raise SensorError(f"{self._name()} {self._failure}")
            found = _follow(self._answer, path)
            number = _to_number(found)
        if number is None:
            got = "nothing" if found is None else _shorten(found)
            whole = "" if path == WHOLE_ANSWER else f" at {path} of {_shorten(self._answer)}"
            fix = f"set {_KEY}.{key} to where the number stands (as in Meter.0.Power)"
            raise SensorError(f"{self._name()} gave {got}{whole}, not a number; {fix}")
        return number

    def _ask(self) -> None:
        """Ask the meter and keep its answer or its failure; a failure holds as long, so that one poll waits once."""
        self._answer, self._failure, began_s = None, None, now_s()
        try:
            text = self._run() if self._argv else self._get()
        except (OSError, subprocess.SubprocessError, http.client.HTTPException, UnicodeError) as error:
            self._failure = f"failed: {_explain(error)}"
        else:
            self._answer = _parse(text)
        self.answer_s, self._asked_s = now_s() - began_s, now_s()

    def _get(self) -> str:
        headers = {"Accept": "application/json"}
        request = urllib.request.Request(self._config.url, headers=headers)  # noqa: S310 - http and https only, checked
        with urllib.request.urlopen(request, timeout=self._config.timeout_s) as answer:  # noqa: S310 - the same
            return cast("bytes", answer.read(_MAX_ANSWER_BYTES)).decode()

    def _run(self) -> str:
        done = subprocess.run(
            self._argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=self._config.timeout_s,
            check=False,
            start_new_session=True,  # a Ctrl-C meant for the measured program does not end the meter's answer
        )
        if done.returncode != 0:
            raise OSError(f"exit code {done.returncode}: {_shorten(done.stderr.decode(errors='replace').strip())}")
        return done.stdout.decode()

    def _describe(self) -> str:
        found = [f"{unit} at {path}" for path, unit in ((self._power_path, "W"), (self._energy_path, "J")) if path]
        return f"asked by {'HTTP' if self._config.url else 'command'}, {' and '.join(found)} of the answer"

    def _name(self) -> str:
        return f"external meter {self._config.url or repr(self._config.command)}"


class External:
    """The meter of ``measure.sensor.external``."""

    def __init__(self, config: SensorConfig | None = None) -> None:
        self._config = (config or SensorConfig()).external

    def probe(self) -> list[SensorStatus]:
        """Describe the meter after asking it once, or say which keys would name one."""
        if not (self._config.url or self._config.command):
            fix = f"set {_KEY}.url=http://HOST/PATH and {_KEY}.power_path=KEY.KEY, or {_KEY}.command='PROGRAM ...'"
            return [SensorStatus(name="external", available=False, reason="no meter is configured", fix=fix)]
        try:
            (sensor,) = self.open()
        except HarnessError as error:
            return [SensorStatus(name="external", available=False, device=self._config.device, reason=str(error))]
        return [status_of(sensor.info, reason=sensor.info.source)]

    def open(self) -> list[Sensor]:
        """Open the meter; it has answered once with every number that is asked of it.

        Raises:
            ConfigError: a key is missing or wrong.
            SensorError: the meter does not answer, or not with a number.
        """
        sensor = ExternalSensor(self._config)
        sensor.read_power_w()
        sensor.read_energy_j()
        return [sensor]


def _check(config: ExternalMeterConfig) -> list[str]:
    """Return the command's words, none for a URL, or raise `ConfigError` for the first key that is wrong."""
    if not (config.url or config.command):
        raise ConfigError(f"sensor 'external' has no meter; set {_KEY}.url=http://HOST/PATH or {_KEY}.command='...'.")
    if config.url and config.command:
        raise ConfigError(f"sensor 'external' has a url and a command; set {_KEY}.url= or {_KEY}.command= (empty).")
    if config.url:
        _check_url(config)
    if config.domain not in get_args(Domain):
        hint = did_you_mean(config.domain, get_args(Domain))
        raise ConfigError(f"{_KEY}.domain is '{config.domain}'; it is one of {', '.join(get_args(Domain))}.{hint}")
    for key in ("power_scale", "energy_scale", "timeout_s"):
        value = getattr(config, key)
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{_KEY}.{key} is {value}; it must be a number above 0.")
    try:
        words = shlex.split(config.command)
    except ValueError as error:
        raise ConfigError(f"{_KEY}.command cannot be split into words: {error}.") from error
    if not words and not config.url:
        raise ConfigError(f"{_KEY}.command is blank; set it to a program that prints JSON or a number.")
    return words


def _check_url(config: ExternalMeterConfig) -> None:
    try:
        parts = urllib.parse.urlsplit(config.url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(c.isspace() for c in config.url):
        raise ConfigError(f"{_KEY}.url is '{config.url}'; it must look like http://HOST/PATH.")
    if not config.power_path and not config.energy_path:
        raise ConfigError(
            f"sensor 'external' has no path to a number; set {_KEY}.power_path=Meter.0.Power (watts) or "
            f"{_KEY}.energy_path=... (joules), '{WHOLE_ANSWER}' where the answer is the bare number."
        )


def _parse(text: str) -> Any:
    """Return the JSON value, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


def _follow(value: Any, path: str) -> Any:
    """Return what stands at the dotted `path` (numbers index lists), or ``None``."""
    for part in [] if path == WHOLE_ANSWER else path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _to_number(value: Any) -> float | None:
    """Return a finite number, also out of a string that is one, else ``None``."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _explain(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, (TimeoutError, subprocess.TimeoutExpired)):
        return f"no answer in time; {_KEY}.timeout_s sets how long to wait"
    if isinstance(error, FileNotFoundError):
        return f"there is no program '{error.filename}'; look at {_KEY}.command"
    return str(cause) or type(cause).__name__


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return repr(text) if len(text) <= _SHOWN_CHARACTERS else repr(text[:_SHOWN_CHARACTERS] + "...")
