"""Estimates with their intervals: a number, how sure it is, and of how many items.

Statistics are written over *patterns*: groups of items that are alike in all that the statistic
reads (the same row of a count matrix, the same cell of a confusion matrix). A resample of items is
then one multinomial draw of pattern sizes, which is the item bootstrap exactly, only much faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

FloatArray = NDArray[np.float64]

Statistic = Callable[[FloatArray], FloatArray]
"""``(b, patterns)`` weights to ``(b,)`` or ``(b, k)`` values; nan where a value is not defined."""

JACKKNIFE_BELOW = 50
"""With fewer items the percentile bootstrap of chance-corrected coefficients under-covers."""

_CELLS_AT_ONCE = 4_000_000
_CELLS_IN_ALL = 200_000_000
_MOST_UNDEFINED = 0.05  # share of resamples; nan ones are then left out of the interval


def ratio(over: FloatArray, under: FloatArray, otherwise: float = np.nan) -> FloatArray:
    """Return ``over / under`` cell by cell; ``otherwise`` where ``under`` is not above 0."""
    return np.where(under > 0, over / np.where(under > 0, under, 1), otherwise)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its interval, and the number ``n`` of items that it stands on.

    ``value`` is None where the number is not defined; ``low`` and ``high`` are None where it has
    no interval; ``why`` then says the reason. ``f"{estimate:.2f}"`` sets the digits.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    why: str = ""

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        if self.value is None:
            return f"not defined: {self.why}" if self.why else "not defined"
        text = format(self.value, spec)
        if self.low is not None and self.high is not None:
            return f"{text} [{self.low:{spec}}, {self.high:{spec}}]"
        return f"{text} (no interval: {self.why})" if self.why else text

    def __str__(self) -> str:
        return format(self, "")


def wilson(k: float, n: int, level: float = 0.95, *, undefined: str = "no items") -> Estimate:
    """Return the share ``k / n`` with its Wilson score interval (Wilson 1927).

    ``undefined`` is the reason given where ``n`` is 0. ``k`` may be a fraction (a sum of shares);
    the interval is then conservative. Raises ValueError unless ``0 <= k <= n``.
    """
    if not 0 <= k <= n:
        raise ValueError(f"k must be from 0 to n, got {k} of {n}")
    if n == 0:
        return Estimate(None, why=undefined)
    z = float(ndtri(0.5 + level / 2))
    share = k / n
    centre = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # at the ends the formula is exactly 0 or 1; rounding must not show otherwise
    low = 0.0 if k == 0 else (centre - half) / scale
    high = 1.0 if k == n else (centre + half) / scale
    return Estimate(share, low, high, n)


def bootstrap(
    statistic: Statistic,
    sizes: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    jackknife_below: int = JACKKNIFE_BELOW,
    undefined: str = "nothing to compute it from",
) -> Estimate:
    """Return a statistic of items with an interval from resampling the items.

    ``sizes[p]`` is the number of items with pattern ``p`` (all ones: each item its own pattern);
    ``statistic`` gets weights of the same width. The interval is the percentile bootstrap, or with
    fewer than ``jackknife_below`` items the jackknife with Student's t (Hughes 2022, arXiv
    2210.13265). Above 200,000 patterns fewer resamples are drawn, but no fewer than 200.
    There is no interval where resampling cannot give one; ``why`` then says the reason.
    ``undefined`` is the reason given where the value itself is nan.
    """
    return bootstrap_each(
        statistic,
        sizes,
        resamples=resamples,
        seed=seed,
        level=level,
        jackknife_below=jackknife_below,
        undefined=undefined,
    )[0]


def bootstrap_each(
    statistic: Statistic,
    sizes: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    jackknife_below: int = JACKKNIFE_BELOW,
    undefined: str = "nothing to compute it from",
) -> list[Estimate]:
    """Do what `bootstrap` does for a statistic of several columns, on the same resamples."""
    weights = np.asarray(sizes, dtype=np.float64)
    n = int(weights.sum())
    point = _columns(statistic(weights[None, :]))[0]
    if n < 2:
        draws, share = point[None, :], None
    elif n < jackknife_below:
        draws, share = _leave_one_out(statistic, weights)
    else:
        draws, share = _resample(statistic, weights, resamples, seed), None
    tolerated = _MOST_UNDEFINED if share is None else 0.0
    found = []
    for value, column in zip(point.tolist(), draws.T, strict=True):
        why = undefined if isnan(value) else _no_interval(column, n, tolerated)
        if why:
            found.append(Estimate(None if isnan(value) else value, n=n, why=why))
        else:
            if share is None:
                low, high = _percentile(column, level)
            else:
                low, high = _jackknife(value, column, share, n, level)
            found.append(Estimate(value, low, high, n))
    return found


def _columns(values: FloatArray) -> FloatArray:
    return values[:, None] if values.ndim == 1 else values


def _resample(statistic: Statistic, sizes: FloatArray, resamples: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    n, width = int(sizes.sum()), len(sizes)
    left = min(resamples, max(200, _CELLS_IN_ALL // width))
    at_once = max(1, _CELLS_AT_ONCE // max(width, n if width > n // 4 else 0))
    parts = []
    while left > 0:
        rows = min(left, at_once)
        parts.append(_columns(statistic(_draw(rng, sizes, rows))))
        left -= rows
    return np.concatenate(parts)


def _draw(rng: np.random.Generator, sizes: FloatArray, rows: int) -> FloatArray:
    n, width = int(sizes.sum()), len(sizes)
    if width <= n // 4:
        return rng.multinomial(n, sizes / n, size=rows).astype(np.float64)
    # the same distribution; drawing items one by one is faster where few are alike
    pattern = np.repeat(np.arange(width), sizes.astype(np.int64))
    drawn = pattern[rng.integers(n, size=(rows, n))] + width * np.arange(rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rows * width)
    return counts.reshape(rows, width).astype(np.float64)


def _leave_one_out(statistic: Statistic, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the statistic without one item of each pattern, and each pattern's share of items."""
    present = np.flatnonzero(sizes)
    weights = np.repeat(sizes[None, :], len(present), axis=0)
    weights[np.arange(len(present)), present] -= 1
    return _columns(statistic(weights)), sizes[present] / sizes.sum()


def _percentile(values: FloatArray, level: float) -> tuple[float, float]:
    low, high = np.nanquantile(values, [0.5 - level / 2, 0.5 + level / 2]).tolist()
    return low, high


def _jackknife(
    value: float, values: FloatArray, share: FloatArray, n: int, level: float
) -> tuple[float, float]:
    variance = (n - 1) * float(share @ (values - values @ share) ** 2)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * sqrt(variance)
    # coefficients lie within -1 and 1: an interval beyond says nothing more
    return max(value - half, -1.0), min(value + half, 1.0)


def _no_interval(values: FloatArray, n: int, tolerated: float) -> str:
    """Return why resampling gives no interval, or "" where it gives one."""
    if n < 2:
        return "one item only"
    if float(np.mean(np.isnan(values))) > tolerated:
        return "it hangs on too few items, many resamples leave it undefined"
    if np.nanmax(values) - np.nanmin(values) < 1e-12:
        return "all resamples give the same value"
    return ""
