"""Accuracy in the pool, from gold that has another mix of labels.

How gold differs from the pool decides what carries over. Where gold was drawn at random, or by what
annotators said, a label that an annotator gives is right in the pool as often as on gold. Where it
was drawn by its true label (so many of each), an annotator errs on each true label as often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

from prelabel.estimate import Estimate, FloatArray, wilson
from prelabel.shares import combined

if TYPE_CHECKING:
    from prelabel.records import Label, Value

    Kind = tuple[Value, ...]

FEW = 5
"""Gold items; a label with fewer says too little by itself."""

MOST_LABELS = 20
MOST_UNSEEN = 0.05
RESAMPLES = 500
NO_GOLD = "the annotator has labels on no gold item"
NO_POOL = "the annotator has labels on gold items only"


class Counted(NamedTuple):
    """How many items an annotator gave each kind of label, a tuple of label names.

    ``gold`` counts gold items by gold's kind, the kind given, and whether that is right; ``pool``
    counts the other items by the kind given.
    """

    gold: Mapping[tuple[Kind, Kind, bool], int]
    pool: Mapping[Kind, int]

    @property
    def given(self) -> Mapping[Kind, int]:
        """The gold items by the kind given."""
        return self._summed(lambda key: key[1])

    @property
    def right(self) -> Mapping[Kind, int]:
        """The gold items that are right, by the kind given."""
        hits = Counter({key[1]: 0 for key in self.gold})
        for (_, given, right), n in self.gold.items():
            hits[given] += n * right
        return hits

    @property
    def true(self) -> Mapping[Kind, int]:
        """The gold items by gold's kind."""
        return self._summed(lambda key: key[0])

    def _summed(self, part: Callable[[tuple[Kind, Kind, bool]], Kind]) -> Mapping[Kind, int]:
        found: Counter[Kind] = Counter()
        for key, n in self.gold.items():
            found[part(key)] += n
        return found


def count(
    own: Mapping[str, Label],
    gold: Mapping[str, Label],
    shown: Collection[str],
    names: Callable[[Label], Kind],
    right: Callable[[Label, Label], bool],
) -> Counted:
    """Count an annotator's labels on gold and in the pool; items in ``shown`` are in neither.

    ``right`` is asked once for each pair of kinds.
    """
    pool = Counter(map(names, own.values()))
    pairs: dict[tuple[Kind, Kind], list[Any]] = {}  # an example of each, and how many there are
    for item, truth in gold.items():
        if item in own and item not in shown:
            label = own[item]
            pairs.setdefault((names(truth), names(label)), [truth, label, 0])[2] += 1
    for (_, given), (_, _, n) in pairs.items():
        pool[given] -= n
    for item in set(shown):
        if item in own:
            pool[names(own[item])] -= 1
    known = {(*pair, bool(right(a, b))): n for pair, (a, b, n) in pairs.items()}
    return Counted(known, +pool)


def by_label_given(counted: Counted) -> Estimate:
    """Return accuracy if each label given is right in the pool as often as it is on gold.

    Post-stratification (Cochran 1977, section 5A.9): the share right of each label on gold,
    weighted by the label's share of the pool. Labels with fewer than 5 gold items are put together,
    with the next rarest if they are still fewer. The intervals of the labels are Wilson's, combined
    by the square-root rule; the pool's mix is known, not estimated.
    """
    given, right, total = counted.given, counted.right, sum(counted.pool.values())
    n = sum(given.values())
    if not n or not total:
        return Estimate(None, n=n, why=NO_POOL if n else NO_GOLD)
    groups = _strata(given, counted.pool)
    shares = [
        wilson(sum(right.get(k, 0) for k in group), sum(given.get(k, 0) for k in group))
        for group in groups
    ]
    weights = [sum(counted.pool.get(kind, 0) for kind in group) / total for group in groups]
    return replace(combined(weights, shares), n=n)


def _strata(given: Mapping[Kind, int], pool: Mapping[Kind, int]) -> list[list[Kind]]:
    """Return the kinds of label, those with too little gold in one group."""
    kinds = dict.fromkeys([*given, *pool])
    ascending = sorted(kinds, key=lambda kind: (given.get(kind, 0), str(kind)))
    rare: list[Kind] = []
    held = 0
    while ascending and (given.get(ascending[0], 0) < FEW or (rare and held < FEW)):
        rare.append(ascending.pop(0))
        held += given.get(rare[-1], 0)
    return [*([kind] for kind in ascending), *([rare] if rare else [])]


def by_true_label(counted: Counted, seed: int = 0) -> Estimate:
    """Return accuracy if the annotator errs on each true label in the pool as it does on gold.

    The pool's true mix is the one that, with gold's shares of the labels given for each true label,
    comes nearest to the mix given there (least squares, none below 0; Lipton, Wang and Smola 2018);
    accuracy is the mean of the shares right of the true labels, weighted by it. The interval is
    the percentile bootstrap, gold resampled within each true label. Not defined where gold has more
    than 20 labels, or a label fewer than 5 times, nor where more than a twentieth of the pool got a
    label that no gold item got.
    """
    true, n = counted.true, sum(counted.gold.values())
    if not n or not counted.pool:
        return Estimate(None, n=n, why=NO_POOL if n else NO_GOLD)
    if len(true) > MOST_LABELS:
        return Estimate(None, n=n, why=f"gold has more than {MOST_LABELS} labels")
    if min(true.values()) < FEW:
        return Estimate(None, n=n, why=f"gold has a label fewer than {FEW} times")
    unseen = sum(size for kind, size in counted.pool.items() if kind not in counted.given)
    if unseen > MOST_UNSEEN * sum(counted.pool.values()):
        return Estimate(None, n=n, why="much of the pool got labels that no gold item got")
    given = list(dict.fromkeys([*counted.given, *counted.pool]))
    cells = np.array([[[counted.gold.get((t, g, ok), 0) for ok in (False, True)] for g in given]
                      for t in true], dtype=np.int64)  # fmt: skip
    pool = np.array([counted.pool.get(kind, 0) for kind in given], dtype=np.int64)
    value = _mixed(cells, pool)
    rng = np.random.default_rng(seed)
    drawn_pool = rng.multinomial(pool.sum(), pool / pool.sum(), size=RESAMPLES)
    drawn = np.stack(
        [rng.multinomial(row.sum(), row.ravel() / row.sum(), size=RESAMPLES) for row in cells], 1
    ).reshape(RESAMPLES, *cells.shape)
    found = [_mixed(*one) for one in zip(drawn, drawn_pool, strict=True)]
    if np.isnan(found).mean() > MOST_UNSEEN:
        return Estimate(value, n=n, why="it hangs on too few gold items")
    low, high = np.nanquantile(found, [0.025, 0.975]).tolist()
    if high - low < 1e-12:
        return Estimate(value, n=n, why="all resamples give the same value")
    return Estimate(value, low, high, n)


def _mixed(cells: Any, pool: Any) -> float:
    """Return the accuracy of a pool; cells are true labels x labels given x wrong or right."""
    sizes = cells.sum(axis=(1, 2))
    given: FloatArray = cells.sum(axis=2) / sizes[:, None]
    mix, _ = nnls(given.T, pool / pool.sum())
    right = cells[:, :, 1].sum(axis=1) / sizes
    return float(mix @ right / mix.sum()) if mix.any() else float("nan")
