"""Shares of different items, set against each other or put together.

For two annotators on the same items see paired.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import hypergeom

from prelabel.estimate import Estimate, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def combined(weights: Sequence[float], shares: Sequence[Estimate]) -> Estimate:
    """Return ``sum_k weights[k] shares[k]`` with its interval; no two shares have items in common.

    The distances from each share to the ends of its own interval are added by the square-root rule
    (MOVER: Zou and Donner 2008); with weights 1 and -1 and Wilson's intervals that is Newcombe's
    (1998, method 10). Shares of weight 0 may be undefined. ``n`` is that of all shares together.
    """
    parts = [(w, one) for w, one in zip(weights, shares, strict=True) if w]
    n = sum(one.n for _, one in parts)
    value = below = above = 0.0
    for weight, one in parts:
        if one.value is None or one.low is None or one.high is None:
            return Estimate(None, n=n, why=one.why)
        down, up = weight * (one.value - one.low), weight * (one.high - one.value)
        if weight < 0:
            down, up = -up, -down
        value, below, above = value + weight * one.value, below + down**2, above + up**2
    least, most = sum(w for w, _ in parts if w < 0), sum(w for w, _ in parts if w > 0)
    return Estimate(value, max(value - sqrt(below), least), min(value + sqrt(above), most), n)


def difference(k: int, n: int, other_k: int, other_n: int, undefined: str = "no items") -> Estimate:
    """Return ``k / n - other_k / other_n`` with Newcombe's interval (1998, method 10)."""
    return combined(
        (1, -1),
        (wilson(k, n, undefined=undefined), wilson(other_k, other_n, undefined=undefined)),
    )


def fisher_midp(k: ArrayLike, n: ArrayLike, other_k: ArrayLike, other_n: ArrayLike) -> Any:
    """Return the two-sided mid-p value of "both shares are the same"; arrays give arrays.

    Fisher's exact test with what was seen counted half (Lydersen, Fagerland and Laake 2009), two
    times the smaller side. 1 where one of the two has no items.
    """
    k, n, other_k, other_n = (np.asarray(x) for x in (k, n, other_k, other_n))
    drawn = (n + other_n, k + other_k, n)
    half = hypergeom.pmf(k, *drawn) / 2
    smaller = np.minimum(hypergeom.cdf(k, *drawn), hypergeom.sf(k - 1, *drawn)) - half
    return np.minimum(2 * np.maximum(smaller, 0), 1.0)[()]
