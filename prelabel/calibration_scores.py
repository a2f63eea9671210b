"""How good confidences are: loss, ranking, what is risked at each coverage, reliability.

A confidence is from 0 to 1 and stands beside whether the label was right. Log-loss and Brier score
judge it whole; AUROC, AURC and AUGRC judge only how it orders items; the reliability rows show
where it says too much or too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit
from scipy.stats import rankdata

from prelabel.calibrators import checked
from prelabel.choosing import LEAST
from prelabel.estimate import Estimate, FloatArray, bootstrap_each, ratio, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 10
PER_BIN = 10
"""Items that a reliability row has at the least, where there are as many."""

FEW_OF_A_KIND = 10
"""With fewer right items, or fewer wrong ones, DeLong's interval is too narrow."""

MOST_POINTS = 100
"""Points of a risk-coverage curve that are worth keeping."""

NOTHING = "no items with a confidence"
Z = float(ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Bin:
    """A row of a reliability plot: ``n`` items of like confidence, and the share ``right``.

    ``low`` and ``high`` are the ends of their confidence, ``confidence`` is its mean, and
    ``calibrated`` that of the calibrated confidence of the same items, where there is one.
    """

    n: int
    low: float
    high: float
    confidence: float
    right: Estimate
    calibrated: float | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """Taking all items with this confidence or more: their share of all, and their share wrong."""

    confidence: float
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class BinnedError:
    """The expected calibration error of ``bins`` bins of equal width, and what chance makes of it.

    It is never 0, not even of perfect confidences: ``chance`` is its mean, ``low`` to ``high`` its
    95% band, over items drawn right with just the probability that their confidence says.
    ``value`` is None where there is nothing to compute it from.
    """

    value: float | None
    chance: float | None
    low: float | None
    high: float | None
    n: int
    bins: int

    @property
    def beyond_chance(self) -> bool:
        """Whether it is larger than chance makes it."""
        return self.value is not None and self.high is not None and self.value > self.high


@dataclass(frozen=True, slots=True)
class ConfidenceScores:
    """How near the confidences of ``n`` items come to the probability of being right.

    ``overconfidence`` is the mean confidence less the share right. ``log_loss`` is in nats,
    ``brier_skill`` is 1 - Brier / that of always saying the share right (0 is no better than that).
    """

    n: int
    confidence: float | None
    overconfidence: Estimate
    log_loss: Estimate
    brier: Estimate
    brier_skill: Estimate
    ece: BinnedError


@dataclass(frozen=True, slots=True)
class OrderScores:
    """How well confidences put right items before wrong ones, whatever their size.

    ``aurc`` and ``augrc`` are areas under the risk-coverage curve, the lower the better: see
    `risk_coverage`.
    """

    auroc: Estimate
    aurc: Estimate
    augrc: Estimate
    curve: tuple[Risk, ...]


def confidence_scores(
    confidence: ArrayLike, right: ArrayLike, *, seed: int = 0
) -> ConfidenceScores:
    """Return the losses of confidences, from 0 to 1, beside whether each label was right.

    Means have Student's t interval, skill the bootstrap's over items. In the log-loss a probability
    counts as 1e-6 at the least. Raises InputError for confidences beyond 0 and 1, and for unequal
    lengths.
    """
    p, hit = checked(confidence, right)
    return ConfidenceScores(
        n=len(p),
        confidence=float(p.mean()) if len(p) else None,
        overconfidence=_mean(p - hit, hit, -1.0),
        log_loss=_mean(_losses(p, hit), hit),
        brier=_mean((p - hit) ** 2, hit),
        brier_skill=_resampled(p, hit, seed)[0],
        ece=calibration_error(p, hit, seed=seed),
    )


def order_scores(confidence: ArrayLike, right: ArrayLike, *, seed: int = 0) -> OrderScores:
    """Return how well confidences order items. Raises InputError as `confidence_scores` does.

    The intervals of the areas are the bootstrap's over items: with fewer than 100 they hold the
    truth in about nine cases of ten.
    """
    p, hit = checked(confidence, right)
    _, aurc, augrc = _resampled(p, hit, seed)
    return OrderScores(auroc(p, hit), aurc, augrc, curve(p, hit))


def log_loss_gain(before: ArrayLike, after: ArrayLike, right: ArrayLike) -> Estimate:
    """Return how much lower the mean log-loss is after than before, on the same items (nats)."""
    (p, hit), (q, _) = checked(before, right), checked(after, right)
    return _mean(_losses(p, hit) - _losses(q, hit), hit, -np.inf)


def auroc(confidence: ArrayLike, right: ArrayLike) -> Estimate:
    """Return the chance that a right item has more confidence than a wrong one, ties half.

    The interval is DeLong's on the logit scale (DeLong, DeLong and Clarke-Pearson 1988); with fewer
    than ten right or wrong items, or where none overlap, Newcombe's method 5 (2006). Not defined
    where all items are right, or all wrong.
    """
    p, hit = checked(confidence, right)
    m, n = int(hit.sum()), int((~hit).sum())
    if not m or not n:
        return Estimate(None, n=m + n, why=_one_kind(hit))
    ranks = rankdata(p)
    above = (ranks[hit] - rankdata(p[hit])) / n
    below = 1 - (ranks[~hit] - rankdata(p[~hit])) / m
    value = float(above.mean())
    if min(m, n) < FEW_OF_A_KIND or not 0 < value < 1:
        return Estimate(value, *_newcombe(value, m, n), m + n)
    error = sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n)
    half = Z * error / (value * (1 - value))
    low, high = (float(expit(logit(value) + side * half)) for side in (-1, 1))
    if not error:
        return Estimate(value, n=m + n, why="all items have the same confidence")
    return Estimate(value, low, high, m + n)


def risk_coverage(
    confidence: ArrayLike, right: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return coverage, selective risk and generalized risk, most confident first, a step an item.

    Selective risk is the share wrong of the items taken so far, generalized risk the wrong among
    them over all items. Items of equal confidence count as equally wrong: the mean of their block.
    AURC and AUGRC are the means of the two (Geifman and El-Yaniv 2017; Traub et al. 2024).
    """
    p, hit = checked(confidence, right)
    _, block = np.unique(-p, return_inverse=True)
    sizes = np.bincount(block)
    errors = np.sort(block) if not len(p) else (np.bincount(block, ~hit) / sizes)[np.sort(block)]
    wrong = np.cumsum(errors, dtype=np.float64)
    taken = np.arange(1, len(p) + 1)
    n = max(len(p), 1)
    return taken / n, wrong / taken, wrong / n


def curve(confidence: ArrayLike, right: ArrayLike, points: int = MOST_POINTS) -> tuple[Risk, ...]:
    """Return the risk-coverage curve at the ends of blocks of equal confidence, thinned."""
    p, hit = checked(confidence, right)
    if not len(p):
        return ()
    coverage, risk, _ = risk_coverage(p, hit)
    down = -np.sort(-p)
    ends = np.flatnonzero(np.append(down[1:] != down[:-1], True))
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, points).round().astype(np.int64))]
    return tuple(Risk(float(down[at]), float(coverage[at]), float(risk[at])) for at in kept)


def reliability(
    confidence: ArrayLike,
    right: ArrayLike,
    *,
    calibrated: ArrayLike | None = None,
    bins: int = BINS,
) -> tuple[Bin, ...]:
    """Return rows of about as many items each, by confidence; equal confidences stay together.

    There are fewer rows than ``bins`` where each would have fewer than ten items. ``calibrated``
    are other confidences of the same items, in the same order.
    """
    p, hit = checked(confidence, right)
    after = None if calibrated is None else checked(calibrated, hit)[0]
    if not len(p):
        return ()
    rows = max(1, min(bins, len(p) // PER_BIN))
    # a block of equal confidences goes where its middle lies
    place = ((rankdata(p) - 0.5) * rows / len(p)).astype(np.int64)
    found = []
    for own in (place == at for at in np.unique(place)):
        ends = float(p[own].min()), float(p[own].max())
        share = wilson(int(hit[own].sum()), int(own.sum()))
        mean = None if after is None else float(after[own].mean())
        found.append(Bin(share.n, *ends, float(p[own].mean()), share, mean))
    return tuple(found)


def calibration_error(
    confidence: ArrayLike,
    right: ArrayLike,
    *,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
) -> BinnedError:
    """Return the expected calibration error, beside what chance alone makes of it.

    Bins are of equal width, 1.0 is in the last: the sum over bins of ``|sum of (confidence -
    right)| / n``. Chance is simulated: ``right ~ Bernoulli(confidence)``, ``resamples`` times.
    """
    p, hit = checked(confidence, right)
    n = len(p)
    if not n:
        return BinnedError(None, None, None, None, 0, bins)
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    value = float(np.abs(np.bincount(place, p - hit, bins)).sum()) / n
    rng = np.random.default_rng(seed)
    drawn = [
        float(np.abs(np.bincount(place, p - (rng.random(n) < p), bins)).sum()) / n
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return BinnedError(value, float(np.mean(drawn)), low, high, n, bins)


class _Blocks(NamedTuple):
    """Patterns, the most confident first: their Brier loss, wrong or not, and blocks' starts."""

    loss: FloatArray
    wrong: FloatArray
    starts: NDArray[np.intp]
    harmonic: FloatArray


def _resampled(p: FloatArray, hit: NDArray[np.bool_], seed: int) -> list[Estimate]:
    """Return Brier skill, AURC and AUGRC, items resampled for all."""
    if not len(p):
        return [Estimate(None, why=NOTHING)] * 3
    rows, sizes = np.unique(np.column_stack([-p, ~hit]), axis=0, return_counts=True)
    confidence, wrong = -rows[:, 0], rows[:, 1]
    starts = np.flatnonzero(np.append(True, np.diff(confidence) != 0))
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, len(p) + 1)))
    blocks = _Blocks((confidence - 1 + wrong) ** 2, wrong, starts, harmonic)
    return bootstrap_each(
        lambda weights: _skill_and_areas(weights, blocks),
        sizes,
        seed=seed,
        jackknife_below=0,  # skill has no lower bound
        undefined=_one_kind(hit),
    )


def _skill_and_areas(weights: FloatArray, blocks: _Blocks) -> FloatArray:
    """Return the figures for weights of patterns, whole numbers.

    In a block of m items, k of them wrong, after N items with E wrong, the sum of selective risks
    ``(E + j k / m) / (N + j)`` over j = 1 … m is ``k + (E - N k / m) (H(N + m) - H(N))``.
    """
    n = weights.sum(axis=1)
    m = np.add.reduceat(weights, blocks.starts, axis=1)
    k = np.add.reduceat(weights * blocks.wrong, blocks.starts, axis=1)
    ends, errors = m.cumsum(axis=1), k.cumsum(axis=1)
    before, wrong = ends - m, errors - k
    reached = blocks.harmonic[ends.astype(np.int64)] - blocks.harmonic[before.astype(np.int64)]
    mean = ratio(k, m, 0.0)
    selective = (k + (wrong - before * mean) * reached).sum(axis=1) / n
    generalized = (m * wrong + mean * m * (m + 1) / 2).sum(axis=1) / n**2
    share = errors[:, -1] / n
    base = share * (1 - share)
    skill = 1 - ratio(weights @ blocks.loss / n, base)
    return np.column_stack([skill, selective, generalized])


def _losses(p: FloatArray, hit: NDArray[np.bool_]) -> FloatArray:
    found: FloatArray = -np.log(np.clip(np.where(hit, p, 1 - p), LEAST, 1.0))
    return found


def _mean(numbers: FloatArray, hit: NDArray[np.bool_], lowest: float = 0.0) -> Estimate:
    """Return a mean with Student's t interval, cut off at the lowest it can be."""
    n = len(numbers)
    if not n:
        return Estimate(None, why=NOTHING)
    mean = float(numbers.mean())
    if n == 1 or hit.all() or not hit.any():  # it would be too narrow
        return Estimate(mean, n=n, why=_one_kind(hit))
    half = float(stdtrit(n - 1, 0.975)) * float(numbers.std(ddof=1)) / sqrt(n)
    return Estimate(mean, max(mean - half, lowest), mean + half, n)


def _one_kind(hit: NDArray[np.bool_]) -> str:
    if len(hit) < 2:
        return "one item only" if len(hit) else NOTHING
    return f"all {len(hit)} items are {'right' if hit.all() else 'wrong'}"


def _newcombe(value: float, m: int, n: int) -> tuple[float, float]:
    """Return where a true area would be as far from ``value`` as 1.96 of its standard errors."""
    more = (m + n) / 2 - 1

    def beyond(area: float) -> float:
        spread = 1 + more * (1 - area) / (2 - area) + more * area / (1 + area)
        return (area - value) ** 2 - Z**2 * area * (1 - area) * spread / (m * n)

    # 0 and 1 are roots of their own
    low = 0.0 if value == 0 else float(brentq(beyond, 0.0, min(value, 1 - 1e-9)))
    high = 1.0 if value == 1 else float(brentq(beyond, max(value, 1e-9), 1.0))
    return low, high
