"""Before the rest is labeled: how much a promise would accept, foreseen from a small pilot.

From the pilot's gold the error rate is drawn many times as a function of the score, two of three
times as a smooth curve and else as stairs, which a curve may hide; each draw plays one round of
gold of the planned size, which the promise's own rule then tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import expit, ndtri

from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray
from prelabel.promise import KINDS, Kind
from prelabel.promise_tests import (
    BoolArray,
    IntArray,
    binomial_p,
    check_levels,
    most_wrong,
    start_of,
)
from prelabel.promises import Places, gold_arrays, places_of, pool_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEAST_PILOT = 30
"""A smaller pilot says nothing worth planning on."""

DRAWS = 1000
TARGETS = (0.01, 0.02, 0.05, 0.10)

_STEPS = 6  # of the step curve: with 100 items each rests on about 16
_PRIOR_SD = np.array([3.0, 2.0, 0.5])  # of a curve's level, slope and bend, in logits


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a promise with ``gold`` gold items would accept: a median and a 90% interval.

    ``coverage`` is the share of the pool (0 where the promise is refused) and ``reviews`` the items
    of the pool left to people; ``n`` of both is the size of the pilot. ``chance`` is how likely
    anything is accepted.
    """

    kind: Kind
    target: float
    delta: float | None
    gold: int
    coverage: Estimate
    reviews: Estimate
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def predict(
    scores: ArrayLike,
    wrong: ArrayLike,
    pool: ArrayLike,
    targets: Iterable[float] = TARGETS,
    *,
    gold_planned: Sequence[int],
    delta: float = 0.1,
    kind: Kind = "selective",
    seed: int = 0,
) -> list[Forecast]:
    """Foresee the coverage and the reviews left, for each target and planned number of gold items.

    ``scores`` and ``wrong`` are those of a pilot, 100 to 200 gold items drawn at random; ``pool``
    the scores of the items to route. The interval holds the coverage that comes out, with its luck
    of the draw, 9 times in 10. Raises InputError for a pilot of fewer than 30 scored items and
    impossible settings.
    """
    gold, bad = gold_arrays(scores, wrong)
    values = pool_array(pool)
    if kind not in KINDS:
        raise InputError(f"promise: {kind!r} is none; use {', '.join(KINDS)}")
    for size in gold_planned:
        if size < 1:
            raise InputError(f"promise: planned gold must be 1 or more items, got {size}")
    scored = ~np.isnan(gold)
    if scored.sum() < LEAST_PILOT:
        raise InputError(
            f"promise: a pilot of {int(scored.sum())} scored gold items is too small to plan on; "
            f"label {LEAST_PILOT} or more, better 100"
        )
    places = places_of(values)
    if not len(places.thresholds):
        raise InputError("promise: no item of the pool has a score; nothing can be planned")
    rng = np.random.default_rng(seed)
    rates = _rates(gold[scored], bad[scored], values, places, rng)
    found = []
    for size in gold_planned:
        played = _play(rng, rates, places, size)
        for target in targets:
            check_levels(target, delta)
            covers = _COVERAGE[kind](played, places, target, delta)
            found.append(_forecast(kind, target, delta, size, covers, len(gold), len(values)))
    return found


def _forecast(
    kind: Kind, target: float, delta: float, size: int, covers: FloatArray, pilot: int, pool: int
) -> Forecast:
    low, middle, high = (float(x) for x in np.quantile(covers, [0.05, 0.5, 0.95]))
    return Forecast(
        kind,
        target,
        None if kind == "expected" else delta,
        size,
        Estimate(middle, low, high, pilot),
        Estimate(pool * (1 - middle), pool * (1 - high), pool * (1 - low), pilot),
        float((covers > 0).mean()),
    )


class _Played(NamedTuple):
    """Gold items, and wrong ones, at or above each place in each round; ``size`` in all."""

    tested: IntArray
    wrong: IntArray
    size: int


def _play(rng: np.random.Generator, rates: FloatArray, places: Places, size: int) -> _Played:
    """Draw gold of the planned size once for each draw of error rates (rounds x bands)."""
    shares = np.diff(places.coverages, prepend=0.0)
    shares = np.append(shares, max(0.0, 1 - shares.sum()))  # the last have no score
    items = rng.multinomial(size, shares / shares.sum(), size=len(rates))[:, :-1]
    errors = rng.binomial(items, rates)
    return _Played(items.cumsum(axis=1), errors.cumsum(axis=1), size)


def _selective(played: _Played, places: Places, target: float, delta: float) -> FloatArray:
    shares = places.coverages
    tried = places.starting(start_of(played.size, shares, shares, target, delta))
    if not tried:
        return np.zeros(len(played.tested))
    passed = binomial_p(played.wrong, played.tested, target)[:, tried.start :] <= delta
    return _covered(np.logical_and.accumulate(passed, axis=1).sum(axis=1), tried.start, places)


def _dataset(played: _Played, places: Places, target: float, delta: float) -> FloatArray:
    within = played.wrong <= most_wrong(played.size, target, delta)
    return _covered(within.sum(axis=1), 0, places)


def _expected(played: _Played, places: Places, target: float, _: float) -> FloatArray:
    within = (1 + played.wrong) / (played.size + 1) <= target * places.coverages
    last = within.shape[1] - within[:, ::-1].argmax(axis=1)
    return _covered(np.where(within.any(axis=1), last, 0), 0, places)


_COVERAGE = {"selective": _selective, "dataset": _dataset, "expected": _expected}


def _covered(passed: IntArray, first: int, places: Places) -> FloatArray:
    """Return the coverage of so many places passed, counted from the first that is tried."""
    coverages = np.append(0.0, places.coverages)
    return np.where(passed > 0, coverages[first + passed], 0.0)


def _rates(
    gold: FloatArray, bad: BoolArray, pool: FloatArray, places: Places, rng: np.random.Generator
) -> FloatArray:
    """Draw error rates of the bands between places, given the pilot: draws x bands."""
    ordered = np.sort(pool[~np.isnan(pool)])
    inside = places.coverages * len(pool) / len(ordered)
    middles = inside - np.diff(inside, prepend=0.0) / 2  # of the bands, from the top
    middle = np.searchsorted(-places.thresholds, -gold, side="left")
    own = middles[np.minimum(middle, len(middles) - 1)]
    stairs = DRAWS // 3
    return np.concatenate(
        [_curves(own, bad, middles, DRAWS - stairs, rng), _stairs(own, bad, middles, stairs, rng)]
    )


def _curves(
    own: FloatArray, bad: BoolArray, middles: FloatArray, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Draw logistic curves in the score's normal rank: Laplace's approximation, weak priors."""

    def columns(ranks: FloatArray) -> FloatArray:
        z = ndtri(np.clip(ranks, 0.005, 0.995))
        return np.stack([np.ones_like(z), z, z * z - 1], axis=1)

    x, precision = columns(own), np.diag(_PRIOR_SD**-2)
    weights = np.zeros(3)
    for _ in range(50):  # Newton's method; the priors make it converge
        rate = expit(x @ weights)
        curvature = x.T @ (x * (rate * (1 - rate))[:, None]) + precision
        step = np.linalg.solve(curvature, x.T @ (bad - rate) - precision @ weights)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    drawn = rng.multivariate_normal(weights, np.linalg.inv(curvature), size=draws)
    return np.asarray(expit(drawn @ columns(middles).T), dtype=np.float64)


def _stairs(
    own: FloatArray, bad: BoolArray, middles: FloatArray, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Draw an error rate for each sixth of the items, from its own gold (Jeffreys' prior)."""
    stair = np.minimum((own * _STEPS).astype(np.int64), _STEPS - 1)
    wrong = np.bincount(stair[bad], minlength=_STEPS)
    right = np.bincount(stair[~bad], minlength=_STEPS)
    rates = rng.beta(wrong + 0.5, right + 0.5, size=(draws, _STEPS))
    return rates[:, np.minimum((middles * _STEPS).astype(np.int64), _STEPS - 1)]
