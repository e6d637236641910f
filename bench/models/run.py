"""Run the bench: ``python -m bench.models.run [--quick]``; writes tables and ``bench/models.json``, judges the bars."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from bench.models import decoding, layer, table, training
from bench.models.stream import measure_bandwidth
from bench.models.timing import Ratio
from harness.run.peak import measure_peak

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Measure all parts one after the other; return 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, for development; writes nothing")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    rounds = 4 if options.quick else 20
    print("bandwidth ...", flush=True)
    result: dict[str, Any] = {"bandwidth_bytes_per_s": measure_bandwidth()}
    result["peak_flops_per_s"] = measure_peak(torch.device("cpu"), torch.float32).flops_per_s
    for name, part in (("layer", layer.measure), ("training", training.measure)):
        print(f"{name} ...", flush=True)
        result[name] = part(rounds)
    print("decoding ...", flush=True)
    result["decoding"] = decoding.measure(max(3, rounds // 3), result["peak_flops_per_s"])
    result["versions"] = {"torch": torch.__version__, "transformers": _transformers_version()}
    result["num_threads"] = torch.get_num_threads()
    result["bars"] = list(table.judge(result))
    print(table.render(result))
    if not options.quick:
        (ROOT / "bench" / "models.json").write_text(json.dumps(plain(result), indent=1) + "\n")
        table.write(ROOT / "bench" / "README.md", result)
    return 0 if all(bar["passed"] for bar in result["bars"]) else 1


def _transformers_version() -> str:
    import transformers

    return str(transformers.__version__)


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it."""
    if isinstance(value, Ratio):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
