"""Points of laws that are known, for tests only."""

from __future__ import annotations

import numpy as np

from harness.analysis.laws.points import LOSS_OF_COMPUTE, LOSS_OF_SIZE_AND_TOKENS, LawPoints

# Besiroglu et al. (2024), "Chinchilla scaling: a replication attempt": estimates and 95% intervals.
PUBLISHED = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
PUBLISHED_INTERVALS = {
    "E": (1.769, 1.871),
    "A": (285.0, 744.0),
    "alpha": (0.317, 0.373),
    "B": (1042.0, 5810.0),
    "beta": (0.331, 0.415),
}


def law_loss(params, tokens, *, factor=1.0, **changes):
    """Loss under the published law; `factor` multiplies both power terms."""
    law = {**PUBLISHED, **changes}
    return law["E"] + factor * (law["A"] * params ** -law["alpha"] + law["B"] * tokens ** -law["beta"])


def make_points(num=60, *, noise=0.002, seeds=1, seed=0, family=None, flops=False, factor=1.0, **changes):
    """Points spread over budgets and shapes as Chinchilla's were; `seeds` repeats of each."""
    rng = np.random.default_rng(seed)
    budget = 10 ** rng.uniform(18.5, 21.8, num)
    params = np.sqrt(budget / 6 / 10 ** rng.uniform(0.3, 2.3, num))
    params, tokens = np.repeat(params, seeds), np.repeat(budget / 6 / params, seeds)
    loss = law_loss(params, tokens, factor=factor, **changes) * np.exp(noise * rng.standard_normal(num * seeds))
    return LawPoints(
        family=family,
        form=LOSS_OF_SIZE_AND_TOKENS,
        loss=loss,
        params=params,
        tokens=tokens,
        flops=6 * params * tokens if flops else None,
        seeds=tuple(str(i % seeds) for i in range(num * seeds)),
    )


def make_compute_points(
    num=8, *, noise=0.001, seeds=3, seed=0, family=None, multiplier=1.0, irreducible=1.7, scale=200.0, exponent=0.15
):
    """Points of L(C) = E + A (m C)^-alpha on a ladder of budgets."""
    rng = np.random.default_rng(seed)
    flops = np.repeat(np.geomspace(1e17, 1e21, num), seeds)
    loss = irreducible + scale * (multiplier * flops) ** -exponent
    return LawPoints(
        family=family,
        form=LOSS_OF_COMPUTE,
        loss=loss * np.exp(noise * rng.standard_normal(len(flops))),
        flops=flops,
        seeds=tuple(str(i % seeds) for i in range(len(flops))),
    )


def write_csv(path, points, *, family=False, columns=("params", "tokens", "loss")):
    """Write families of points with the columns of `isojoule fit`."""
    lines = [",".join([*(["family"] if family else []), *columns, "seed"])]
    for group in points:
        for i in range(len(group)):
            cells = [repr(float(getattr(group, name)[i])) for name in columns]
            lines.append(",".join([*([group.family] if family else []), *cells, group.seeds[i]]))
    path.write_text("\n".join(lines) + "\n")
    return path
