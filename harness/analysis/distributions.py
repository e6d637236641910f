"""Quantiles and tails of the normal, t, chi-square and F distributions, out of `scipy.special`.

The same digits as `scipy.stats` gives, whose import alone takes a second of every command that judges anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped, unused-ignore]


def normal_quantile(share: float) -> float:
    """Return the standard normal value that `share` of the distribution lies below."""
    return float(special.ndtri(share))


def t_quantile(share: float, degrees: float) -> float:
    """Return the value that `share` of Student's t with so many `degrees` of freedom lies below."""
    return float(special.stdtrit(degrees, share))


def t_tail(value: float, degrees: float) -> float:
    """Return the chance that Student's t with so many `degrees` of freedom exceeds `value`."""
    return float(special.stdtr(degrees, -value))


def chi2_quantiles(shares: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Return the values that `shares` (any shape) of chi-square with so many `degrees` of freedom lie below."""
    return np.asarray(2 * special.gammaincinv(degrees / 2, shares), dtype=np.float64)


def f_tail(value: float, above: float, below: float) -> float:
    """Return the chance that F with `above` and `below` degrees of freedom exceeds `value`."""
    return float(special.fdtrc(above, below, value))
