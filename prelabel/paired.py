"""Two annotators on the same items: McNemar's test, Tango's interval, correction of many tests.

All that counts are the items where just one of the two is right: ``b`` where the first is, ``c``
where the second is, of ``n`` items that both labeled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import bdtr, ndtr, ndtri
from scipy.stats import false_discovery_control

from prelabel.estimate import Estimate, FloatArray

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Correction = Literal["holm", "bh", "none"]

_HALVINGS = 60  # of an interval of length 2 at most: beyond the precision of a float


def mcnemar(b: ArrayLike, c: ArrayLike) -> Any:
    """Return the two-sided mid-p value of McNemar's test; arrays give arrays.

    The exact test given ``b + c``, with what was seen counted half (Fagerland, Lydersen and Laake
    2013). Where no item tells the two apart it is 1.
    """
    b, c = np.asarray(b), np.asarray(c)
    n, less = b + c, np.minimum(b, c)
    upto = bdtr(less, n, 0.5)
    below = np.where(less > 0, bdtr(np.maximum(less - 1, 0), n, 0.5), 0.0)
    p = np.where(b == c, 1 - (upto - below) / 2, upto + below)
    return np.where(n == 0, 1.0, p)[()]


def tango(b: int, c: int, n: int, level: float = 0.95) -> Estimate:
    """Return the difference ``(b - c) / n`` of two paired shares with Tango's score interval.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design". Raises ValueError unless ``b + c <= n`` and none is negative.
    """
    if min(b, c) < 0 or b + c > n:
        raise ValueError(f"b and c must be counts among n items, got {b} and {c} of {n}")
    if n == 0:
        return Estimate(None, why="no item that both labeled")
    low, high = tango_bounds(b, c, n, level)
    return Estimate((b - c) / n, float(low), float(high), n)


def tango_bounds(
    b: ArrayLike, c: ArrayLike, n: ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of Tango's interval for arrays of counts."""
    b, c, n = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (b, c, n)))
    z = float(ndtri(0.5 + level / 2))
    seen = (b - c) / n
    return _crossing(b, c, n, np.full(seen.shape, -1.0), seen, z), _crossing(
        b, c, n, seen, np.ones(seen.shape), -z
    )


def _crossing(
    b: FloatArray, c: FloatArray, n: FloatArray, low: FloatArray, high: FloatArray, z: float
) -> FloatArray:
    """Return where the score, which falls as the difference grows, is ``z``."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = tango_z(b, c, n, middle) > z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found: FloatArray = np.where(low + high > 0, high, low)  # an end of -1 or 1 is met exactly
    return found


def tango_z(b: ArrayLike, c: ArrayLike, n: ArrayLike, difference: ArrayLike) -> FloatArray:
    """Return the score statistic of a difference: how many standard errors what was seen is above.

    The standard error is the one under that difference (Tango 1998).
    """
    b, c, n, d = (np.asarray(x, dtype=np.float64) for x in (b, c, n, difference))
    linear = -b - c + (2 * n - b + c) * d
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0))
    second = np.maximum((root - linear) / (4 * n), np.maximum(-d, 0))
    variance = n * (2 * second + d * (1 - d))
    apart = b - c - n * d
    certain = variance <= 1e-12 * n
    score: FloatArray = np.where(
        certain,
        np.where(np.abs(apart) < 1e-9 * n, 0.0, np.copysign(np.inf, apart)),
        apart / np.sqrt(np.where(certain, 1, variance)),
    )
    return score


def noninferior_p(b: int, c: int, n: int, margin: float) -> float:
    """Return the one-sided p of "the first is worse than the second by ``margin`` or more".

    It is below .05 just where the lower end of Tango's 90% interval is above ``-margin``.
    """
    return float(ndtr(-tango_z(b, c, n, -margin))) if n else 1.0


def corrected(p: Sequence[float], method: Correction = "holm") -> list[float]:
    """Return p values corrected for how many they are.

    ``holm`` (Holm 1979) bounds the chance that any of the differences found is none; ``bh``
    (Benjamini and Hochberg 1995) bounds the share of such among those found, for exploring.
    """
    if method == "none" or not len(p):
        return [float(x) for x in p]
    if method == "bh":
        found: list[float] = false_discovery_control(p, method="bh").tolist()
        return found
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    result = np.empty(len(values))
    result[order] = np.minimum(steps, 1)
    listed: list[float] = result.tolist()
    return listed
