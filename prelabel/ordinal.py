"""Ratings: weighted kappa and Spearman's correlation of two columns of numbers, and medians.

The statistics are over patterns: distinct pairs of numbers with how many items have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from prelabel.estimate import Estimate, FloatArray, Statistic, bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from prelabel.records import Value

CLOSE = 1e-9
"""Sums of probabilities nearer to each other than this are equal."""


class Pairs(NamedTuple):
    """Distinct pairs of numbers: the first of each, the second, and how many items have it."""

    a: FloatArray
    b: FloatArray
    sizes: FloatArray


def pair(a: ArrayLike, b: ArrayLike) -> Pairs:
    """Return the distinct pairs of two columns of the same length."""
    columns = np.stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)], axis=1)
    distinct, sizes = np.unique(columns, axis=0, return_counts=True)
    return Pairs(distinct[:, 0], distinct[:, 1], sizes.astype(np.float64))


def weighted_kappa(
    a: ArrayLike, b: ArrayLike, weights: Literal["linear", "quadratic"] = "quadratic", seed: int = 0
) -> Estimate:
    """Return Cohen's weighted kappa of two columns of ratings (Cohen 1968).

    ``1 - observed / expected`` distance, the distance being the difference of the two numbers
    (not of their places on the scale), squared where ``weights`` is quadratic. Not defined where
    both columns hold one and the same number.
    """
    pairs = pair(a, b)
    make = quadratic_kappa_of if weights == "quadratic" else linear_kappa_of
    return bootstrap(make(pairs), pairs.sizes, seed=seed, undefined=_why(pairs, "both give"))


def spearman(a: ArrayLike, b: ArrayLike, seed: int = 0) -> Estimate:
    """Return Spearman's rank correlation, ties sharing their mean rank.

    Not defined where a column holds only one number.
    """
    pairs = pair(a, b)
    statistic = spearman_of(pairs)
    return bootstrap(
        statistic, pairs.sizes, seed=seed, undefined=_why(pairs, "gold or the annotator gives")
    )


def pearson(a: ArrayLike, b: ArrayLike, seed: int = 0) -> Estimate:
    """Return Pearson's correlation; not defined where a column holds only one number."""
    pairs = pair(a, b)
    statistic = pearson_of(pairs)
    return bootstrap(
        statistic, pairs.sizes, seed=seed, undefined=_why(pairs, "gold or the annotator gives")
    )


def pearson_of(pairs: Pairs) -> Statistic:
    """Return Pearson's correlation as a function of weights of the pairs."""
    sides = [side - side.mean() if len(side) else side for side in (pairs.a, pairs.b)]
    a, b = (side / max(float(np.abs(side).max(initial=0.0)), CLOSE) for side in sides)

    def correlation(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1)
        mean_a, mean_b = _over(weights @ a, n), _over(weights @ b, n)
        shared = _over(weights @ (a * b), n) - mean_a * mean_b
        spreads = [_over(weights @ c**2, n) - m**2 for c, m in ((a, mean_a), (b, mean_b))]
        both = spreads[0] * spreads[1]
        defined = (spreads[0] > CLOSE) & (spreads[1] > CLOSE)
        return np.where(defined, shared / np.sqrt(np.where(defined, both, 1)), np.nan)

    return correlation


def _why(pairs: Pairs, who: str) -> str:
    return f"{who} only one rating" if len(pairs.a) else "nothing was labeled"


def quadratic_kappa_of(pairs: Pairs) -> Statistic:
    """Return quadratic kappa as a function of weights of the pairs.

    Over independent columns the mean squared difference is both variances and the squared
    difference of the means, so no table of values is needed.
    """
    low = min(pairs.a.min(initial=np.inf), pairs.b.min(initial=np.inf))
    a, b = pairs.a - low, pairs.b - low
    tiny = CLOSE * max(a.max(initial=0.0), b.max(initial=0.0)) ** 2

    def kappa(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1)
        mean_a, mean_b = _over(weights @ a, n), _over(weights @ b, n)
        spread = _over(weights @ (a**2 + b**2), n) - 2 * mean_a * mean_b
        return _one_minus(_over(weights @ (a - b) ** 2, n), spread, tiny)

    return kappa


def linear_kappa_of(pairs: Pairs) -> Statistic:
    """Return linear kappa as a function of weights of the pairs.

    Over independent columns the mean distance is the sum over the gaps between neighbouring values
    of the gap times the probability that just one of the two lies below it.
    """
    values = np.unique(np.concatenate([pairs.a, pairs.b]))
    gaps = np.diff(values)
    of_a, of_b = (
        _Groups(np.searchsorted(values, pairs.a)),
        _Groups(np.searchsorted(values, pairs.b)),
    )
    apart = np.abs(pairs.a - pairs.b)

    def kappa(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1)
        below_a, below_b = (
            _over(np.cumsum(group.totals(weights, len(values)), axis=1)[:, :-1], n[:, None])
            for group in (of_a, of_b)
        )
        expected = (below_a + below_b - 2 * below_a * below_b) @ gaps
        return _one_minus(_over(weights @ apart, n), expected, CLOSE * gaps.sum())

    return kappa


def spearman_of(pairs: Pairs) -> Statistic:
    """Return Spearman's correlation as a function of weights of the pairs."""
    columns = []
    for values in (pairs.a, pairs.b):
        distinct, place = np.unique(values, return_inverse=True)
        columns.append((_Groups(place), len(distinct), place))

    def correlation(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1, keepdims=True)
        ranks, spreads = [], []
        for groups, width, place in columns:
            totals = groups.totals(weights, width)
            rank = np.cumsum(totals, axis=1) - totals / 2 - n / 2  # mid-ranks about their mean
            spreads.append((totals * rank**2).sum(axis=1))
            ranks.append(rank[:, place])
        product = (weights * ranks[0] * ranks[1]).sum(axis=1)
        scale = np.sqrt(spreads[0] * spreads[1])
        return np.where(scale > 0, product / np.where(scale > 0, scale, 1), np.nan)

    return correlation


class _Groups:
    """Sums the weights of patterns that have the same value."""

    def __init__(self, place: NDArray[np.intp]) -> None:
        self.order = np.argsort(place, kind="stable")
        ordered = place[self.order]
        self.starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        self.present = ordered[self.starts]

    def totals(self, weights: FloatArray, width: int) -> FloatArray:
        """Return the weight of each value; the values' shape is (b, width)."""
        found = np.zeros((len(weights), width))
        if len(self.starts):
            found[:, self.present] = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        return found


def _over(over: FloatArray, under: FloatArray) -> FloatArray:
    return over / np.where(under > 0, under, 1)


def _one_minus(observed: FloatArray, expected: FloatArray, tiny: float) -> FloatArray:
    defined = expected > tiny
    return np.where(defined, 1 - observed / np.where(defined, expected, 1), np.nan)


def median_value(values: Sequence[Value], declared: Sequence[Value] | None) -> Value:
    """Return the median of ratings.

    Of an even number of ratings on a declared scale it is the lower of the middle two, since their
    mean need not be on the scale; on an open scale (``declared`` None) it is their mean.
    What is returned is spelt as declared: 4 for 4.0. Raises ValueError where there are none.
    """
    if not values:
        raise ValueError("the median of no ratings")
    ordered = sorted(float(value) for value in values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if declared is None:
        return round(low + (high - low) / 2, 12)  # 3.32, not 3.3200000000000003
    return next((value for value in declared if value == low), low)


def median_of(distribution: Mapping[Value, float]) -> Value:
    """Return the lowest rating that has half of the probability at or below it.

    Of several annotators' distributions, take this of their mean. Raises ValueError where
    there is no probability at all.
    """
    total = sum(distribution.values())
    if not total > 0:
        raise ValueError("the median of no ratings")
    below = 0.0
    for value in sorted(distribution, key=float):
        below += distribution[value]
        if below >= total / 2 - CLOSE * total:
            return value
    raise AssertionError("the probabilities up to the highest rating are all of them")
