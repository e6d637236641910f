"""The external meter over a real HTTP server and real commands."""

from __future__ import annotations

import contextlib
import http.server
import json
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.core.config import ExternalMeterConfig, SensorConfig
from harness.core.errors import ConfigError, SensorError
from harness.sensors import external
from harness.sensors.base import Sensor
from harness.sensors.external import External, ExternalSensor


class Plug:
    """A smart plug on this machine: `body` is what it answers, `num_asked` how often it was asked."""

    def __init__(self) -> None:
        self.body: bytes = b"{}"
        self.status = 200
        self.delay_s = 0.0
        self.num_asked = 0
        plug = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                plug.num_asked += 1
                time.sleep(plug.delay_s)
                with contextlib.suppress(BrokenPipeError):  # who asked did not wait for it
                    self.send_response(plug.status)
                    self.end_headers()
                    self.wfile.write(plug.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/status?cmd=8"

    def answers(self, value: Any) -> None:
        self.body = json.dumps(value).encode()


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    plug = Plug()
    thread = threading.Thread(target=plug.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield plug
    plug.server.shutdown()
    thread.join()
    plug.server.server_close()


def open_one(**fields: Any) -> Sensor:
    (sensor,) = External(SensorConfig(external=ExternalMeterConfig(**fields))).open()
    return sensor


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def test_power_and_energy_come_from_one_answer(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both numbers are scaled to SI; one poll asks the meter once, the next poll asks again."""
    plug.answers({"Meter": [{"Power": 0.25, "Total": "2.5"}]})
    clock = [100.0]
    monkeypatch.setattr(external, "now_s", lambda: clock[0])
    paths = {"power_path": "Meter.0.Power", "energy_path": "Meter.0.Total"}
    sensor = open_one(url=plug.url, power_scale=1000, energy_scale=3600, **paths)
    assert plug.num_asked == 1
    clock[0] += 1
    assert (sensor.read_power_w(), sensor.read_energy_j()) == (250.0, 9000.0)
    assert plug.num_asked == 2
    info = sensor.info
    assert (info.method, info.grade, info.domain, info.update_period_s) == ("counter", "B", "system", None)
    assert info.gain_error is None
    assert not info.simulated


def test_power_alone_is_sampled(plug: Plug) -> None:
    """Without a path to joules there is no counter, and the domain is the configured one."""
    plug.answers({"apower": 61})
    sensor = open_one(url=plug.url, power_path="apower", domain="gpu", device="bench supply")
    assert (sensor.read_power_w(), sensor.read_energy_j()) == (61.0, None)
    assert (sensor.info.method, sensor.info.domain, sensor.info.device) == ("sampled", "gpu", "bench supply")


def test_energy_alone_is_a_counter(plug: Plug) -> None:
    """A meter that only counts has no power."""
    plug.answers([5])
    sensor = open_one(url=plug.url, energy_path="0")
    assert (sensor.read_power_w(), sensor.read_energy_j()) == (None, 5.0)


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b'{"W": "off"}', "'off' at W"),
        (b'{"W": NaN}', "'NaN' at W"),
        (b'{"W": "inf"}', "'inf' at W"),
        (b'{"W": true}', "'true' at W"),
        (b'{"W": null}', "nothing at W"),
        (b'{"W": [1]}', r"'\[1\]' at W"),
        (b'{"V": 230}', "nothing at W"),
        (b"<html>sign in</html>", "sign in"),
        (b"", "nothing at W"),
        (b"12", "nothing at W"),
        (b'{"W": ' + b"9" * 400 + b"}", "9999"),
        (b'{"W": -4}', "-4 W"),
        (b"\xff\xfe", "failed"),
    ],
)
def test_an_answer_without_the_number_is_an_error(plug: Plug, body: bytes, got: str) -> None:
    """Whatever the meter says in place of a number, it is never 0 watts; the line names the meter and the answer."""
    plug.body = body
    with pytest.raises(SensorError, match=got) as raised:
        open_one(url=plug.url, power_path="W")
    assert plug.url in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_meter_that_fails_later_recovers(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP errors and silence fail the read; one poll of a silent meter waits once, and the next read asks again."""
    monkeypatch.setattr(external, "ANSWER_HOLDS_S", 0.5)
    plug.answers({"W": 5, "J": 7})
    sensor = open_one(url=plug.url, power_path="W", energy_path="J", timeout_s=1.0)
    monkeypatch.setattr(sensor, "_asked_s", 0.0)
    plug.status = 503
    with pytest.raises(SensorError, match="HTTP 503"):
        sensor.read_power_w()
    asked = plug.num_asked
    with pytest.raises(SensorError, match="HTTP 503"):
        sensor.read_energy_j()
    assert plug.num_asked == asked
    monkeypatch.setattr(sensor, "_asked_s", 0.0)
    plug.status, plug.delay_s = 200, 4.0
    with pytest.raises(SensorError, match=r"measure\.sensor\.external\.timeout_s"):
        sensor.read_power_w()
    monkeypatch.setattr(sensor, "_asked_s", 0.0)
    plug.delay_s = 0.0
    assert sensor.read_power_w() == 5.0


def test_nobody_at_the_address() -> None:
    """A refused connection names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(SensorError, match=f"127.0.0.1:{port}/ failed"):
        open_one(url=f"http://127.0.0.1:{port}/", power_path="W")


@pytest.mark.parametrize("text", ["12.5", "12.5\\n", '{"a": 12.5}'])
def test_a_command_prints_json_or_a_number(text: str) -> None:
    """A bare number is watts, JSON is followed by the path."""
    path = "a" if text.startswith("{") else ""
    assert open_one(command=python(f"print('{text}')"), power_path=path, timeout_s=20).read_power_w() == 12.5


def test_a_bare_number_may_be_joules() -> None:
    """The path '.' stands for the whole answer."""
    sensor = open_one(command=python("print(3)"), energy_path=".", energy_scale=3600)
    assert (sensor.read_power_w(), sensor.read_energy_j(), sensor.info.method) == (None, 10800.0, "counter")


def test_a_command_is_not_given_to_a_shell() -> None:
    """Shell syntax is just words."""
    assert open_one(command=python("import sys; print(len(sys.argv))") + " '$(echo 1 2)' ; |").read_power_w() == 4.0


@pytest.mark.parametrize(
    ("command", "timeout_s", "got"),
    [
        (python("import sys; sys.exit('no such sensor')"), 20, "exit code 1: 'no such sensor'"),
        (python("print('a', 1)"), 20, "gave 'a 1', not a number"),
        (python("pass"), 20, "gave '', not a number"),
        (python("import time; time.sleep(60)"), 0.3, "no answer in time"),
        ("no-such-program-here --watts", 20, "there is no program 'no-such-program-here'"),
    ],
)
def test_a_failing_command_is_an_error(command: str, timeout_s: float, got: str) -> None:
    """Every way to fail says what the command was and what came of it."""
    with pytest.raises(SensorError, match=got) as raised:
        open_one(command=command, timeout_s=timeout_s)
    assert shlex.split(command)[0] in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, r"set measure\.sensor\.external\.url=http"),
        ({"url": "http://plug/", "command": "x"}, r"set measure\.sensor\.external\.url= or"),
        ({"url": "http://plug/"}, r"set measure\.sensor\.external\.power_path="),
        ({"url": "plug/status", "power_path": "W"}, r"must look like http://HOST/PATH"),
        ({"url": "file:///etc/passwd", "power_path": "W"}, r"must look like http://HOST/PATH"),
        ({"url": "http://plug:port/", "power_path": "W"}, r"must look like http://HOST/PATH"),
        ({"command": "meter 'x"}, r"external\.command cannot be split"),
        ({"command": "  "}, r"external\.command is blank"),
        ({"command": "x", "domain": "gpus"}, r"external\.domain is 'gpus'.*Did you mean 'gpu'"),
        ({"command": "x", "power_scale": 0.0}, r"external\.power_scale is 0"),
        ({"command": "x", "timeout_s": -1.0}, r"external\.timeout_s is -1"),
    ],
)
def test_mistakes_name_the_key(fields: dict[str, Any], says: str) -> None:
    """A wrong configuration is found before any meter is asked."""
    with pytest.raises(ConfigError, match=says):
        ExternalSensor(ExternalMeterConfig(**fields))


def test_probe_says_what_is_there_or_what_to_set(plug: Plug) -> None:
    """The list never raises: no meter, a wrong key, a dead meter, a live one."""
    (status,) = External().probe()
    assert (status.available, status.reason) == (False, "no meter is configured")
    assert "measure.sensor.external.url=" in (status.fix or "")
    (status,) = External(SensorConfig(external=ExternalMeterConfig(url=plug.url))).probe()
    assert not status.available
    assert "power_path" in (status.reason or "")
    plug.answers({"W": 3})
    (status,) = External(SensorConfig(external=ExternalMeterConfig(url=plug.url, power_path="W"))).probe()
    assert (status.available, status.grade, status.domain) == (True, "B", "system")
