"""How many gold items an answer takes, before they are paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, comb, log2, sqrt
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from prelabel.errors import InputError
from prelabel.estimate import FloatArray, wilson
from prelabel.paired import mcnemar, tango_z

MOST_ITEMS = 10_000_000
MOST_OUTCOMES = 200_000
MOST_EXACT = 50_000  # items; above, the formula is as good as exact and much faster
_UNLIKELY = 1e-9  # counts rarer than this are left out of exact sums


@dataclass(frozen=True, slots=True)
class GoldSize:
    """``items`` gold items answer ``question`` under ``assumed``.

    ``power`` is the chance of the answer with so many items, if what is assumed is so, summed over
    all outcomes; None where the answer is an interval.
    """

    question: str
    assumed: str
    items: int
    power: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def gold_size(
    *,
    width: float = 0.1,
    accuracy: float = 0.85,
    difference: float = 0.05,
    discordance: float = 0.2,
    margin: float = 0.05,
    agreement: float = 0.7,
    shares: Sequence[float] = (0.5, 0.5),
    annotators: int = 3,
    comparisons: int = 1,
    power: float = 0.8,
) -> list[GoldSize]:
    """Return the gold items that each question takes.

    ``width`` is the whole width of a 95% interval; ``discordance`` the share of items that just one
    of two annotators gets right (no more than the sum of their error rates, and about as much if
    they err independently); ``shares`` those of the labels; ``comparisons`` how many pairs are
    compared, each then tested at .05 / comparisons. Raises InputError for impossible settings.
    """
    if comparisons < 1:
        raise InputError(f"gold size: comparisons must be 1 or more, got {comparisons}")
    _share("power", power)
    alpha = 0.05 / comparisons
    told = items_for_difference(difference, discordance, power=power, alpha=alpha)
    safe = items_for_noninferiority(margin, discordance, power=power, alpha=alpha)
    many = f", {comparisons} comparisons" if comparisons > 1 else ""
    apart = f"just one of two right on {discordance:.0%} of items{many}"
    listed = "/".join(f"{share:g}" for share in shares)
    return [
        GoldSize(
            f"accuracy with an interval {width:g} wide",
            f"accuracy {accuracy:g}",
            items_for_accuracy(width, accuracy),
        ),
        GoldSize(
            f"which of two annotators is better, {difference:g} apart in accuracy",
            apart,
            told,
            power_of_difference(told, difference, discordance, alpha=alpha)
            if told <= MOST_EXACT
            else power,
        ),
        GoldSize(
            f"whether one is worse than another by less than {margin:g}",
            f"equally accurate, {apart}",
            safe,
            power_of_noninferiority(safe, margin, discordance, alpha=alpha)
            if safe <= MOST_EXACT
            else power,
        ),
        GoldSize(
            f"kappa or alpha with an interval {width:g} wide",
            f"{annotators} annotators, agreement {agreement:g}, labels {listed}",
            items_for_agreement(width, agreement, shares, annotators),
        ),
    ]


def items_for_accuracy(width: float, accuracy: float = 0.85, level: float = 0.95) -> int:
    """Return the items for which Wilson's interval of an accuracy is at most ``width`` wide."""
    _share("width", width)
    _share("accuracy", accuracy, ends=True)

    def wide(n: int) -> float:
        found = wilson(accuracy * n, n, level)
        return (found.high or 0.0) - (found.low or 0.0)

    low, high = 0, 1
    while wide(high) > width:
        low, high = high, high * 2
        if high > MOST_ITEMS:
            raise InputError(f"gold size: width {width:g} takes over {MOST_ITEMS:,} items")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) > width else (low, middle)
    return high


def items_for_difference(
    difference: float, discordance: float, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Return the items with which McNemar's test finds a difference in accuracy.

    ``(z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2`` with psi the share of items that just one of
    the two gets right (Connor 1987). Raises InputError unless ``0 < difference <= discordance``.
    """
    difference = abs(difference)
    _paired(difference, discordance)
    z_a, z_b = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    root = z_a * sqrt(discordance) + z_b * sqrt(discordance - difference**2)
    # so many items must tell the two apart that the test can reject at all: its least p is 2^-m
    least = ceil(log2(1 / alpha)) / discordance
    return max(ceil((root / difference) ** 2 - 1e-9), ceil(least))


def items_for_noninferiority(
    margin: float,
    discordance: float,
    difference: float = 0.0,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int:
    """Return the items that show one annotator to be worse by less than ``margin``.

    ``difference`` is by how much it really is better (below 0: worse). The one-sided test at
    ``alpha``: ``(z_a + z_b)^2 (psi - d^2) / (margin + d)^2`` (Liu et al. 2002). Raises InputError
    where the difference is not within the margin.
    """
    _share("margin", margin)
    _share("discordance", discordance)
    if not -margin < difference <= discordance or -difference > discordance:
        raise InputError(
            f"gold size: a difference of {difference:g} cannot be shown to be within {margin:g} "
            f"with a discordance of {discordance:g}; give a wider margin"
        )
    z = float(ndtri(1 - alpha) + ndtri(power))
    return max(1, ceil(z**2 * (discordance - difference**2) / (margin + difference) ** 2 - 1e-9))


def power_of_difference(
    n: int, difference: float, discordance: float, *, alpha: float = 0.05
) -> float:
    """Return the chance that McNemar's mid-p test of ``n`` items finds a difference, exactly."""
    _paired(difference, discordance)
    b, c, chance = _outcomes(n, difference, discordance)
    return float(chance[mcnemar(b, c) <= alpha].sum())


def power_of_noninferiority(
    n: int, margin: float, discordance: float, difference: float = 0.0, *, alpha: float = 0.05
) -> float:
    """Return the chance that Tango's test of ``n`` items shows non-inferiority, exactly."""
    b, c, chance = _outcomes(n, difference, discordance)
    return float(chance[tango_z(b, c, n, -margin) >= ndtri(1 - alpha)].sum())


def _outcomes(
    n: int, difference: float, discordance: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return all likely counts (right only in the first, only in the second) and their chances."""
    low, high = binom.ppf([_UNLIKELY, 1 - _UNLIKELY], n, discordance)
    b, c, chance = [], [], []
    share = min((discordance + difference) / (2 * discordance), 1.0)
    for total in range(int(low), int(high) + 1):
        first, last = binom.ppf([_UNLIKELY, 1 - _UNLIKELY], total, share)
        own = np.arange(max(int(first), 0), int(last) + 1)
        b.append(own)
        c.append(total - own)
        chance.append(binom.pmf(total, n, discordance) * binom.pmf(own, total, share))
    return np.concatenate(b), np.concatenate(c), np.concatenate(chance)


def items_for_agreement(
    width: float,
    agreement: float = 0.7,
    shares: Sequence[float] = (0.5, 0.5),
    annotators: int = 2,
    level: float = 0.95,
) -> int:
    """Return the items for which an interval of kappa or nominal alpha is about ``width`` wide.

    The model: each item has a label, ``shares`` say how often which; an annotator gives it with
    probability ``sqrt(agreement)`` and else one at random, by the same shares, so that kappa of
    each pair is ``agreement``. The variance is that of alpha's linear part, over all outcomes of an
    item; for two annotators and two labels it is the formula of Bloch and Kraemer 1989. It holds
    for many items: where the answer is under 50, or a share of it under 10, take more.
    """
    _share("width", width)
    _share("agreement", agreement, ends=True)
    if annotators < 2:
        raise InputError(f"gold size: agreement takes two annotators, got {annotators}")
    p = np.asarray(shares, dtype=np.float64)
    if len(p) < 2 or not (p > 0).all() or abs(p.sum() - 1) > 1e-6:
        raise InputError(f"gold size: shares must be over 0 and add up to 1, got {list(shares)}")
    if comb(annotators + len(p) - 1, annotators) > MOST_OUTCOMES:
        raise InputError("gold size: too many labels or annotators; put the rarest labels together")
    z = float(ndtri(0.5 + level / 2))
    return max(2, ceil(_item_variance(agreement, p / p.sum(), annotators) * (2 * z / width) ** 2))


def _item_variance(agreement: float, p: FloatArray, annotators: int) -> float:
    """Return the variance of an item's part in alpha, ``1 - Do / De``.

    Do is the mean disagreement of an item's pairs and De that of two labels at random; the part is
    what alpha gains, to first order, from one more such item.
    """
    counts, chance = _count_outcomes(agreement, p, annotators)
    apart = 1 - (counts * (counts - 1)).sum(axis=1) / (annotators * (annotators - 1))
    expected = 1 - p @ p
    # De changes with an item's labels by the derivative of 1 - p.p
    by_chance = 2 * ((1 - counts @ p / annotators) - expected)
    part = -(apart - (1 - agreement) * expected) / expected + (1 - agreement) * by_chance / expected
    return float(chance @ part**2)


def _count_outcomes(
    agreement: float, p: FloatArray, annotators: int
) -> tuple[FloatArray, FloatArray]:
    """Return all ways in which an item's annotators may label it, as counts, with their chances."""
    known = sqrt(agreement)
    states: dict[tuple[int, ...], FloatArray] = {(0,) * len(p): p}  # chances by the item's label
    given = known * np.eye(len(p)) + (1 - known) * p  # label of the item x label given
    for _ in range(annotators):
        grown: dict[tuple[int, ...], FloatArray] = {}
        for counts, chance in states.items():
            for label in range(len(p)):
                key = (*counts[:label], counts[label] + 1, *counts[label + 1 :])
                grown[key] = grown.get(key, 0.0) + chance * given[:, label]
        states = grown
    return np.array(list(states), dtype=np.float64), np.array([c.sum() for c in states.values()])


def _share(what: str, value: float, *, ends: bool = False) -> None:
    if not (0 < value < 1 or (ends and value in (0, 1))):
        raise InputError(f"gold size: {what} must be a share from 0 to 1, got {value:g}")


def _paired(difference: float, discordance: float) -> None:
    _share("discordance", discordance, ends=discordance == 1)
    if not 0 < abs(difference) <= discordance:
        raise InputError(
            f"gold size: a difference of {difference:g} needs a discordance of at least as much, "
            f"got {discordance:g}; just one of two is right on more items than they differ by"
        )


def read_shares(text: str) -> list[float]:
    """Return the shares in a list with commas. Raises InputError where one is no number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"gold size: shares {text!r}; give numbers, such as 0.9,0.1") from None
