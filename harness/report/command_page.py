"""The page of one measured command: what it drew, how sure that is, power over time. Self-contained."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import jinja2

from harness import __version__
from harness.report.page import numbers as n
from harness.report.page.render import TEMPLATES, content_policy, page_style
from harness.report.plots.power_trace import power_trace

_DOMAINS = {"gpu": "GPU", "cpu": "CPU", "dram": "Memory", "system": "Whole system"}


def render_command_page(content: Mapping[str, Any], trace: dict[str, Any]) -> str:
    """Return the page for the JSON of ``isojoule measure`` and the meter's trace; everything in it is escaped."""
    readings = content["readings"]
    warning = n.warning_word(n.energy_word(reading["grade"], reading["simulated"]) for reading in readings)
    style = page_style()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("command.html.j2").render(
        command=shlex.join(content["command"]),
        total=n.si(content["energy_j"], "J", "sum over devices", _why_unknown(readings)),
        warning=warning,
        duration=n.seconds(content["duration_s"], "monotonic clock"),
        exit_code=content["exit_code"],
        rows=[_row(reading) for reading in readings],
        findings=content["findings"],
        figure=power_trace(trace, "the command", word=warning.capitalize(), where="the command") or "",
        co2e=content.get("co2e"),
        style=style,
        policy=content_policy(style, ""),
        version=__version__,
    )


def _row(reading: Mapping[str, Any]) -> dict[str, Any]:
    source = f"{reading['sensor']} {reading['domain']} {reading['device_index']}"
    spread_j, gain = reading["uncertainty_j"], reading["gain_error"]
    no_spread = "a model has no timing to bound" if reading["method"] == "modelled" else reading["reason"]
    return {
        "device": f"{_DOMAINS[reading['domain']]} {reading['device_index']}: {reading['device']}",
        "energy": n.si(reading["energy_j"], "J", source, reading["reason"]),
        "spread": n.si(spread_j, "J", source, no_spread),
        "gain": n.percent(gain, source, "not known for this sensor"),
        "mean": n.si(reading["mean_power_w"], "W", source, reading["reason"]),
        "peak": n.si(reading["peak_power_w"], "W", source, "no power was resolved"),
        "net": n.si(reading["net_energy_j"], "J", source, "idle power was not measured (--idle)"),
        "crosscheck": n.si(reading["crosscheck_j"], "J", source, "no second signal"),
        "coverage": n.percent(reading["coverage"], source, "no sample"),
        "samples": n.count(reading["num_samples"], source),
        "method": f"{reading['sensor']}, {reading['method']}",
        "badge": n.grade_badge(reading["grade"], reading["simulated"]),
    }


def _why_unknown(readings: list[Mapping[str, Any]]) -> str:
    reasons = [str(reading["reason"]) for reading in readings if reading["energy_j"] is None]
    return reasons[0] if reasons else "no sensor could be read"
