"""Coefficients of agreement over a count matrix: percent agreement, Krippendorff's alpha; kappa.

A count matrix has a row for each unit and a column for each declared value: how many annotators
gave the unit that value. A missing vote is simply not counted, and a value that nobody gave keeps
its column, since some coefficients read the number of declared values.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtri

from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, Statistic
from prelabel.resampling import ONE_CLUSTER, clustered_half_width, distinct_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prelabel.records import Value

IntArray = NDArray[np.int64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]

CLOSE = 1e-9
MOST_COUNTED = 2**22  # possible rows of counts, up to which they are counted and not sorted


class CodedVotes(NamedTuple):
    """The vote table as integers, an entry a vote; the lists say what each number stands for."""

    item: IntArray
    unit: IntArray
    annotator: IntArray
    value: IntArray
    items: list[str]
    units: list[str]
    annotators: list[str]


def code_votes(votes: pd.DataFrame, values: Sequence[Value], what: str = "votes") -> CodedVotes:
    """Return a table with item, annotator, unit, value as integers; ``value`` indexes ``values``.

    Rows without a value (NaN, None) are left out; items, units and annotators are sorted, so that
    the order of rows never matters. Raises InputError, naming ``what``, for a value that is not
    declared and for two votes of one annotator on one unit.
    """
    votes = votes[votes["value"].notna()]
    item, items = pd.factorize(votes["item"], sort=True)
    unit, units = pd.factorize(votes["unit"], sort=True)
    annotator, annotators = pd.factorize(votes["annotator"], sort=True)
    seen, kinds = pd.factorize(votes["value"])
    place = {value: index for index, value in enumerate(values)}
    known = np.array([place.get(kind, -1) for kind in kinds], dtype=np.int64)
    value = known[seen] if len(votes) else np.zeros(0, dtype=np.int64)
    coded = CodedVotes(item, unit, annotator, value, list(items), list(units), list(annotators))
    for row in np.flatnonzero(value < 0)[:1]:
        raise InputError(
            f"{what}: item {items[item[row]]!r} has the value {kinds[seen[row]]!r}, "
            f"which is not declared; declare it or drop the row"
        )
    key = (item * max(len(units), 1) + unit) * max(len(annotators), 1) + annotator
    for row in np.flatnonzero(pd.Index(key).duplicated())[:1]:
        raise InputError(
            f"{what}: item {items[item[row]]!r} has two values from "
            f"{annotators[annotator[row]]!r}; keep one"
        )
    return coded


def count_matrix(votes: pd.DataFrame, values: Sequence[Value]) -> tuple[IntArray, pd.MultiIndex]:
    """Return how many annotators gave each (item, unit) each declared value, and the row index.

    Shape: units with a vote x ``len(values)``. Raises InputError as `code_votes` does.
    """
    coded = code_votes(votes, values)
    counts = dense_counts(coded, len(values))
    rows = np.flatnonzero(counts.any(axis=1))
    index = pd.MultiIndex.from_arrays(
        [
            np.array(coded.items, dtype=object)[rows // max(len(coded.units), 1)],
            np.array(coded.units, dtype=object)[rows % max(len(coded.units), 1)],
        ],
        names=["item", "unit"],
    )
    return counts[rows], index


def dense_counts(coded: CodedVotes, width: int) -> IntArray:
    """Return the counts of all items x units (an item's units side by side) x ``width`` values."""
    row = coded.item * len(coded.units) + coded.unit
    rows = len(coded.items) * len(coded.units)
    return np.bincount(row * width + coded.value, minlength=rows * width).reshape(rows, width)


def code_counts(codes: NDArray[Any], width: int) -> tuple[IntArray, IntArray]:
    """Return the distinct rows of counts of a table of value numbers, and how many items have each.

    ``codes`` is items x annotators, numbers from 0 to ``width`` - 1, and -1 where there is no vote.
    It is never spread out to items x values. Raises InputError for other numbers.
    """
    if codes.size and not -1 <= codes.min() <= codes.max() < width:
        raise InputError(f"codes must be from -1 to {width - 1}, one less than there are values")
    base = codes.shape[1] + 1
    if base**width > MOST_COUNTED:
        row, annotator = np.nonzero(codes >= 0)
        at = row * width + codes[row, annotator]
        counts = np.bincount(at, minlength=len(codes) * width).reshape(len(codes), width)
        found = distinct_rows(counts)
        return counts[found.first], found.sizes
    # a row of counts is a number in that base; a missing vote, at the end, adds nothing
    digit = base ** np.arange(width)
    add = np.append(digit, 0).astype(np.int32)
    key = np.zeros(len(codes), dtype=np.int32)
    for column in codes.T:
        key += add[column]
    sizes = np.bincount(key)
    present = np.flatnonzero(sizes)
    return present[:, None] // digit % base, sizes[present]


def codes_alpha(
    codes: NDArray[Any],
    width: int,
    level: Level = "nominal",
    scale: Sequence[float] | None = None,
) -> float:
    """Return Krippendorff's alpha of value numbers, items x annotators, as `krippendorff_alpha`.

    See `code_counts` for ``codes``; fast where there are few annotators and values.
    """
    counts, sizes = code_counts(codes, width)
    several = counts.sum(axis=1) > 1
    statistic = alpha_statistic(csr_array(counts[several].astype(np.float64)), level, scale)
    return float(statistic(sizes[several][None, :].astype(np.float64))[0])


def pairable(counts: NDArray[Any]) -> Any:
    """Return the rows with two votes or more, as a sparse matrix of floats."""
    return csr_array(counts[counts.sum(axis=1) > 1].astype(np.float64))


def agreeing_shares(counts: Any) -> FloatArray:
    """Return for each row of a sparse count matrix the share of its annotator pairs that agree."""
    votes = np.asarray(counts.sum(axis=1)).ravel()
    same = np.asarray(counts.multiply(counts).sum(axis=1)).ravel() - votes
    shares: FloatArray = same / (votes * (votes - 1))
    return shares


def percent_agreement(counts: NDArray[Any]) -> float:
    """Return the mean share of agreeing annotator pairs over units with two votes; nan if none."""
    shares = agreeing_shares(pairable(counts))
    return float(shares.mean()) if len(shares) else float("nan")


def krippendorff_alpha(
    counts: NDArray[Any], level: Level = "nominal", scale: Sequence[float] | None = None
) -> float:
    """Return Krippendorff's alpha of a count matrix (units x values); nan where not defined.

    ``1 - (n - 1) * sum(o D) / sum(n_k n_l D)`` over units with two votes or more (Krippendorff
    2011). ``scale`` gives each value its number and is needed for interval and ratio; ordinal
    takes the values in the order of the columns. Not defined: no such unit, or only one value.
    """
    kept = pairable(counts)
    statistic = alpha_statistic(kept, level, scale)
    return float(statistic(np.ones((1, kept.shape[0])))[0])


def alpha_from_distance(counts: NDArray[Any], distance: FloatArray) -> float:
    """Return Krippendorff's alpha for any distance between values (0 on the diagonal)."""
    kept = pairable(counts)
    return float(fixed_alpha(kept, distance)(np.ones((1, kept.shape[0])))[0])


def masi_distance(sets: NDArray[np.bool_]) -> FloatArray:
    """Return the MASI distances between label sets, given as rows of memberships.

    ``1 - |A & B| / |A | B| * M`` with M 1 if equal, 2/3 if one contains the other, 1/3 if they
    overlap, 0 if disjoint (Passonneau 2006); two empty sets are equal.
    """
    members = sets.astype(np.float64)
    both = members @ members.T
    size = members.sum(axis=1)
    either = size[:, None] + size[None, :] - both
    jaccard = both / np.where(either == 0, 1, either)
    contained = both == np.minimum(size[:, None], size[None, :])
    distance = 1 - jaccard * np.where(contained, 2 / 3, 1 / 3)
    distance[both == either] = 0
    return distance


def jaccard_distance(sets: NDArray[np.bool_]) -> FloatArray:
    """Return the Jaccard distances ``1 - |A & B| / |A | B|`` between rows of memberships.

    Two empty sets are equal.
    """
    members = sets.astype(np.float64)
    both = members @ members.T
    size = members.sum(axis=1)
    either = size[:, None] + size[None, :] - both
    return 1 - np.where(either == 0, 1, both) / np.where(either == 0, 1, either)


def alpha_statistic(
    counts: Any, level: Level = "nominal", scale: Sequence[float] | None = None
) -> Statistic:
    """Return alpha as a function of weights of the rows of a sparse count matrix.

    Each row needs two votes or more. Raises InputError for an unknown level or a missing scale.
    """
    if level == "ordinal":
        return _ordinal_alpha(counts)
    if level == "nominal":
        return fixed_alpha(counts, 1 - np.eye(counts.shape[1]))
    if level not in ("interval", "ratio"):
        raise InputError(
            f"agreement: level {level!r} is unknown; use nominal, ordinal, interval or ratio"
        )
    if scale is None or len(scale) != counts.shape[1]:
        raise InputError(f"agreement: level {level!r} needs a number for each value; give a scale")
    numbers = np.asarray(scale, dtype=np.float64)
    apart = numbers[:, None] - numbers[None, :]
    if level == "ratio":
        if (numbers < 0).any():
            raise InputError("agreement: level 'ratio' needs values of 0 or more; use 'interval'")
        total = numbers[:, None] + numbers[None, :]
        apart /= np.where(total == 0, 1, total)
    return fixed_alpha(counts, apart**2)


def fixed_alpha(counts: Any, distance: FloatArray) -> Statistic:
    """Return alpha with a fixed distance, as `alpha_statistic` does."""
    votes = np.asarray(counts.sum(axis=1)).ravel()
    apart = np.zeros(counts.shape[0])
    step = max(1, 8_000_000 // max(counts.shape[1], 1))
    for start in range(0, counts.shape[0], step):
        part = counts[start : start + step]
        apart[start : start + step] = np.asarray(part.multiply(part @ distance).sum(axis=1)).ravel()
    apart /= np.maximum(votes - 1, 1)

    def alpha(weights: FloatArray) -> FloatArray:
        totals = weights @ counts
        expected = ((totals @ distance) * totals).sum(axis=1)
        return _one_minus(weights @ apart, expected, totals)

    return alpha


def _ordinal_alpha(counts: Any) -> Statistic:
    """Alpha with the ordinal distance, which is the squared difference of mid-ranks."""
    votes = np.asarray(counts.sum(axis=1)).ravel()
    pairs = 1 / np.maximum(votes - 1, 1)

    def alpha(weights: FloatArray) -> FloatArray:
        totals = weights @ counts
        ranks = np.cumsum(totals, axis=1) - totals / 2
        ranks -= totals.sum(axis=1, keepdims=True) / 2  # the mean rank: keeps the squares small
        squares = ((weights * (votes * pairs)) @ counts * ranks**2).sum(axis=1)
        observed = 2 * (squares - ((weights * pairs) * (ranks @ counts.T) ** 2).sum(axis=1))
        spread = (totals * ranks**2).sum(axis=1) * totals.sum(axis=1)
        expected = 2 * (spread - (totals * ranks).sum(axis=1) ** 2)
        return _one_minus(observed, expected, totals)

    return alpha


def _one_minus(observed: FloatArray, expected: FloatArray, totals: FloatArray) -> FloatArray:
    defined = ((totals > 0).sum(axis=1) > 1) & (expected > 0)
    ratio = (totals.sum(axis=1) - 1) * observed / np.where(defined, expected, 1)
    return np.where(defined, 1 - ratio, np.nan)


def cohen_kappa(
    a: IntArray,
    b: IntArray,
    level: float = 0.95,
    *,
    weights: FloatArray | None = None,
    cluster: IntArray | None = None,
) -> Estimate:
    """Return Cohen's kappa of two annotators' value numbers on the same ``n`` items.

    ``weights`` (values x values) say how far two values agree, 1 on the diagonal (Cohen 1968); by
    default 1 or 0. The interval is from the asymptotic error of Fleiss, Cohen and Everitt (1969);
    with the items' ``cluster`` numbers, from the sums of its terms over clusters.
    """
    n = len(a)
    if n == 0:
        return Estimate(None, why="no item in common")
    width = int(max(a.max(), b.max())) + 1 if weights is None else len(weights)
    of_a = np.bincount(a, minlength=width) / n
    of_b = np.bincount(b, minlength=width) / n
    # how far each one's value agrees with all that the other gave
    mean_a = of_b[a] if weights is None else (weights @ of_b)[a]
    mean_b = of_a[b] if weights is None else (of_a @ weights)[b]
    same = (a == b).astype(np.float64) if weights is None else weights[a, b]
    expected = float(mean_a.mean())
    if ((of_a > 0) | (of_b > 0)).sum() == 1:
        return Estimate(None, n=n, why="only one label occurs")
    kappa = (float(same.mean()) - expected) / (1 - expected)
    if (a == b).all():
        return Estimate(kappa, n=n, why="they never differ")
    terms = same - (mean_a + mean_b) * (1 - kappa)
    off = (terms - terms.mean()) / (n * (1 - expected))
    if cluster is None:
        half = float(ndtri(0.5 + level / 2)) * sqrt(float(off @ off))
    else:
        sums = np.bincount(np.unique(cluster, return_inverse=True)[1], weights=off)
        if len(sums) < 2:
            return Estimate(kappa, n=n, why=ONE_CLUSTER)
        half = clustered_half_width(sums, level)
    if half < CLOSE:
        return Estimate(kappa, n=n, why="too few items: its asymptotic error is 0")
    return Estimate(kappa, max(kappa - half, -1.0), min(kappa + half, 1.0), n)
