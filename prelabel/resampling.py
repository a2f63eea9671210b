"""What a resample draws: items, or clusters of items (such as the sentences of one document).

A statistic is a function of how many items have each distinct row of a table. A draw of clusters
gives such numbers just as a draw of items does, so that every statistic has both intervals.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtri, stdtrit

from prelabel.errors import InputError
from prelabel.estimate import (
    JACKKNIFE_BELOW,
    Estimate,
    FloatArray,
    Statistic,
    bootstrap_each,
    wilson,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.coefficients import IntArray

FEW_CLUSTERS = 10
MOST_DRAWN = 20_000_000
ONE_CLUSTER = "one cluster only"


class Rows(NamedTuple):
    """The distinct rows of a table: where each stands first, and how many items have it.

    ``by_cluster`` (sparse, clusters x distinct rows) splits the sizes; None where items are drawn.
    """

    first: IntArray
    sizes: IntArray
    by_cluster: Any = None

    @property
    def n(self) -> int:
        """The number of items."""
        return int(self.sizes.sum())


def cluster_numbers(
    items: Sequence[str], clusters: Mapping[str, Hashable] | None
) -> IntArray | None:
    """Return the number of each item's cluster; None where there are no clusters.

    An item without one (missing, None, NaN or "") is a cluster of its own. Raises InputError
    where that is so of all items.
    """
    if clusters is None:
        return None
    found = [clusters.get(item) for item in items]
    known = [cluster not in (None, "") and cluster == cluster for cluster in found]  # noqa: PLR0124
    if items and not any(known):
        raise InputError(
            f"clusters: no item has one (such as {items[0]!r}); map item ids to clusters"
        )
    number: dict[Hashable, int] = {}
    keys = (
        (True, cluster) if has else (False, item)
        for item, cluster, has in zip(items, found, known, strict=True)
    )
    return np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.int64)


def few_clusters(cluster: IntArray | None) -> tuple[str, ...]:
    """Say in a note where intervals rest on few clusters."""
    n = 0 if cluster is None else len(np.unique(cluster))
    return (f"the intervals rest on {n} clusters only",) if 1 < n < FEW_CLUSTERS else ()


def distinct_rows(table: NDArray[Any], cluster: IntArray | None = None) -> Rows:
    """Return the distinct rows of a table of integers of 0 and more; a row is an item."""
    base = int(table.max(initial=0)) + 1
    axis = None
    if base ** table.shape[1] < 2**62:  # a row is a number in that base: much faster to sort
        table = table @ base ** np.arange(table.shape[1], dtype=np.int64)
    else:
        axis = 0
    _, first, sizes = np.unique(table, axis=axis, return_index=True, return_counts=True)
    if cluster is None:
        return Rows(first, sizes)
    _, place = np.unique(table, axis=axis, return_inverse=True)
    # numpy 2.0 alone gives the inverse of rows a second axis
    return Rows(first, sizes, _by_cluster(cluster, place.reshape(-1), len(sizes)))


def every_row(n: int, cluster: IntArray | None = None) -> Rows:
    """Return ``n`` items as rows of their own, where looking for equal ones is not worth it."""
    at = np.arange(n)
    return Rows(at, np.ones(n, dtype=np.int64), _by_cluster(cluster, at, n))


def _by_cluster(cluster: IntArray | None, place: IntArray, width: int) -> Any:
    if cluster is None:
        return None
    _, number = np.unique(cluster, return_inverse=True)
    shape = (int(number.max(initial=-1)) + 1, width)
    return csr_array((np.ones(len(place)), (number, place)), shape=shape)


def estimate(
    statistic: Statistic, rows: Rows, *, undefined: str, seed: int, lowest: float = -1.0
) -> Estimate:
    """Return a statistic of weights of the rows, with an interval from items or clusters.

    ``lowest`` is the least that the statistic can be. See `prelabel.estimate.bootstrap`.
    """
    (found,) = estimate_each(statistic, rows, undefined=undefined, seed=seed)
    return found if found.low is None else replace(found, low=max(found.low, lowest))


def estimate_each(
    statistic: Statistic,
    rows: Rows,
    *,
    undefined: str,
    seed: int,
    few: bool = False,
    resamples: int = 1000,
) -> list[Estimate]:
    """Do what `estimate` does for a statistic of several columns, on the same resamples.

    ``few``: the jackknife, however many items there are. Of more than 20,000 distinct rows fewer
    resamples are drawn, 200 at the least.
    """
    resamples = min(resamples, max(200, MOST_DRAWN // max(len(rows.sizes), 1)))
    jackknife_below = rows.n + 1 if few else JACKKNIFE_BELOW
    by_cluster, sizes = rows.by_cluster, rows.sizes
    drawn = statistic
    if by_cluster is not None:
        drawn, sizes = lambda weights: statistic(weights @ by_cluster), np.ones(by_cluster.shape[0])
    found = bootstrap_each(
        drawn,
        sizes,
        resamples=resamples,
        seed=seed,
        undefined=undefined,
        jackknife_below=jackknife_below,
    )
    if by_cluster is None:
        return found
    return [
        replace(one, n=rows.n, why=one.why.replace("one item only", ONE_CLUSTER)) for one in found
    ]


def mean_share(
    shares: FloatArray, rows: Rows, *, undefined: str, seed: int, plain: bool = False
) -> Estimate:
    """Return the mean of the items' shares (each of 0 to 1), a share for each distinct row.

    The interval is the bootstrap's, and Wilson's where ``plain``, with fewer than 50 items, or
    where none differs: of those resampling says too little. Of clusters it is `clustered_share`'s.
    """
    n = rows.n
    if n == 0:
        return Estimate(None, why=undefined)
    total = min(float(shares @ rows.sizes), n)
    if rows.by_cluster is not None:
        return clustered_share(total / n, rows.by_cluster @ (shares - total / n), n)
    if n >= JACKKNIFE_BELOW and not plain:
        found = estimate(lambda drawn: drawn @ shares / n, rows, undefined=undefined, seed=seed)
        if found.low is not None:
            return found
    return wilson(total, n)


def clustered_share(share: float, off: NDArray[Any], n: int, level: float = 0.95) -> Estimate:
    """Return a share of ``n`` items with Wilson's interval at the effective number of items.

    That is ``p (1 - p) / variance``, the variance by clusters, made less for few of them (Korn and
    Graubard 1998, there for the Clopper-Pearson interval); where none differs, the number of
    clusters. ``off`` holds for each cluster the sum over its items of value minus ``share``.
    """
    clusters = len(off)
    if clusters < 2:
        return Estimate(share, n=n, why=ONE_CLUSTER)
    variance = clusters / (clusters - 1) * float(off @ off) / n**2
    effective = share * (1 - share) / variance if variance > 0 else float(clusters)
    half = 0.5 + level / 2
    effective *= float(ndtri(half) / stdtrit(clusters - 1, half)) ** 2
    trials = max(1, min(n, int(effective)))
    found = wilson(share * trials, trials, level)
    return replace(found, value=share, n=n)


def clustered_half_width(off: NDArray[Any], level: float = 0.95) -> float:
    """Return half the interval, by Student's t, of an estimate to whose error clusters add ``off``.

    ``off`` holds a sum of influences for each of two clusters or more.
    """
    clusters = len(off)
    variance = clusters / (clusters - 1) * float(off @ off)
    return float(stdtrit(clusters - 1, 0.5 + level / 2)) * sqrt(variance)
