"""The exact tests behind "accept with a guarantee": how many wrong gold items are still few enough.

``wrong`` of ``tested`` gold items that would be accepted are wrong. Counts are integers and the
binomial is exact: no normal approximation, no rounding of a rate back to a count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, betaincinv, ndtri
from scipy.stats import hypergeom

from prelabel.errors import InputError
from prelabel.estimate import FloatArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MOST_GOLD = 100_000
"""No plan asks for more gold items than this."""

GRID = 50
"""Thresholds are tried at every 1/50 of the pool."""

MOST_WRONG_AT_START = 6
"""A start with room for more wrong items begins too far down where scores separate little."""

SLACK = 0.5
"""Standard deviations by which more gold is hoped for at the start than is needed there."""


def need(wrong: int, target: float, delta: float) -> int:
    """Return how many gold items show an error of at most ``target`` if ``wrong`` are wrong.

    The smallest n with BinomCDF(wrong; n, target) <= delta. Raises InputError unless target and
    delta are shares between 0 and 1 and ``wrong`` is 0 or more.
    """
    check_levels(target, delta)
    if wrong < 0:
        raise InputError(f"promise: wrong items must be 0 or more, got {wrong}")
    return int(_needs(np.array([wrong]), target, delta)[0])


def power(target: float, true_error: float, delta: float, power: float = 0.8) -> int:
    """Return the gold items in the accepted region that certify ``target`` with that ``power``.

    The first n at which, with the error rate truly ``true_error``, the exact binomial test passes
    with probability ``power``. Raises InputError unless ``0 <= true_error < target``, and where it
    would take more than 100,000.
    """
    check_levels(target, delta)
    if not 0 <= true_error < target:
        raise InputError(
            f"promise: the error must be below the target {target:g} to certify it, "
            f"got {true_error:g}"
        )
    if not 0 < power < 1:
        raise InputError(f"promise: power must be a share between 0 and 1, got {power:g}")
    # the chance to pass is highest where one more wrong item has just become tolerable
    for first in range(0, MOST_GOLD, 64):
        wrong = np.arange(first, first + 64)
        items = _needs(wrong, target, delta)
        enough = items[bdtr(wrong, items, true_error) >= power]
        if len(enough) and enough[0] <= MOST_GOLD:
            return int(enough[0])
        if items[-1] > MOST_GOLD:
            break
    raise InputError(
        f"promise: to tell an error of {true_error:g} from {target:g} takes more than "
        f"{MOST_GOLD:,} gold items; set a higher target"
    )


def _needs(wrong: IntArray, target: float, delta: float) -> IntArray:
    low, high = wrong.copy(), wrong + 1  # n = wrong never passes
    while (few := bdtr(wrong, high, target) > delta).any():
        low, high = np.where(few, high, low), np.where(few, 2 * high, high)
    while (high - low).max() > 1:
        middle = (low + high) // 2
        few = (middle == low) | (bdtr(wrong, middle, target) > delta)
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return high


def binomial_p(wrong: ArrayLike, tested: ArrayLike, target: float) -> FloatArray:
    """Return BinomCDF(wrong; tested, target), the p-value of "the error is above the target"."""
    k, n = np.asarray(wrong), np.asarray(tested)
    return np.where(k < n, bdtr(np.minimum(k, np.maximum(n - 1, 0)), np.maximum(n, 1), target), 1.0)


def upper(wrong: ArrayLike, tested: ArrayLike, delta: ArrayLike) -> FloatArray:
    """Return the one-sided upper bound of an error rate at level 1 - delta; 1 where nothing is.

    Clopper and Pearson 1934. Counts may be fractions (expected ones, in plans).
    """
    k, n = np.asarray(wrong, dtype=np.float64), np.asarray(tested, dtype=np.float64)
    right = np.maximum(n - k, 0)
    bound = betaincinv(k + 1, np.maximum(right, 1e-9), 1 - np.asarray(delta))
    return np.where(right > 0, bound, 1.0)


def loss_p(wrong: ArrayLike, gold: int, target: float, pool_size: int | None = None) -> FloatArray:
    """Return the p-value of "more than ``target`` of all items are accepted and wrong".

    The chance of ``wrong`` or fewer such items among all ``gold``: binomial; hypergeometric where
    gold was drawn from a pool of ``pool_size`` items, which is what the promise is about.
    """
    if pool_size is None:
        return np.asarray(bdtr(wrong, gold, target), dtype=np.float64)
    least_wrong = int(target * pool_size + 1e-9) + 1  # 0.29 x 100 is 28.999…
    return np.asarray(hypergeom.cdf(wrong, pool_size, least_wrong, gold), dtype=np.float64)


def most_wrong(gold: int, target: float, delta: float, pool_size: int | None = None) -> int:
    """Return the most wrong items with which `loss_p` is at most delta; -1 where none are."""
    counts = range(gold + 1)
    return bisect_right(counts, delta, key=lambda k: float(loss_p(k, gold, target, pool_size))) - 1


def start_coverage(coverages: Sequence[float]) -> float:
    """Return the coverage to start from; infinite where gold is too small for any start.

    ``coverages[k]`` is the least share of items at which gold, as many as it is, may be expected
    to pass with k wrong. The more room the surer the first test passes, but the deeper it begins:
    the largest k up to 6 that starts at a third of the items or less; else 1 if at half; else 0.
    Nothing here has seen a gold label.
    """
    roomy = [share for share in coverages[1 : MOST_WRONG_AT_START + 1] if share <= 1 / 3]
    if roomy:
        return roomy[-1]
    return coverages[1] if coverages[1] <= 1 / 2 else coverages[0]


def start_of(
    gold: int, shares: FloatArray, coverages: FloatArray, target: float, delta: float
) -> float:
    """Return the coverage to start from, of those to be tried in order; infinite if of none.

    ``shares`` are the shares of gold to be expected at each: the coverages themselves if gold was
    drawn from all items alike.
    """
    hoped = gold * shares
    sure = hoped - SLACK * np.sqrt(hoped * np.maximum(1 - shares, 0))
    items = _needs(np.arange(MOST_WRONG_AT_START + 1), target, delta)
    return start_coverage([first(coverages, sure >= n - 1e-9) for n in items.tolist()])


def first(coverages: FloatArray, enough: BoolArray) -> float:
    """Return the first coverage at which there is enough; infinity if there is at none."""
    return float(coverages[enough.argmax()]) if enough.any() else inf


def gold_for(
    target: float, delta: float, coverages: FloatArray, tested: ArrayLike, wrong: ArrayLike
) -> int | None:
    """Return how many gold items in all would do if errors stay as seen; None if none would.

    For each region, given by its share of items and its gold: as many as certify the target with
    power .8 at the error rate seen (half a wrong item added), but as many as with one wrong at
    least; divided by the region's share of items. Told is the region where that is least.
    """
    n, k = np.asarray(tested, dtype=np.float64), np.asarray(wrong, dtype=np.float64)
    rates = np.where(k > 0, (k + 0.5) / (n + 1), 0.0)
    # so close to the target, telling them apart would take too many
    hopeful = (rates <= 0.9 * target) & ((n > 0) | (n.max(initial=0) == 0))
    if not hopeful.any():
        return None
    rates, shares, least = rates[hopeful], coverages[hopeful], need(1, target, delta)
    spread = ndtri(1 - delta) * sqrt(target * (1 - target)) + ndtri(0.8) * np.sqrt(
        rates * (1 - rates)
    )
    best = int(np.argmin(np.maximum(least, (spread / (target - rates)) ** 2) / shares))
    items = ceil(max(least, power(target, float(rates[best]), delta)) / shares[best])
    return items if items <= MOST_GOLD else None


def check_levels(target: float, delta: float | None) -> None:
    """Raise InputError unless both are shares between 0 and 1."""
    if not 0 < target < 1:
        raise InputError(f"promise: target must be between 0 and 1, got {target:g}; try 0.05")
    if delta is not None and not 0 < delta < 1:
        raise InputError(f"promise: delta must be between 0 and 1, got {delta:g}; try 0.1")
