"""Run the bench of one CUDA card: ``python -m bench.models.gpu [--out DIR] [--tiny]``; judges the bars.

Writes ``DIR/models_gpu.json`` after every part. ``--tiny`` runs everything at toy shapes on any device, to test the
bench itself: nothing is judged, and nothing written without ``--out``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench.models import gpu_parts
from bench.models.run import ROOT, plain
from bench.models.stream import measure_bandwidth
from bench.models.table import make_bar
from harness.run.device import autocast_dtype, resolve_device
from harness.run.peak import peak_of

LEAST_DENSE_MFU = 0.45
LEAST_SPARSE_TO_DENSE = 0.85
LEAST_BANDWIDTH = 0.6
COMPILE_UNTIL_S = 270.0  # no arm is compiled later than this, so that all is done within 8 minutes


def main() -> int:
    """Measure all parts one after the other; return 1 if a bar fails, 2 if there is no card."""
    parser = argparse.ArgumentParser(description="The models on one CUDA card.")
    parser.add_argument("--out", type=Path, help="folder for models_gpu.json (default: bench/)")
    parser.add_argument("--tiny", action="store_true", help="toy shapes on any device; judges nothing")
    options = parser.parse_args()
    if not (options.tiny or torch.cuda.is_available()):
        print("no CUDA device on this machine; give --tiny to try the bench at toy shapes.", file=sys.stderr)
        return 2
    folder = options.out or (None if options.tiny else ROOT / "bench")
    result = measure(gpu_parts.TINY if options.tiny else gpu_parts.FULL, resolve_device("auto"), folder)
    print(render(result))
    return 0 if options.tiny or all(bar["passed"] for bar in result["bars"]) else 1


def measure(sizes: gpu_parts.Sizes, device: torch.device, folder: Path | None) -> dict[str, Any]:
    """Return the results of all parts and the bars; written to `folder` after each part, if there is one."""
    deadline = time.monotonic() + COMPILE_UNTIL_S
    autocast = autocast_dtype("auto", device)
    dtype = autocast or torch.float32
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # as a run does
    peak = peak_of(device, autocast)
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "versions": _versions(),
        "precision": str(dtype).removeprefix("torch."),
        "peak": {"flops_per_s": peak.flops_per_s, "source": peak.source},
        "bandwidth_bytes_per_s": measure_bandwidth(device=str(device), num_bytes=sizes.num_bytes),
    }

    def save(part: str, found: dict[str, Any]) -> None:
        result[part] = found
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "models_gpu.json").write_text(json.dumps(plain(result), indent=1) + "\n")

    print("layers ...", flush=True)
    save("layers", gpu_parts.measure_layers(sizes, device, dtype))
    print("decoding ...", flush=True)
    save("decoding", gpu_parts.measure_decoding(sizes, device, dtype, result["bandwidth_bytes_per_s"]))
    print("training ...", flush=True)
    gpu_parts.measure_training(sizes, device, peak.flops_per_s, deadline, lambda found: save("training", found))
    result["bars"] = list(judge(result))
    save("bars", result["bars"])
    return result


def judge(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each bar; of our arms the best one counts, one that failed counts as 0."""
    for name, row in result["decoding"].items():
        arm, share = _best(row["arms"], "bandwidth_share")
        text = f"decode, {name}, batch 1: at least {LEAST_BANDWIDTH:.0%} of the triad"
        yield make_bar(text, share >= LEAST_BANDWIDTH, f"{share:.0%} ({arm})")
    best = {name: _best(row["arms"], "mfu") for name, row in result["training"].items()}
    arm, dense = best["dense"]
    yield make_bar(
        f"training, dense: MFU at least {LEAST_DENSE_MFU:.0%}", dense >= LEAST_DENSE_MFU, f"{dense:.1%} ({arm})"
    )
    arm, sparse = best["sparse"]
    share = sparse / dense if dense else 0.0
    text = f"training, sparse: MFU at least {LEAST_SPARSE_TO_DENSE} x the dense model's"
    yield make_bar(text, share >= LEAST_SPARSE_TO_DENSE, f"{share:.2f}, {sparse:.1%} ({arm})")


def render(result: dict[str, Any]) -> str:
    """Return one table of all bars and arms, as Markdown."""
    lines = ["| part | arm | figures |", "|---|---|---|"]
    lines += [
        f"| bar | {bar['bar']} | {bar['figures']}: {'pass' if bar['passed'] else '**FAIL**'} |"
        for bar in result["bars"]
    ]
    for name, row in result["layers"].items():
        for arm, seconds in row["median_s"].items():
            to_dense = f", {row['to_dense'][arm]} x dense" if arm in row["to_dense"] else ""
            rate = row["flops_per_s"][arm] / 1e12
            lines.append(f"| layer, {name} | {arm} | {seconds * 1e3:.2f} ms, {rate:.1f} TFLOP/s{to_dense} |")
    for name, row in result["training"].items():
        for arm, found in row["arms"].items():
            figures = f"{found['step_s'] * 1e3:.1f} ms, {found['tokens_per_s']:,.0f} tokens/s, MFU {found['mfu']:.1%}"
            lines.append(f"| training, {name} | {arm} | {figures} |")
    for name, row in result["decoding"].items():
        for arm, found in row["arms"].items():
            figures = f"{found['step_s'] * 1e3:.3f} ms a token, {found['bandwidth_share']:.0%} of the triad"
            lines.append(f"| decode, {name} | {arm} | {figures} |")
    for part in ("layers", "training", "decoding"):
        for name, row in result[part].items():
            lines += [f"| {part}, {name} | {arm} | {error} |" for arm, error in row["failed"].items()]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    bandwidth, peak = result["bandwidth_bytes_per_s"] / 1e9, result["peak"]
    rates = f"triad {bandwidth:,.1f} GB/s; peak {peak['flops_per_s'] / 1e12:,.1f} TFLOP/s ({peak['source']})"
    return "\n".join([*lines, "", f"{result['device']}, {result['precision']}; {rates}; {versions}."])


def _best(arms: dict[str, Any], figure: str) -> tuple[str, float]:
    ours = {arm: found[figure] for arm, found in arms.items() if not arm.startswith("transformers")}
    arm = max(ours, key=lambda name: ours[name], default="no arm ran")
    return arm, ours.get(arm, 0.0)


def _versions() -> dict[str, str]:
    import importlib.metadata

    names = ("torch", "transformers", "triton")
    found = {name: [d.version for d in importlib.metadata.distributions(name=name)] for name in names}
    return {name: versions[0] if versions else "not installed" for name, versions in found.items()}


if __name__ == "__main__":
    sys.exit(main())
