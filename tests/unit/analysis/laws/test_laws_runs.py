"""Runs beside their law: the residuals are the fit's own, lines stay inside what was run, the band is the seeds'."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analysis.laws.matched import fit_matched
from harness.analysis.laws.runs import draw_lines, estimate_seed_band, fit_runs
from tests.unit.analysis.laws.test_laws_matched import match_of


def test_runs_lines_and_band_follow_from_the_fit():
    match = match_of(lambda n, d, arm: 1.0 + 60 * n**-0.3 + 60 * d**-0.3)
    (law, _) = fit_matched(match, 50).study.families
    runs = fit_runs(law.fit, match.points)
    assert len(runs) == len(law.fit.points)
    assert sorted(run.log_residual for run in runs) == pytest.approx(sorted(law.fit.residuals), abs=1e-9)
    for line in draw_lines(law.fit, runs):
        own = [run for run in runs if run.size == line.size]
        assert min(line.flops) == pytest.approx(min(run.flops for run in own))
        assert max(line.flops) == pytest.approx(max(run.flops for run in own))
        assert line.losses[0] == pytest.approx(own[0].fitted)
        assert np.all(np.diff(line.losses) < 0)
    noise = law.diagnostics.lack_of_fit.seed_noise
    band = estimate_seed_band(law.fit, noise)
    assert 1.96 * noise < band < 2.2 * noise
    inside = sum(abs(run.log_residual) <= band for run in runs)
    assert inside >= 0.85 * len(runs)
    assert estimate_seed_band(law.fit, None) is None
