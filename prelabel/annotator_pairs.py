"""Annotators one by one: each pair of them, and all but one."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from prelabel.agreement_records import PairAgreement
from prelabel.chance import NO_PAIRS, ONE_OCCURS, conger_statistic
from prelabel.coefficients import cohen_kappa
from prelabel.estimate import JACKKNIFE_BELOW, Estimate, wilson
from prelabel.resampling import clustered_share, distinct_rows, estimate_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from prelabel.coefficients import IntArray
    from prelabel.estimate import FloatArray, Statistic

MOST_PAIRED = 50  # annotators; a table of all pairs of a crowd is neither readable nor cheap
NOT_PAIRED = f"pairs are not compared: more than {MOST_PAIRED} annotators"


class Given(NamedTuple):
    """What annotators gave as numbers, an entry a vote; at most one by an annotator on an item."""

    item: IntArray
    annotator: IntArray
    value: IntArray
    items: int
    names: Sequence[str]

    def table(self) -> IntArray:
        """Return the value numbers, items x annotators, -1 where there is no vote."""
        codes = np.full((self.items, len(self.names)), -1, dtype=np.int64)
        codes[self.item, self.annotator] = self.value
        return codes


def every_pair(
    given: Given, weightings: Mapping[str, FloatArray], cluster: IntArray | None
) -> tuple[PairAgreement, ...]:
    """Return how far each two annotators agree on what both labeled; none of more than 50.

    ``weightings`` may have weights for ``linear`` and ``quadratic`` kappa.
    """
    if len(given.names) > MOST_PAIRED:
        return ()
    codes = given.table()
    found = []
    for a, b in combinations(range(len(given.names)), 2):
        both = (codes[:, a] >= 0) & (codes[:, b] >= 0)
        x, y = codes[both, a], codes[both, b]
        own = None if cluster is None else np.unique(cluster[both], return_inverse=True)[1]
        weighted = {
            name: cohen_kappa(x, y, weights=weights, cluster=own)
            for name, weights in weightings.items()
        }
        found.append(
            PairAgreement(
                given.names[a],
                given.names[b],
                len(x),
                _share(x == y, own),
                cohen_kappa(x, y, cluster=own),
                **weighted,
            )
        )
    return tuple(found)


def _share(same: NDArray[np.bool_], cluster: IntArray | None) -> Estimate:
    right, n = int(same.sum()), len(same)
    if cluster is None or n == 0:
        return wilson(right, n, undefined="no item in common")
    return clustered_share(right / n, np.bincount(cluster, weights=same - right / n), n)


def told_apart(
    given: Given,
    pairs: Sequence[PairAgreement],
    weightings: Mapping[str, FloatArray],
    cluster: IntArray | None,
    *,
    why: str,
    seed: int,
) -> dict[str, Estimate]:
    """Return the coefficients that know the annotators apart: Cohen's kappa of two, else Conger's.

    Plain, and with each of ``weightings``. None of one annotator or of more than 50.
    """
    if len(given.names) == 2:
        (pair,) = pairs
        return {"cohen": pair.kappa} | {f"cohen_{name}": getattr(pair, name) for name in weightings}
    if not 2 < len(given.names) <= MOST_PAIRED:
        return {}
    names = ["conger", *(f"conger_{name}" for name in weightings)]
    codes = given.table()
    n = int(((codes >= 0).sum(axis=1) > 1).sum())
    if n == 0:
        return {name: Estimate(None, why=why) for name in names}
    rows = distinct_rows(codes + 1, cluster)
    width = int(codes.max()) + 1
    weights = [np.eye(width), *(each[:width, :width] for each in weightings.values())]
    found = estimate_each(
        conger_statistic(codes[rows.first], width, weights),
        rows,
        undefined=ONE_OCCURS,
        seed=seed,
        few=n < JACKKNIFE_BELOW,
    )
    return {name: replace(one, n=n) for name, one in zip(names, found, strict=True)}


def all_but_one(
    given: Given,
    width: int,
    alpha_of: Callable[[Any], Statistic],
    cluster: IntArray | None,
    *,
    seed: int,
) -> tuple[tuple[str, Estimate], ...]:
    """Return alpha without each annotator, all on the same resamples.

    None of fewer than 3 annotators or more than 50. ``alpha_of`` takes a sparse count matrix of
    ``width`` values.
    """
    if not 2 < len(given.names) <= MOST_PAIRED:
        return ()
    codes = given.table()
    several = (codes >= 0).sum(axis=1) > 1
    rows = distinct_rows(codes[several] + 1, None if cluster is None else cluster[several])
    distinct = codes[several][rows.first]
    left = []
    for at in range(len(given.names)):
        others = np.delete(distinct, at, axis=1)
        kept = np.flatnonzero((others >= 0).sum(axis=1) > 1)
        left.append((kept, alpha_of(_counts(others[kept], width))))
    found = estimate_each(
        lambda drawn: np.column_stack([alpha(drawn[:, kept]) for kept, alpha in left]),
        rows,
        undefined=ONE_OCCURS,
        seed=seed,
    )
    sizes = [int(rows.sizes[kept].sum()) for kept, _ in left]
    return tuple(
        (name, replace(one, n=n) if n else Estimate(None, why=NO_PAIRS))
        for name, one, n in zip(given.names, found, sizes, strict=True)
    )


def _counts(codes: IntArray, width: int) -> Any:
    row, annotator = np.nonzero(codes >= 0)
    shape = (len(codes), width)
    return csr_array((np.ones(len(row)), (row, codes[row, annotator])), shape=shape)
