"""Means and shares of a whole dataset, of labels for all of it and gold for a part.

The labels alone are biased, gold alone is little: prediction-powered inference takes gold's word
for the bias and the labels' for the rest. What is given in as labels must not have been fitted on
the same gold (cross-fit it), or the intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from prelabel.estimate import Estimate, FloatArray, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEWEST_GOLD = 100
FEWEST_DISAGREEMENTS = 10
"""With less of either, the normal interval of PPI++ under-covers: gold alone is used."""

Method = Literal["ppi++", "gold alone"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A dataset's mean, and how it was found.

    ``weight`` is the lambda of PPI++: how much the labels count, from 0 to 1; None where gold alone
    was used, ``why`` then says the reason. ``labels`` is the mean of the labels, not corrected.
    """

    estimate: Estimate
    method: Method
    labels: float
    weight: float | None = None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def ppi_mean(
    gold: ArrayLike,
    given: ArrayLike,
    pool: ArrayLike,
    *,
    weight: float | None = None,
    level: float = 0.95,
    ddof: Literal[0, 1] = 1,
) -> tuple[Estimate, float]:
    """Return the mean of gold over all items by PPI++, and the weight of the labels.

    ``gold`` and ``given`` are gold's and the labels' numbers of the n items with gold, ``pool`` the
    labels' of N others. theta = w mean(pool) + mean(gold - w given), with the variance
    Var(gold - w given) / n + w^2 Var(pool) / N; by default the weight is the best one,
    Cov(gold, given) / ((1 + n / N) Var(labels)), cut to 0 and 1 (Angelopoulos, Duchi and Zrnic
    2023, arXiv 2311.01453). ``ddof`` 0 gives the figures of the authors' own code. Raises
    ValueError for fewer than 2 items with gold, or an empty pool.
    """
    y, f, rest = (np.asarray(each, dtype=np.float64) for each in (gold, given, pool))
    n, others = len(y), len(rest)
    if n < 2 or len(f) != n or not others:
        raise ValueError(f"n >= 2 gold, as many labels, and a pool needed: {n}, {len(f)}, {others}")
    w = _weight(y, f, rest, ddof) if weight is None else weight
    error = y - w * f
    value = float(w * rest.mean() + error.mean())
    variance = float(error.var(ddof=ddof)) / n
    variance += w * w * float(rest.var(ddof=min(ddof, others - 1))) / others
    half = float(ndtri(0.5 + level / 2)) * sqrt(variance)
    return Estimate(value, value - half, value + half, n), w


def _weight(y: FloatArray, f: FloatArray, rest: FloatArray, ddof: int) -> float:
    spread = float(np.concatenate([f, rest]).var(ddof=1))
    if spread == 0:  # the labels say nothing
        return 0.0
    together = float(np.cov(y, f, ddof=ddof)[0, 1])
    return min(max(together / ((1 + len(y) / len(rest)) * spread), 0.0), 1.0)


def share(gold: Sequence[bool], given: Sequence[bool], pool: Sequence[bool]) -> Mean:
    """Return the share of items for which something is true, such as having a label.

    By PPI++, or where there are fewer than 100 items with gold or 10 where the labels differ from
    it, by gold alone with Wilson's interval.
    """
    y, f, rest = (np.asarray(each, dtype=bool) for each in (gold, given, pool))
    return _mean(y, f, rest, wilson(int(y.sum()), len(y), undefined="no gold"))


def mean(gold: Sequence[float], given: Sequence[float], pool: Sequence[float]) -> Mean:
    """Return the mean of a number, as `share` does; of gold alone with Student's t interval."""
    y, f, rest = (np.asarray(each, dtype=np.float64) for each in (gold, given, pool))
    n = len(y)
    if not n:
        alone = Estimate(None, why="no gold")
    elif n == 1:
        alone = Estimate(float(y[0]), n=1, why="one item only")
    else:
        half = float(stdtrit(n - 1, 0.975)) * float(y.std(ddof=1)) / sqrt(n)
        alone = Estimate(float(y.mean()), float(y.mean()) - half, float(y.mean()) + half, n)
    return _mean(y, f, rest, alone)


def _mean(y: Any, f: Any, rest: Any, alone: Estimate) -> Mean:
    labels = float(np.concatenate([f, rest]).mean()) if len(f) + len(rest) else 0.0
    differ = int((y != f).sum())
    why = ""
    if len(y) < FEWEST_GOLD:
        why = f"{len(y)} items with gold, {FEWEST_GOLD} are needed"
    elif differ < FEWEST_DISAGREEMENTS:
        why = f"labels differ from gold on {differ} items, {FEWEST_DISAGREEMENTS} are needed"
    elif not len(rest):
        why = "all items have gold"
    if why:
        return Mean(alone, "gold alone", labels, why=why)
    found, weight = ppi_mean(y, f, rest)
    binary = y.dtype == bool  # a share lies within 0 and 1
    if binary and found.low is not None and found.high is not None:
        found = Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0), found.n)
    return Mean(found, "ppi++", labels, weight)


def known_chance_mean(
    given: ArrayLike, gold: ArrayLike, chance: ArrayLike, level: float = 0.95
) -> Estimate:
    """Return the mean of gold over all items, where each had a known chance to get gold.

    ``given`` are the labels' numbers of all items, ``gold`` gold's with nan where there is none,
    ``chance`` each item's probability to be drawn. It is the mean of f + R / pi (Y - f), without
    bias however the chances were chosen (Egami et al. 2023, arXiv 2306.04746; Zrnic and Candes
    2024, arXiv 2403.03208), if they are above 0 and items were drawn independently. Raises
    ValueError for a chance that is not above 0 and at most 1, and without two items.
    """
    f, y, pi = (np.asarray(each, dtype=np.float64) for each in (given, gold, chance))
    if len(f) < 2 or not ((pi > 0) & (pi <= 1)).all():
        raise ValueError("two items or more are needed, each with a chance above 0 and at most 1")
    seen = ~np.isnan(y)
    made = f + np.where(seen, (np.where(seen, y, 0.0) - f) / pi, 0.0)
    value = float(made.mean())
    half = float(ndtri(0.5 + level / 2)) * float(made.std(ddof=1)) / sqrt(len(made))
    return Estimate(value, value - half, value + half, int(seen.sum()))
