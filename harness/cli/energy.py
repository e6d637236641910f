"""The verbs over the meter: ``isojoule measure -- COMMAND`` and ``isojoule sensors [--calibrate]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness.core.config import MeasureConfig
from harness.core.errors import EXIT_OK, ConfigError

_MEASURE_HELP = """\
usage: isojoule measure [--json FILE] [--html FILE] [--interval S] [--idle S] [--country ISO3]
                        [--set KEY=VALUE ...] -- COMMAND [ARGUMENT ...]

Energy of any command: joules per device and domain with grade, method and uncertainty. Everything is written to
standard error; standard output, exit code and signals are the command's.

  --json FILE      write the result as JSON
  --html FILE      write it as a page with the power over time
  --interval S     also print the energy of every S seconds while the command runs
  --idle S         measure S seconds of idleness first and subtract that power (net energy)
  --country ISO3   also estimate CO2e by codecarbon's grid intensity of a country, e.g. DEU (modelled, offline)
  --set KEY=VALUE  a setting of the meter, e.g. sensor.names=[rapl], poll_interval_s=0.02,
                   sensor.external.url=http://plug/rpc/Switch.GetStatus sensor.external.power_path=apower

  isojoule measure -- python train.py
  isojoule measure --json out.json --idle 2 -- ./benchmark --size 3

exit code: the command's; 128 + signal if one killed it; 2 for your mistake
"""


def measure(arguments: Sequence[str]) -> int:
    """Run ``isojoule measure`` with its arguments; return the command's exit code."""
    own, command = _split(arguments)
    if {"-h", "--help"} & set(own):
        print(_MEASURE_HELP, end="")
        return EXIT_OK
    options = _measure_parser().parse_args(own)
    if not command:
        raise ConfigError("measure: no command; write: isojoule measure [OPTIONS] -- COMMAND [ARGUMENT ...]")
    for name in ("interval", "idle"):
        if getattr(options, name) < 0:
            raise ConfigError(f"--{name} is {getattr(options, name):g}; give seconds, 0 or more.")
    for path in (options.json, options.html):
        _require_writable(path)
    from harness.measure.command import measure_command
    from harness.measure.command_format import command_to_json, command_to_text, stretch_to_text
    from harness.run.device_lock import list_holders

    for holder in list_holders():  # told, not waited for: the command may itself be a run
        _tell(f"warning: a measured run is under way on {holder}; its energy is counted too")
    intensity = _find_intensity(options.country)
    result = measure_command(
        command,
        _settings(options.set),
        idle_s=options.idle,
        interval_s=options.interval,
        on_stretch=lambda stretch: _tell(stretch_to_text(stretch)),
    )
    content = command_to_json(result)
    text = command_to_text(result)
    if intensity is not None:
        from harness.sensors.carbon import to_co2e_kg

        emitted_kg = None if result.energy_j is None else to_co2e_kg(result.energy_j, intensity)
        content["co2e"] = {"kg": emitted_kg, "grade": "C", "method": "modelled", "source": intensity.source}
        amount = "unknown" if emitted_kg is None else f"{emitted_kg * 1000:.4g} g"
        text += f"{amount:>16}  CO2e, modelled ({intensity.source})\n"
    _tell(text)
    if options.json is not None:
        options.json.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    if options.html is not None:
        from harness.report.command_page import render_command_page

        options.html.write_text(render_command_page(content, result.trace))
    return result.exit_code


def add_sensors_verb(verbs: Any) -> None:
    """Add ``sensors`` to the parser."""
    sensors = verbs.add_parser("sensors", help="list the sensors of this machine and what reading them costs")
    sensors.add_argument("--json", type=Path, metavar="FILE")
    sensors.add_argument("--no-cost", action="store_true", help="do not measure the sampler's own cost (saves 7 s)")
    sensors.add_argument(
        "--calibrate", action="store_true", help="time each GPU's sensors under known loads (2 min each)"
    )
    sensors.add_argument("--quick", action="store_true", help="with --calibrate: 25 s a GPU, less certain")
    sensors.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the meter")
    sensors.set_defaults(handler=_sensors)


def _sensors(options: argparse.Namespace) -> int:
    if options.calibrate:
        return _calibrate(options)
    if options.quick:
        raise ConfigError("--quick goes with --calibrate; write: isojoule sensors --calibrate --quick")
    from harness.measure.cost import cost_to_text, measure_cost, with_periods
    from harness.sensors.describe import describe_sensors, sensors_to_json, sensors_to_text

    config = _settings(options.set)
    statuses, infos = describe_sensors(config.sensor)
    cost = None if options.no_cost else measure_cost(config)
    if cost is not None:
        infos = with_periods(infos, cost)
    print(sensors_to_text(statuses, infos=infos))
    if cost is not None:
        print("\n" + cost_to_text(cost))
    _write(options.json, sensors_to_json(statuses, infos=infos))
    return EXIT_OK


def _calibrate(options: argparse.Namespace) -> int:
    _require_writable(options.json)
    from harness.run.calibrate import run_calibration
    from harness.run.calibrate_format import calibration_to_json, calibration_to_text

    results = run_calibration(quick=options.quick, tell=_tell)
    print("\n\n".join(calibration_to_text(result) for result in results))
    _write(options.json, [calibration_to_json(result) for result in results])
    return EXIT_OK


def _settings(settings: Sequence[str]) -> MeasureConfig:
    if not settings:
        return MeasureConfig()
    from harness.experiments.settings import read_meter_settings

    return read_meter_settings(settings)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options before the first ``--`` and the command after it."""
    words = list(arguments)
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"measure: {message}; write: isojoule measure [OPTIONS] -- COMMAND [ARGUMENT ...]")


def _measure_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="isojoule measure", add_help=False)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--html", type=Path)
    parser.add_argument("--interval", type=float, default=0.0)
    parser.add_argument("--idle", type=float, default=0.0)
    parser.add_argument("--country")
    parser.add_argument("--set", action="append", default=[])
    return parser


def _find_intensity(country: str | None) -> Any:
    if country is None:
        return None
    from harness.sensors.carbon import find_carbon_intensity

    return find_carbon_intensity(country)


def _require_writable(path: Path | None) -> None:
    """Find out before the command runs that its result can be kept."""
    if path is None:
        return
    try:
        path.touch()
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}.") from error


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write(path: Path | None, content: object) -> None:
    _require_writable(path)
    if path is not None:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
