"""The bars of the models' bench and the tables of ``bench/README.md``, between its markers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.models import decoding, layer, training

BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"


def judge(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each bar with its figures; the ratio itself is held against the bar, its interval is shown."""
    for name, (most, least) in layer.BARS.items():
        row = result["layer"][name]
        yield make_bar(
            f"layer, {name}: at most {most} x the dense layer",
            row["to_dense"].value <= most,
            f"{row['to_dense']}; one thread {row['to_dense_one_thread']}",
        )
        yield make_bar(
            f"layer, {name}: at least {least} x as fast as transformers' block",
            row["speedup"].value >= least,
            row["speedup"],
        )
    for name, row in result["training"].items():
        least = training.BARS[name.split(",")[0]]
        yield make_bar(
            f"training, {name}: at least {least} x transformers' tokens/s",
            row["speedup"].value >= least,
            f"{row['speedup']}, {row['ours']} against {row['peer']}; as they come {row['speedup_as_they_come']}",
        )
    for name, row in result["decoding"].items():
        least = decoding.BARS[name.split()[0]]
        yield make_bar(
            f"decode, {name}: at least {least} x generate's tokens/s",
            row["speedup"].value >= least,
            f"{row['speedup']}, {row['ours']} against {row['peer']}; as they come {row['speedup_as_they_come']}",
        )
        if "bandwidth_share" in row:
            share = row["bandwidth_share"]
            yield make_bar(
                f"decode, {name}: at least {decoding.LEAST_BANDWIDTH:.0%} of STREAM",
                share >= decoding.LEAST_BANDWIDTH,
                f"{', '.join(f'{value:.0%} {arm}' for arm, value in row['bandwidth_shares'].items())}; "
                f"the FLOPs of a step alone allow {row['share_at_peak_flops']:.0%}",
            )


def write(readme: Path, result: dict[str, Any]) -> None:
    """Replace what stands between the markers of `readme`."""
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{render(result)}\n{END}{rest.partition(END)[2]}")


def render(result: dict[str, Any]) -> str:
    """Return all tables as Markdown."""
    lines = ["| bar | ratio (95% interval) | |", "|---|---|---|"]
    lines += [
        f"| {bar['bar']} | {bar['figures']} | {'pass' if bar['passed'] else '**FAIL**'} |" for bar in result["bars"]
    ]
    lines += ["", "| layer, forward and backward | arm | median (ms) |", "|---|---|---|"]
    for name, row in result["layer"].items():
        lines += [f"| {name} | {arm} | {seconds * 1e3:.1f} |" for arm, seconds in row["median_s"].items()]
    for part in ("training", "decoding"):
        lines += ["", f"| {part} | arm | tokens/s |", "|---|---|---|"]
        for name, row in result[part].items():
            lines += [f"| {name} | {arm} | {rate:,.0f} |" for arm, rate in row["tokens_per_s"].items()]
    lines += [
        "",
        (
            f"Memory (STREAM triad): {result['bandwidth_bytes_per_s'] / 1e9:.1f} GB/s; large product: "
            f"{result['peak_flops_per_s'] / 1e9:.0f} GFLOP/s; {result['num_threads']} threads; "
        ),
    ]
    lines[-1] += ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + "."
    return "\n".join(lines)


def make_bar(text: str, passed: bool, figures: object) -> dict[str, Any]:
    """Return one bar as the tables show it."""
    return {"bar": text, "passed": bool(passed), "figures": str(figures)}
