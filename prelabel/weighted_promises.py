"""Promises from gold that is not a plain random draw of the items: weighted, in strata, clustered.

`independent_gold` drops gold items until the rest is as good as a plain random draw, which then
serves for any promise. `selective_weighted` and `selective_stratified` make the selective promise
of all the gold. Items chosen for what they are worth to learn, without known weights, serve none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prelabel.errors import InputError
from prelabel.estimate import ratio
from prelabel.promise import Promise, covered
from prelabel.promise_tests import (
    MOST_WRONG_AT_START,
    BoolArray,
    IntArray,
    check_levels,
    first,
    gold_for,
    start_coverage,
    upper,
)
from prelabel.promises import (
    Counts,
    Places,
    by_binomial,
    counts_at,
    gold_arrays,
    kept,
    places_of,
    pool_array,
    stepped,
    turned_down,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from prelabel.estimate import FloatArray

_HALVINGS = 50


class Independent(NamedTuple):
    """Gold items that are as good as a plain random draw, and what was done to get them."""

    scores: FloatArray
    wrong: BoolArray
    note: str


def independent_gold(
    scores: ArrayLike,
    wrong: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
) -> Independent:
    """Return the gold items to keep so that they are independent draws of the items.

    ``weights`` are proportional to 1 / the chance that an item became gold; each is kept with
    probability weight / largest weight (rejection sampling). ``clusters`` name what each item
    belongs to (its document) where clusters were drawn and all of their items labeled: one item of
    each is kept, and of small clusters none as often as makes all items equally likely. The same
    seed keeps the same items, in whatever order they come. Raises InputError unless just one of the
    two is given, and for weights that are not positive.
    """
    gold, bad = gold_arrays(scores, wrong)
    if (weights is None) == (clusters is None):
        raise InputError("promise: give either weights or clusters of gold")
    rng = np.random.default_rng(seed)
    if weights is not None:
        values = _weights(weights, gold)
        relative = values / values.max(initial=0.0)
        order = np.lexsort((bad, relative, gold))
        kept_items = np.asarray(order[rng.random(len(gold)) < relative[order]], dtype=np.int64)
        note = f"gold was drawn with weights: {len(kept_items)} of {len(gold)} items kept by chance"
    else:
        kept_items = _one_a_cluster(gold, bad, [] if clusters is None else clusters, rng)
        note = f"gold comes in clusters: one item of each kept, {len(kept_items)} of {len(gold)}"
    return Independent(gold[kept_items], bad[kept_items], f"{note}, so that they are independent")


def _weights(weights: ArrayLike, scores: FloatArray) -> FloatArray:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != scores.shape:
        raise InputError(
            f"promise: {values.size} weights for {scores.size} items; give one of each"
        )
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError("promise: a weight must be above 0: 1 / the chance to become gold")
    return values


def _one_a_cluster(
    gold: FloatArray, bad: BoolArray, clusters: Sequence[str], rng: np.random.Generator
) -> IntArray:
    if len(clusters) != len(gold):
        raise InputError(
            f"promise: {len(clusters)} clusters for {len(gold)} gold items; give one of each"
        )
    _, which, sizes = np.unique(
        np.asarray(clusters, dtype=np.str_), return_inverse=True, return_counts=True
    )
    order = np.lexsort((bad, gold, which))
    firsts = np.cumsum(sizes) - sizes
    # a cluster has as many places as the largest; one is drawn, and it may be empty
    drawn = rng.integers(sizes.max(initial=1), size=len(sizes))
    return np.asarray(order[(firsts + drawn)[drawn < sizes]], dtype=np.int64)


def selective_weighted(
    scores: ArrayLike,
    wrong: ArrayLike,
    weights: ArrayLike,
    pool: ArrayLike,
    pool_weights: ArrayLike,
    *,
    target: float,
    delta: float,
    seed: int = 0,
) -> Promise:
    """Promise what `selective` does, from gold with known weights.

    ``weights`` of gold and ``pool_weights`` of all items are proportional to 1 / the chance that an
    item became gold. At each threshold gold is thinned to a plain random draw of the items there,
    by the largest weight there, and tested exactly: where weights are alike, all of it is used.
    Raises as `selective`, and InputError for weights that are not positive.
    """
    check_levels(target, delta)
    gold, bad = gold_arrays(scores, wrong)
    values = pool_array(pool)
    own, all_weights = _weights(weights, gold), _weights(pool_weights, values)
    places = places_of(values)
    both, both_weights = np.append(values, gold), np.append(all_weights, own)
    largest = np.array([both_weights[both >= t].max() for t in places.thresholds])
    drawn = (1 / all_weights).sum() / max(len(values), 1)
    shares = places.coverages / (largest * drawn)  # of gold that may stay
    order = np.lexsort((bad, own, gold))
    draws = np.empty(len(gold))
    draws[order] = np.random.default_rng(seed).random(len(gold))
    stays = (gold >= places.thresholds[:, None]) & (draws * largest[:, None] < own)
    counts = Counts(stays.sum(axis=1), (stays & bad).sum(axis=1))
    blank = Promise("selective", target, delta, None, len(gold), 0, 0, covered(pool, None))
    blank = blank.noted("gold was drawn with weights: thinned at each threshold, by chance")
    return by_binomial(blank, pool, places, counts, shares)


def _lowest(holds: Callable[[float], bool]) -> float:
    """Return the lowest share from which on something holds; 1 if it does for none."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def selective_stratified(
    scores: ArrayLike,
    wrong: ArrayLike,
    strata: Sequence[str],
    pool: ArrayLike,
    pool_strata: Sequence[str],
    *,
    target: float,
    delta: float,
) -> Promise:
    """Promise what `selective` does, from gold drawn at random within strata, of any sizes.

    The error of a region is bounded by the sum over strata of their share of its items times an
    upper bound at delta / strata (Clopper and Pearson 1934, Bonferroni). Strata without gold count
    as all wrong; those that a region has no items of cost nothing. Raises as `selective`, and
    InputError where a stratum of gold is not in the pool.
    """
    check_levels(target, delta)
    gold, bad = gold_arrays(scores, wrong)
    table = _Strata.of(gold, bad, strata, pool_array(pool), pool_strata)
    starts = [table.starts_at(wrong, target, delta) for wrong in range(MOST_WRONG_AT_START + 1)]
    places, counts = table.places, Counts(table.tested.sum(axis=0), table.wrong.sum(axis=0))
    tried = places.starting(start_coverage(starts))

    def p_value(at: int) -> float:
        return _lowest(lambda level: table.bound(at, level) <= target)

    blank = Promise("selective", target, delta, None, len(gold), 0, 0, covered(pool, None))
    blank = blank.noted(f"gold was drawn in {len(table.shares)} strata, each bounded by itself")
    tested = stepped(blank, places, counts, tried, p_value)
    if tested.steps and tested.steps[0].p_value <= delta:
        return kept(tested, pool)
    seen = (table.shares * ratio(table.wrong, table.tested, 1.0)).sum(axis=0) * counts.tested
    needed = gold_for(target, delta, places.coverages, counts.tested, seen)
    return turned_down(tested, places, tried, lambda at: table.bound(at, delta), needed)


class _Strata(NamedTuple):
    """For each stratum and place: its share of the items there, its gold, the wrong ones.

    ``hoped`` are the gold items there may be, by the sizes of gold and pool alone.
    """

    places: Places
    shares: FloatArray
    tested: FloatArray
    wrong: FloatArray
    hoped: FloatArray

    @classmethod
    def of(
        cls,
        gold: FloatArray,
        bad: BoolArray,
        strata: Sequence[str],
        pool: FloatArray,
        pool_strata: Sequence[str],
    ) -> _Strata:
        own, others = (np.asarray(names, dtype=np.str_) for names in (strata, pool_strata))
        if len(own) != len(gold) or len(others) != len(pool):
            raise InputError("promise: each gold item and each item of the pool needs one stratum")
        names = np.unique(others)
        for name in own[~np.isin(own, names)][:1]:
            raise InputError(f"promise: stratum {str(name)!r} of gold has no items in the pool")
        places = places_of(pool)
        tested, wrong, hoped, sizes = np.zeros((4, len(names), len(places.thresholds)))
        for at, name in enumerate(names):
            items, mine = others == name, own == name
            sizes[at] = counts_at(pool[items], items[items], places.thresholds).tested
            hoped[at] = sizes[at] * mine.sum() / items.sum()
            tested[at], wrong[at] = counts_at(gold[mine], bad[mine], places.thresholds)
        return cls(places, ratio(sizes, sizes.sum(axis=0), 0.0), tested, wrong, hoped)

    def bound(self, at: int, delta: float) -> float:
        """Return the upper bound of the error at a place."""
        return self._bound(self.wrong[:, at], self.tested[:, at], self.shares[:, at], delta)

    def starts_at(self, wrong: int, target: float, delta: float) -> float:
        """Return the least coverage at which gold may pass with so many wrong; or infinity."""
        spread = wrong * ratio(self.hoped, self.hoped.sum(axis=0), 0.0)
        enough = [
            self._bound(spread[:, at], self.hoped[:, at], self.shares[:, at], delta) <= target
            for at in range(len(self.places.coverages))
        ]
        return first(self.places.coverages, np.array(enough, dtype=np.bool_))

    @staticmethod
    def _bound(wrong: FloatArray, tested: FloatArray, shares: FloatArray, delta: float) -> float:
        present = shares > 0
        bounds = upper(wrong[present], tested[present], delta / present.sum())
        return float(shares[present] @ bounds)
