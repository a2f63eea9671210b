"""Prevalence shift: whether gold has the same labels as the pool that its scores shall speak for.

Gold and pool are compared by the labels that one annotator gave to both, so that its habits are in
both alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2

from prelabel.estimate import Estimate, FloatArray, wilson
from prelabel.paired import corrected
from prelabel.pool_accuracy import (
    NO_GOLD,
    NO_POOL,
    Counted,
    by_label_given,
    by_true_label,
    count,
)
from prelabel.shares import difference

if TYPE_CHECKING:
    from prelabel.records import Label, Value
    from prelabel.tasks import Task

    Labels = Mapping[str, Mapping[str, Label]]
    Kinds = Mapping[tuple[Value, ...], int]

PERMUTATIONS = 1999
RESAMPLES = 1000
POWER = 0.8
SURELY = 0.05
_MOST_DRAWN = 20_000_000


@dataclass(frozen=True, slots=True)
class LabelShift:
    """How often an annotator gave one label: on gold, in the pool, and gold less pool.

    The intervals are of this label alone, Wilson's and Newcombe's.
    """

    label: Value
    gold: Estimate
    pool: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Shift:
    """An annotator's labels on ``gold_n`` gold items against those on the ``pool_n`` other items.

    ``labels`` are sorted by how far they differ. ``distance`` is the total variation distance, 0 to
    1: the share of gold that would need another label (for label sets the mean over the labels);
    ``by_chance`` is what it would be on average without any shift, for it is never below 0. ``p``
    is of "no shift", ``p_corrected`` for all annotators tested; ``shown`` goes by it.
    ``detectable`` is the smallest difference in one label's share that would have been found in
    four of five cases. ``accuracy`` is that on gold. In the pool it is ``accuracy_if_given`` where
    gold was drawn at random or by what annotators said, and ``accuracy_if_true`` where it was drawn
    by its true label; see `prelabel.pool_accuracy`.
    """

    annotator: str
    gold_n: int
    pool_n: int
    labels: tuple[LabelShift, ...]
    distance: Estimate
    by_chance: float | None
    p: float | None
    p_corrected: float | None
    shown: bool
    detectable: float | None
    accuracy: Estimate
    accuracy_if_given: Estimate
    accuracy_if_true: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"said": self.said()}

    def said(self) -> str:
        """Say it in one sentence."""
        gap = self.labels[0].difference.value if self.labels else None
        if gap is None:
            why = self.distance.why or "no item has a label"
            return f"gold and pool, as {self.annotator} labels them, cannot be compared: {why}"
        name = self.labels[0].label
        if self.shown:
            more = "more" if gap > 0 else "fewer"
            return (
                f"gold has {_points(gap)} {more} {name!r} than the pool, as {self.annotator} "
                "labels them: scores weigh it so"
            )
        found = (
            "gold is too small to show any"
            if self.detectable is None
            else f"one of {_points(self.detectable)} would be found in four of five cases"
        )
        return (
            f"no shift shown between gold and pool, as {self.annotator} labels them: "
            f"{_points(gap)} at most, of {name!r}; {found}"
        )


def names_in(task: Task) -> Callable[[Label], tuple[Value, ...]] | None:
    """Return what names the labels in a label; None where names are not declared, as in a text."""
    from prelabel.tasks import Measured

    if task.values() is None or (isinstance(task, Measured) and not task.units()):
        return None
    if task.name == "multi-label":
        return tuple
    if task.name == "hierarchical":
        return lambda label: (" > ".join(label),)
    return lambda label: (label,)


def shift_notes(
    labels: Labels,
    gold: Mapping[str, Label],
    shown: Mapping[str, Collection[str]],
    task: Task,
    seed: int = 0,
) -> tuple[str, ...]:
    """Say in one note that gold and pool have other labels, if that is shown; see `shifts`."""
    with_pool = {  # the rest cannot show a shift, and counting takes time
        name: own for name, own in labels.items() if not own.keys() <= gold.keys()
    }
    found = [one for one in shifts(with_pool, gold, shown, task, seed) if one.shown]
    if not found:
        return ()
    largest = max(found, key=lambda one: abs(one.labels[0].difference.value or 0.0))
    also = f" (shown for {len(found)} of {len(labels)} annotators)" if len(labels) > 1 else ""
    return (f"{largest.said()}{also}",)


def promise_notes(
    labels: Mapping[str, Label], gold: Collection[str], task: Task
) -> tuple[str, ...]:
    """Say in one note that consensus labels of gold items are shared out otherwise than others'.

    ``labels`` are those of all items, ``gold`` the items that a promise is tested on.
    """
    known = {item: labels[item] for item in gold if item in labels}
    found = shifts({"the votes": labels}, known, {}, task)
    if not found or not found[0].shown:
        return ()
    largest, p = found[0].labels[0], found[0].p or 0.0
    gap = largest.difference.value or 0.0
    note = (
        f"gold has {_points(gap)} {'more' if gap > 0 else 'fewer'} {largest.label!r} than the "
        f"other items, by votes; of 100 random draws of gold {100 * p:.2g} would differ as much. "
        "The promise is about items such as gold's: draw gold at random from all items to route"
    )
    return (note,)


def shifts(
    labels: Labels,
    gold: Mapping[str, Label],
    shown: Mapping[str, Collection[str]],
    task: Task,
    seed: int = 0,
) -> list[Shift]:
    """Compare each annotator's labels on gold items with those on all other items, the pool.

    ``labels`` are by annotator and item, ``gold`` by item; items in ``shown`` (by annotator) were
    examples in its prompts and are in neither. Empty for a task whose labels are not declared. The
    p values are corrected together (Holm).
    """
    names = names_in(task)
    if names is None:
        return []
    found = [
        shift_of(
            who,
            count(own, gold, shown.get(who, ()), names, task.right),
            several=task.name == "multi-label",
            tests=len(labels),
            seed=seed,
        )
        for who, own in labels.items()
    ]
    tested = [one.p for one in found if one.p is not None]
    adjusted = iter(corrected(tested))
    return [one if one.p is None else _decided(one, next(adjusted)) for one in found]


def _decided(one: Shift, p_corrected: float) -> Shift:
    return replace(one, p_corrected=p_corrected, shown=p_corrected < SURELY)


def shift_of(
    annotator: str, counted: Counted, *, several: bool = False, tests: int = 1, seed: int = 0
) -> Shift:
    """Compare the kinds of label of gold and pool, counted.

    The test is by permutation of the items (1,999 draws): Pearson's statistic, the sum over labels
    of squared difference over pooled share, and for label sets (``several``) of each label's own.
    What is detectable goes by that statistic's noncentral chi-squared distribution, at the level of
    .05 over ``tests``.
    """
    given = counted.given
    kinds = list(dict.fromkeys([*given, *counted.pool]))
    gold, pool = (
        np.array([side.get(kind, 0) for kind in kinds], dtype=np.int64)
        for side in (given, counted.pool)
    )
    gold_n, pool_n = int(gold.sum()), int(pool.sum())
    accuracy = wilson(sum(counted.right.values()), gold_n, undefined=NO_GOLD)
    if not gold_n or not pool_n:
        none = Estimate(None, n=gold_n, why=NO_POOL if gold_n else NO_GOLD)
        nothing = (none, None, None, None, False, None, accuracy, none, none)
        return Shift(annotator, gold_n, pool_n, (), *nothing)
    names = list(dict.fromkeys(name for kind in kinds for name in kind))
    has = np.array([[name in kind for name in names] for kind in kinds], dtype=np.float64)
    table = _Table(gold, pool, has.reshape(len(kinds), len(names)), several)
    p, by_chance = table.permuted(seed)
    return Shift(
        annotator,
        gold_n,
        pool_n,
        _by_label(names, table),
        table.distance(seed),
        by_chance,
        p,
        None,
        False,
        table.detectable(SURELY / tests),
        accuracy,
        by_label_given(counted),
        by_true_label(counted, seed),
    )


def _by_label(names: Sequence[Value], table: _Table) -> tuple[LabelShift, ...]:
    gold, pool = (table.gold @ table.has, table.pool @ table.has)
    n, other_n = int(table.gold.sum()), int(table.pool.sum())
    found = [
        LabelShift(name, wilson(a, n), wilson(b, other_n), difference(a, n, b, other_n))
        for name, a, b in zip(names, map(int, gold), map(int, pool), strict=True)
    ]
    return tuple(sorted(found, key=_farthest))


def _farthest(one: LabelShift) -> tuple[float, float]:
    gap = one.difference.value or 0.0
    return -round(abs(gap), 9), -gap  # of two labels what gold has more of is said


class _Table(NamedTuple):
    """Counts of each kind on gold and in the pool; ``has`` says which labels a kind has."""

    gold: Any
    pool: Any
    has: FloatArray
    several: bool

    def gaps(self, gold: Any, pool: Any) -> FloatArray:
        """Return gold's share less the pool's of each label, for rows of counts."""
        a, b = gold @ self.has, pool @ self.has
        found: FloatArray = a / gold.sum(-1, keepdims=True) - b / pool.sum(-1, keepdims=True)
        return found

    def apart(self, gaps: FloatArray) -> FloatArray:
        """Return the total variation distance; for label sets the mean of the labels'."""
        width = max(self.has.shape[1], 1)
        found: FloatArray = np.abs(gaps).sum(axis=-1) / (width if self.several else 2)
        return found

    @property
    def pooled(self) -> FloatArray:
        """The share of each label in gold and pool together."""
        both = self.gold + self.pool
        found: FloatArray = both @ self.has / both.sum()
        return found

    def permuted(self, seed: int) -> tuple[float, float]:
        """Return the p value, and the mean distance without a shift."""
        both, share = self.gold + self.pool, self.pooled
        spread = share * (1 - share) if self.several else share
        weight = np.divide(1, spread, out=np.zeros_like(share), where=spread > 0)
        draws = max(199, min(PERMUTATIONS, _MOST_DRAWN // max(self.has.size, 1)))
        rng = np.random.default_rng(seed)
        drawn = rng.multivariate_hypergeometric(
            both, int(self.gold.sum()), size=draws, method="marginals"
        )
        gaps = self.gaps(drawn, both - drawn)
        seen = float(self.gaps(self.gold, self.pool) ** 2 @ weight)
        as_far = int((gaps**2 @ weight >= seen * (1 - 1e-9)).sum())
        return (1 + as_far) / (1 + draws), float(self.apart(gaps).mean())

    def distance(self, seed: int) -> Estimate:
        """Return the distance with an interval that is right wherever the truth lies.

        By the triangle inequality what was seen is no farther from the truth than the distance
        between the two pairs of gaps, whose 95% quantile resampling tells. Percentiles of the
        distance itself would leave 0 out where there is no shift.
        """
        rng, n = np.random.default_rng(seed), int(self.gold.sum())
        draws = max(200, min(RESAMPLES, _MOST_DRAWN // max(self.has.size, 1)))
        gold, pool = (
            rng.multinomial(int(side.sum()), side / side.sum(), size=draws)
            for side in (self.gold, self.pool)
        )
        seen = self.gaps(self.gold, self.pool)
        value = float(self.apart(seen))
        off = float(np.quantile(self.apart(self.gaps(gold, pool) - seen), 0.95))
        return Estimate(value, max(value - off, 0.0), min(value + off, 1.0), n)

    def detectable(self, level: float) -> float | None:
        """Return the difference in one label's share that is found with power .8.

        Of the label whose share is nearest to a half, where that takes most; the others change in
        proportion. ``noncentrality = difference^2 / (p (1 - p) (1 / n + 1 / m))``.
        """
        share = self.pooled
        used = share[(share > 0) & (share < 1)]
        degrees = len(used) - (0 if self.several else 1)
        if degrees < 1:
            return None
        limit = chi2.isf(level, degrees)
        far = float(brentq(lambda x: ncx2.sf(limit, degrees, x) - POWER, 1e-6, 1e4))
        spread = float((used * (1 - used)).max())
        found = np.sqrt(far * spread * (1 / self.gold.sum() + 1 / self.pool.sum()))
        return float(found) if found < 1 else None


def _points(share: float) -> str:
    points = f"{100 * abs(share):.0f}" if abs(share) >= 0.095 else f"{100 * abs(share):.1f}"
    return "1 point" if points == "1" else f"{points} points"
