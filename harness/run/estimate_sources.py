"""Where estimates come from: the runs of this store, and where those do not tell, of the stores beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.core.config import RunConfig
from harness.run.estimate import THIS_STORE, Estimator, Pool, RunToCome
from harness.run.run_figures import DeviceKey, RunFigures, load_figures

# Stores beside this one that are read, the newest first.
MAX_STORES = 5


def describe_machine(configs: Iterable[RunConfig]) -> DeviceKey | None:
    """Return what these runs go to on this machine, ``None`` where they differ in device or threads."""
    wanted = {(config.device, config.num_threads or os.cpu_count() or 1) for config in configs}
    if len(wanted) != 1:
        return None
    from harness.run.device import resolve_device  # noqa: PLC0415 - brings torch in, only when needed
    from harness.run.environment import describe_environment  # noqa: PLC0415 - the same

    (name, num_threads) = wanted.pop()
    found = describe_environment(resolve_device(name))
    return DeviceKey(found.device, found.device_name, found.num_cpus, num_threads)


def build_estimator(
    root: Path, figures: Sequence[RunFigures], device: DeviceKey | None, runs: Sequence[RunToCome]
) -> Estimator:
    """Return an estimator from `figures` of the store at `root`; others are read only if `runs` need them.

    Beside it are the stores in the same folder, the newest five; a record that cannot be read says nothing.
    """
    alone = Estimator(Pool(THIS_STORE, figures, device))
    found = [alone.estimate(run) for run in runs]
    if device is None or all(one.seconds is not None and not one.is_rough for one in found):
        return alone
    beside = []
    for store in _stores_beside(root):
        pool = Pool(str(store), load_figures(store)[0], device)
        if pool.figures:
            beside.append(pool)
    return Estimator(alone.store, beside)


def _stores_beside(root: Path) -> list[Path]:
    """Return other stores in the folder that `root` stands in, the newest first."""
    here = root.resolve()
    dated = []
    for records in root.parent.glob("*/records"):
        if records.parent.resolve() == here:
            continue
        try:
            dated.append((records.stat().st_mtime, records.parent))
        except OSError:
            continue
    return [path for _, path in sorted(dated, reverse=True)[:MAX_STORES]]
