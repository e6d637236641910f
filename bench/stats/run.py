"""Run the bench: ``python -m bench.stats.run [--quick]``; writes tables and ``bench/stats.json``, judges the bars."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.stats import fits, table
from bench.stats.designs import measure_noise, measure_typical_noise
from bench.stats.law_multipliers import simulate_law_multipliers
from bench.stats.scaling import NUM_RECORDS, time_analysis
from bench.stats.studies import list_scenarios, simulate

ROOT = Path(__file__).parents[2]
STUDIES = tuple(ROOT / "reports" / name for name in ("2026-11_iso_loss_cpu", "2026-11_iso_loss_quick_cpu"))
MULTIPLIER_DESIGNS = (fits.Design(), fits.Design(grid=(5, 5), num_seeds=3), fits.Design(grid=(4, 6), num_seeds=3))


def main() -> int:
    """Simulate all parts one after the other; return 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few studies, for development; writes nothing")
    options = parser.parse_args()
    num_studies, num_sets, num_multipliers = (200, 20, 30) if options.quick else (4000, 200, 600)
    begin = time.perf_counter()
    typical, raw = measure_typical_noise(STUDIES), measure_noise(STUDIES)
    result: dict[str, Any] = {"noise": {"typical": typical, "with_steps": raw}, "studies": []}
    print("analysis time ...", flush=True)
    result["scaling"] = time_analysis(STUDIES[0], NUM_RECORDS[:3] if options.quick else NUM_RECORDS)
    for scenario in list_scenarios(typical, raw, num_studies):
        print(f"{scenario.pairing}, {scenario.name} ...", flush=True)
        result["studies"].append(simulate(scenario))
    print("laws ...", flush=True)
    result["fits"] = fits.simulate_fits(num_sets, resamples=500)
    result["law_multipliers"] = [
        simulate_law_multipliers(num_multipliers, design, resamples=500) for design in MULTIPLIER_DESIGNS
    ]
    result["seconds"] = time.perf_counter() - begin
    result = table.plain(result)
    result["bars"] = table.judge(result)
    print(table.render(result))
    if not options.quick:
        (ROOT / "bench" / "stats.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
        table.write(ROOT / "bench" / "README.md", result)
    return 0 if all(bar["passed"] for bar in result["bars"]) else 1


if __name__ == "__main__":
    sys.exit(main())
