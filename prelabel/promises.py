"""Which labels can be accepted with a guarantee: a threshold on the score, found with gold.

Gold is a random draw of the items that the promise is about: ``scores`` are the gold items' scores
(higher is surer) and ``wrong`` says whose consensus label is not gold's. Scores must not come from
a fit to the same gold items: cross-fit them. ``pool`` are the scores of all the items to route. An
item without a score (None or NaN) is never accepted, but counts. Round scores alike here and
where the threshold is applied: it may lie just above the score of an item that is not accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, nextafter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prelabel.errors import InputError
from prelabel.estimate import FloatArray
from prelabel.promise import KINDS, NO_SCORES, NONE_LEFT, Kind, Promise, Step, covered, percent
from prelabel.promise_tests import (
    GRID,
    MOST_GOLD,
    BoolArray,
    IntArray,
    binomial_p,
    check_levels,
    gold_for,
    loss_p,
    most_wrong,
    need,
    start_of,
    upper,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SCORES_TOO_WEAK = "too many of the gold items with the highest scores are wrong"
FROZEN = (
    "the threshold is the Benjamini-Hochberg cut-off for this pool, frozen: the promise is about "
    "this pool, and carries over to single new items only as far as they are like it"
)


class Places(NamedTuple):
    """Thresholds to try, high to low, and the share of the pool at or above each."""

    thresholds: FloatArray
    coverages: FloatArray

    def starting(self, coverage: float) -> range:
        """Return the places from the first with at least so much coverage."""
        first = int(np.searchsorted(self.coverages, coverage - 1e-12))
        return range(first, len(self.coverages))


class Counts(NamedTuple):
    """Gold items at or above each threshold, and the wrong ones among them."""

    tested: IntArray
    wrong: IntArray


def selective(
    scores: ArrayLike, wrong: ArrayLike, pool: ArrayLike, *, target: float, delta: float
) -> Promise:
    """Promise that with probability 1 - delta at most ``target`` of the accepted are wrong.

    Thresholds are quantiles of the pool. The first is chosen by the numbers of gold and of the pool
    alone; from there thresholds are lowered as long as the exact binomial test passes. Fixed
    sequence testing ("Learn then test", Angelopoulos et al. 2021), valid whatever the scores are.
    Raises InputError for arrays that do not fit, infinite scores and impossible levels.
    """
    check_levels(target, delta)
    gold, bad = gold_arrays(scores, wrong)
    places = places_of(pool)
    counts = counts_at(gold, bad, places.thresholds)
    blank = Promise("selective", target, delta, None, len(gold), 0, 0, covered(pool, None))
    return by_binomial(blank, pool, places, counts, places.coverages)


def by_binomial(
    blank: Promise, pool: ArrayLike, places: Places, counts: Counts, shares: FloatArray
) -> Promise:
    """Return the selective promise by exact binomial tests.

    ``shares`` are how much of gold may be expected at each place before any was seen.
    """
    target, delta = blank.target, blank.delta or 0.0
    tried = places.starting(start_of(blank.gold, shares, places.coverages, target, delta))
    p_values = binomial_p(counts.wrong, counts.tested, target)
    tested = stepped(blank, places, counts, tried, lambda at: float(p_values[at]))
    if tested.steps and tested.steps[0].p_value <= delta:
        return kept(tested, pool)

    def bound(at: int) -> float:
        return float(upper(counts.wrong[at], counts.tested[at], delta))

    needed = gold_for(target, delta, shares, counts.tested, counts.wrong)
    return turned_down(tested, places, tried, bound, needed)


def stepped(
    blank: Promise,
    places: Places,
    counts: Counts,
    tried: range,
    p_value: Callable[[int], float],
) -> Promise:
    """Return the selective promise with the tests made, in order, up to the first that fails.

    Each is at the full delta, since it is made only if all before it passed (fixed sequence).
    """
    steps = []
    for at in tried:
        where = float(places.thresholds[at]), float(places.coverages[at])
        steps.append(Step(*where, int(counts.tested[at]), int(counts.wrong[at]), p_value(at)))
        if steps[-1].p_value > (blank.delta or 0):
            break
    return replace(blank, steps=tuple(steps))


def kept(blank: Promise, pool: ArrayLike) -> Promise:
    """Return the selective promise of the last of its steps that passed."""
    passed = [step for step in blank.steps if step.p_value <= (blank.delta or 0)]
    last = passed[-1]
    return replace(
        blank,
        threshold=last.threshold,
        tested=last.tested,
        wrong=last.wrong,
        coverage=covered(pool, last.threshold),
        p_value=last.p_value,
    )


def turned_down(
    blank: Promise,
    places: Places,
    tried: range,
    bound: Callable[[int], float],
    needed: int | None,
) -> Promise:
    """Return a selective promise refused, with what holds at the start (or of all items).

    ``bound`` is the upper bound of the error at a place; that of the start is a promise, too, since
    the start was fixed before labels were seen.
    """
    if not len(places.coverages):
        return replace(blank, why=NO_SCORES, needed=needed)
    at = tried.start if tried else len(places.coverages) - 1
    coverage, highest = float(places.coverages[at]), bound(at)
    return replace(
        blank,
        why=_why(blank, coverage),
        possible=highest if highest < 1 else None,
        possible_coverage=coverage,
        needed=needed,
    )


def _why(blank: Promise, coverage: float) -> str:
    def takes(wrong: int) -> int:
        return need(wrong, blank.target, blank.delta or 0)

    if not blank.steps:
        where = "" if coverage == 1 else f" where only {coverage:.0%} of the items have a score"
        return (
            f"{blank.gold} gold items are too few{where}; it takes {takes(0)} that would be "
            f"accepted and are all right, or {takes(1)} with one wrong"
        )
    first = blank.steps[0]
    found = (
        f"{first.wrong} of the {first.tested} gold items in the {first.coverage:.0%} with the "
        "highest scores are wrong"
    )
    if first.tested >= takes(first.wrong):
        return f"{found}, too many for gold drawn like this"
    return f"{found}; with {first.wrong} wrong it takes {takes(first.wrong)}"


def dataset(
    scores: ArrayLike,
    wrong: ArrayLike,
    *,
    target: float,
    delta: float,
    pool_size: int | None = None,
) -> Promise:
    """Promise that with probability 1 - delta wrong accepted labels are few among all items.

    At most ``target`` of all items are then both accepted and wrong; reviewed items are taken as
    right. Accepted are items above the (k+1)-th highest score of a wrong gold item (of a tie, none)
    with k from the binomial, or from the hypergeometric distribution if gold was drawn from a pool
    of ``pool_size`` items and the promise is about that pool, gold included. PAC labels (Candes,
    Ilyas and Zrnic 2025, arXiv 2506.10908). Raises as `selective`.
    """
    check_levels(target, delta)
    gold, bad = gold_arrays(scores, wrong)
    n = len(gold)
    if pool_size is not None and pool_size < n:
        raise InputError(f"promise: a pool of {pool_size} items cannot have {n} gold items")
    blank = Promise("dataset", target, delta, None, n, 0, 0, covered(gold, None))
    allowed = most_wrong(n, target, delta, pool_size)
    if allowed < 0:
        fewest = need(0, target, delta)
        why = f"{n} gold items are too few; it takes {fewest}"
        possible = float(upper(0, n, delta)) if n else None
        return replace(blank, why=why, possible=possible, needed=fewest)
    if np.isnan(gold).all():
        return replace(blank, why=NO_SCORES)
    place = _above(gold, bad, allowed)
    tested, errors = (int(count[0]) for count in counts_at(gold, bad, np.array([place])))
    if not tested:  # the highest score, with its ties, has more wrong items than are allowed
        possible = float(upper(int(bad.sum()), n, delta))  # of all labels, accepted or not
        top = np.array([(bad & (gold == np.nanmax(gold))).sum()])
        needed = gold_for(target, delta, np.ones(1), np.array([n]), top)
        return replace(blank, why=SCORES_TOO_WEAK, possible=possible, needed=needed)
    return replace(
        blank,
        threshold=place,
        tested=tested,
        wrong=errors,
        coverage=covered(gold, place),
        p_value=float(loss_p(errors, n, target, pool_size)),
    )


def _above(gold: FloatArray, bad: BoolArray, allowed: int) -> float:
    """Return the lowest threshold that is above all but ``allowed`` of the wrong items."""
    errors = np.sort(gold[bad & ~np.isnan(gold)])[::-1]
    if len(errors) <= allowed:  # everything with a score, also below the lowest of gold
        return min(float(np.nanmin(gold)), 0.0)
    return nextafter(float(errors[allowed]), float("inf"))


def expected(scores: ArrayLike, wrong: ArrayLike, pool: ArrayLike, *, target: float) -> Promise:
    """Promise that on average at most ``target`` of the accepted are wrong: the weakest promise.

    Conformal selection (Jin and Candes 2023; "Conformal labeling", arXiv 2510.14581): an item's
    p-value is (1 + wrong gold items with its score or more) / (gold + 1), and those under the
    Benjamini-Hochberg cut-off over the pool are accepted. p-values fall as scores rise, so that
    the cut-off is a score. ``pool`` are items without gold. Raises as `selective`.
    """
    check_levels(target, None)
    gold, bad = gold_arrays(scores, wrong)
    n, values = len(gold), pool_array(pool)
    thresholds, sizes = np.unique(values[~np.isnan(values)], return_counts=True)
    places = Places(thresholds[::-1], np.cumsum(sizes[::-1]) / max(len(values), 1))
    counts = counts_at(gold, bad, places.thresholds)
    p_values = (1 + counts.wrong) / (n + 1)
    passing = np.flatnonzero(p_values <= target * places.coverages + 1e-12)
    blank = Promise("expected", target, None, None, n, 0, 0, covered(pool, None))
    if not len(thresholds):
        return replace(blank, why=NO_SCORES if len(values) else NONE_LEFT)
    if not len(passing):
        return _expected_refused(blank, places, counts)
    at = int(passing[-1])
    place = float(places.thresholds[at])
    return replace(
        blank,
        threshold=place,
        tested=int(counts.tested[at]),
        wrong=int(counts.wrong[at]),
        coverage=covered(pool, place),
        p_value=float(p_values[at]),
        notes=(FROZEN,),
    )


def _expected_refused(blank: Promise, places: Places, counts: Counts) -> Promise:
    n, coverages = blank.gold, places.coverages
    shares = (1 + counts.wrong) / (n + 1) / coverages
    best = int(np.argmin(shares))
    # with m gold items and errors as seen, (1 + m wrong / n) / (m + 1) <= target x coverage
    room = blank.target * coverages - counts.wrong / max(n, 1)
    enough = (1 - blank.target * coverages[room > 0]) / room[room > 0]
    few = f"{n} gold items are too few to find it"
    return replace(
        blank,
        why=SCORES_TOO_WEAK if counts.wrong[best] else few,
        possible=float(shares[best]) if shares[best] < 1 else None,
        possible_coverage=float(coverages[best]),
        needed=ceil(enough.min()) if len(enough) and enough.min() <= MOST_GOLD else None,
    )


def grouped(
    scores: ArrayLike,
    wrong: ArrayLike,
    groups: Sequence[str],
    pool: ArrayLike,
    pool_groups: Sequence[str],
    *,
    declared: Sequence[str],
    target: float,
    delta: float,
    kind: Kind = "selective",
) -> dict[str, Promise]:
    """Return a promise for each declared group (a consensus label, a slice), all at once.

    Each is tested at delta / number of groups (Bonferroni), so that with probability 1 - delta all
    hold; the expected promise needs none of that, it is a mean in each group. Groups must be known
    without gold, and are declared before gold is seen; items of other groups are never accepted.
    Raises as `selective`, and InputError for no or repeated declared groups.
    """
    check_levels(target, delta)
    if kind not in KINDS:
        raise InputError(f"promise: {kind!r} is none; use {', '.join(KINDS)}")
    if not declared or len(set(declared)) < len(declared):
        raise InputError("promise: name one or more groups, each once")
    gold, bad = gold_arrays(scores, wrong)
    values = pool_array(pool)
    own, others = np.asarray(groups, dtype=object), np.asarray(pool_groups, dtype=object)
    if len(own) != len(gold) or len(others) != len(values):
        raise InputError("promise: each gold item and each item of the pool needs one group")
    part = delta / len(declared)
    note = (
        f"one of {len(declared)} groups, each tested at {percent(part)}: with probability "
        f"{percent(1 - delta)} all their promises hold"
    )
    found = {}
    for group in declared:
        mine, rest = own == group, values[others == group]
        if kind == "selective":
            one = selective(gold[mine], bad[mine], rest, target=target, delta=part)
        elif kind == "dataset":
            one = dataset(gold[mine], bad[mine], target=target, delta=part).over(rest)
        else:
            one = expected(gold[mine], bad[mine], rest, target=target)
        found[group] = one if kind == "expected" or len(declared) == 1 else one.noted(note)
    return found


def gold_arrays(scores: ArrayLike, wrong: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Return gold's scores (NaN: none) and which are wrong. Raises InputError if they differ."""
    gold, bad = pool_array(scores), np.asarray(wrong)
    if bad.size == 0:
        bad = bad.astype(np.bool_)
    if bad.shape != gold.shape:
        raise InputError(
            f"promise: {gold.size} scores and {bad.size} verdicts; give one of each a gold item"
        )
    if not np.isin(bad, (0, 1)).all():
        raise InputError("promise: wrong must be true or false for each gold item")
    return gold, bad.astype(np.bool_)


def pool_array(pool: ArrayLike) -> FloatArray:
    """Return scores as numbers, NaN for none. Raises InputError for infinite ones."""
    values = np.asarray(pool, dtype=np.float64)
    if values.ndim != 1:
        raise InputError("promise: scores must be a list, one number an item")
    if np.isinf(values).any():
        raise InputError("promise: a score is infinite; give probabilities")
    return values


def places_of(pool: ArrayLike) -> Places:
    """Return the pool's scores at every 1/50 of its items, ties taken in whole."""
    values = pool_array(pool)
    scored = np.sort(values[~np.isnan(values)])[::-1]
    if not len(scored):
        return Places(np.array([]), np.array([]))
    ranks = -(-np.arange(1, GRID + 1) * len(values) // GRID) - 1
    # the last one takes all that have a score, fewer than the pool where some have none
    ranks = np.append(ranks[ranks < len(scored)], len(scored) - 1)
    thresholds = np.unique(scored[ranks])[::-1]
    inside = np.searchsorted(-scored, -thresholds, side="right")
    return Places(thresholds, inside / len(values))


def counts_at(gold: FloatArray, bad: BoolArray, thresholds: FloatArray) -> Counts:
    """Return how many gold items are at or above each threshold, and how many of them wrong."""
    ordered, errors = (np.sort(-x[~np.isnan(x)]) for x in (gold, gold[bad]))
    return Counts(
        np.searchsorted(ordered, -thresholds, side="right"),
        np.searchsorted(errors, -thresholds, side="right"),
    )
