"""Quantiles and tails are those of `scipy.stats`, to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.analysis.distributions import chi2_quantiles, f_tail, normal_quantile, t_quantile, t_tail

SHARES = (1e-9, 0.005, 0.025, 0.05, 0.2, 0.5, 0.8, 0.95, 0.975, 0.9999)
DEGREES = (1, 2, 3, 7.3, 40, 9999)


@pytest.mark.parametrize("share", SHARES)
def test_quantiles_are_those_of_scipy(share):
    assert normal_quantile(share) == float(stats.norm.ppf(share))
    assert -normal_quantile(share) == float(stats.norm.isf(share))
    for degrees in DEGREES:
        assert t_quantile(share, degrees) == float(stats.t.ppf(share, degrees))
        assert -t_quantile(share, degrees) == float(stats.t.isf(share, degrees))


@pytest.mark.parametrize("degrees", DEGREES)
def test_tails_and_arrays_are_those_of_scipy(degrees):
    shares = np.array(SHARES)
    assert chi2_quantiles(shares, degrees).tolist() == stats.chi2.ppf(shares, degrees).tolist()
    for value in (-3.0, -0.1, 0.0, 0.5, 2.0, 40.0):
        assert t_tail(value, degrees) == float(stats.t.sf(value, degrees))
        assert f_tail(abs(value), 3, degrees) == float(stats.f.sf(abs(value), 3, degrees))


def test_no_degree_of_freedom_is_no_number_as_in_scipy():
    assert np.isnan(t_quantile(0.975, 0))
    assert np.isnan(stats.t.ppf(0.975, 0))
