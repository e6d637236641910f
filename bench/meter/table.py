"""The tables of ``bench/README.md``, between its markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- meter: begin -->", "<!-- meter: end -->"
_HEAD = (
    "| {} | windows | bias | p95 error | covered | interval / p95 | unknown | wrong and unflagged |\n"
    "|---|---|---|---|---|---|---|---|"
)


def write(readme: Path, result: dict[str, Any]) -> None:
    """Replace what stands between the markers of `readme`."""
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{render(result)}\n{END}{rest.partition(END)[2]}")


def render(result: dict[str, Any]) -> str:
    """Return all tables as Markdown."""
    parts = [
        "| bar | figures | |\n|---|---|---|",
        *(f"| {bar['bar']} | {bar['figures']} | {'pass' if bar['passed'] else '**FAIL**'} |" for bar in result["bars"]),
        "",
        _table("tool, counter, length (s)", result["by_length"]),
        _table("2 s and more: tool, counter, generation, waveform", result["by_wave"]),
        _table("2 s and more: tool, GPUs", result["by_gpus"]),
        _table("tool, fault inside the trial", result["faults"]),
        "| call | median (us) | p95 (us) |\n|---|---|---|",
        *(
            f"| {name.replace('_', ' ')} | {v['median_us']:.1f} | {v['p95_us']:.1f} |"
            for name, v in result["costs"]["edges"].items()
        ),
        "",
        "CPU time of the measured process and what it started, per second of a trial: "
        + ", ".join(f"{tool} {share:.1%}" for tool, share in result["cpu_share"].items())
        + ".",
    ]
    return "\n".join(parts)


def _table(title: str, groups: dict[str, dict[str, Any]]) -> str:
    lines = [_HEAD.format(title)]
    for name, s in groups.items():
        cells = [
            _share(s.get("bias"), "+.2%"),
            _share(s.get("p95"), ".2%"),
            _share(s.get("coverage"), ".1%"),
            _share(s.get("width"), ".2f"),
        ]
        lines.append(
            f"| {name.replace(' | ', ', ')} | {s['windows']} | {' | '.join(cells)} | {s['unknown']} | {s['silent']} |"
        )
    return "\n".join([*lines, ""])


def _share(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
