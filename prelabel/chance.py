"""Agreement beyond chance on one count matrix: Fleiss, Gwet, Brennan and Prediger, Conger.

All are ``(pa - pe) / (1 - pe)`` of the same observed agreement pa, the mean over units with two
votes or more of the (weighted) share of their annotator pairs that agree; they differ in pe, the
agreement expected by chance (Gwet, Handbook of Inter-Rater Reliability, 4th ed. 2014). Units with
one vote count for how frequent the values are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.sparse import csr_array

from prelabel.coefficients import IntArray, Level, agreeing_shares, alpha_statistic
from prelabel.estimate import JACKKNIFE_BELOW, Estimate, FloatArray, Statistic, ratio
from prelabel.resampling import Rows, distinct_rows, estimate, estimate_each, mean_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Weighting = Literal["nominal", "linear", "quadratic"]

ONE_OCCURS = "only one label occurs"
ONE_DECLARED = "only one label is declared"
OPEN = "the scale is open, so that there is no number of labels"
NO_PAIRS = "no item has votes of two annotators"
NEED_DECLARED = ("ac", "brennan")


def agreement_weights(kind: Weighting, scale: Sequence[float]) -> FloatArray:
    """Return how far each two values agree, values x values: 1 if equal, 0 if farthest apart.

    ``1 - d / max d``, d being the difference of two values' numbers, squared where quadratic
    (Cohen 1968); nominal is 1 or 0.
    """
    if kind == "nominal":
        return np.eye(len(scale))
    numbers = np.asarray(scale, dtype=np.float64)
    apart = np.abs(numbers[:, None] - numbers[None, :])
    apart /= apart.max(initial=0.0) or 1.0
    return 1 - (apart if kind == "linear" else apart**2)


def fleiss_kappa(counts: NDArray[Any], weights: FloatArray | None = None) -> float:
    """Return Fleiss' kappa of a count matrix (units x declared values); nan where not defined.

    Units may have different numbers of votes (Gwet 2014); with the same number it is that of
    Fleiss (1971), and of two annotators Scott's pi. Not defined: no unit with two votes, or only
    one value occurs.
    """
    return _value(counts, weights, 1)


def gwet_ac(counts: NDArray[Any], weights: FloatArray | None = None) -> float:
    """Return Gwet's AC1 of a count matrix, or AC2 with weights; nan where not defined.

    Gwet (2008), Br J Math Stat Psychol 61. Not defined: no unit with two votes, or only one value
    is declared.
    """
    return _value(counts, weights, 2)


def brennan_prediger(counts: NDArray[Any], weights: FloatArray | None = None) -> float:
    """Return Brennan and Prediger's (1981) kappa of a count matrix; nan where not defined.

    The same as Bennett's S and Randolph's free-marginal kappa. Not defined as in `gwet_ac`.
    """
    return _value(counts, weights, 3)


def conger_kappa(codes: IntArray, width: int, weights: FloatArray | None = None) -> float:
    """Return Conger's (1980) kappa of units x annotators value numbers, -1 where there is no vote.

    Chance agreement is the mean over pairs of annotators of that of their own frequencies, so that
    with two annotators who both labeled all it is Cohen's kappa. nan where not defined.
    """
    weights = np.eye(width) if weights is None else weights
    return float(conger_statistic(codes, width, [weights])(np.ones((1, len(codes))))[0, 0])


def _value(counts: NDArray[Any], weights: FloatArray | None, at: int) -> float:
    weights = np.eye(counts.shape[1]) if weights is None else weights
    statistic = chance_statistic(csr_array(counts.astype(np.float64)), weights)
    return float(statistic(np.ones((1, len(counts))))[0, at])


def chance_statistic(counts: Any, weights: FloatArray) -> Statistic:
    """Return percent agreement, Fleiss' kappa, AC and Brennan-Prediger as a function of weights.

    ``counts`` is sparse; ``weights`` (values x values) say how far two values agree. A unit without
    votes counts for nothing. The statistic's columns are nan where not defined.
    """
    votes = np.asarray(counts.sum(axis=1)).ravel()
    paired, agreeing = _pairs(counts, votes, weights)
    shares = csr_array(counts.multiply(1 / np.maximum(votes, 1)[:, None]))
    voted = (votes > 0).astype(np.float64)
    width = counts.shape[1]
    total = float(weights.sum())

    def each(drawn: FloatArray) -> FloatArray:
        percent = ratio(drawn @ agreeing, drawn @ paired)
        frequency = ratio(drawn @ shares, (drawn @ voted)[:, None])
        fleiss = ((frequency @ weights) * frequency).sum(axis=1)
        fleiss[(frequency > 0).sum(axis=1) < 2] = np.nan
        spread = (frequency * (1 - frequency)).sum(axis=1)
        gwet = total / (width * (width - 1)) * spread if width > 1 else np.full(len(drawn), np.nan)
        uniform = np.full(len(drawn), total / width**2 if width > 1 else np.nan)
        chance = np.column_stack([np.zeros(len(drawn)), fleiss, gwet, uniform])
        found: FloatArray = (percent[:, None] - chance) / (1 - chance)
        return found

    return each


def conger_statistic(codes: IntArray, width: int, weightings: Sequence[FloatArray]) -> Statistic:
    """Return Conger's kappa as a function of weights of the rows of ``codes``.

    A column for each matrix of weights; nan where not defined.
    """
    row, annotator = np.nonzero(codes >= 0)
    value = codes[row, annotator]
    counts = csr_array((np.ones(len(row)), (row, value)), shape=(len(codes), width))
    shape = (len(codes), codes.shape[1] * width)
    one_hot = csr_array((np.ones(len(row)), (row, annotator * width + value)), shape=shape)
    votes = np.asarray(counts.sum(axis=1)).ravel()
    observed = [_pairs(counts, votes, weights) for weights in weightings]

    def each(drawn: FloatArray) -> FloatArray:
        given = (drawn @ one_hot).reshape(len(drawn), -1, width)
        own = ratio(given, given.sum(axis=2, keepdims=True), 0.0)
        several = (given.sum(axis=1) > 0).sum(axis=1) > 1
        active = (given.sum(axis=2) > 0).sum(axis=1)
        columns = []
        for weights, (paired, agreeing) in zip(weightings, observed, strict=True):
            percent = ratio(drawn @ agreeing, drawn @ paired)
            together = own.sum(axis=1)
            crossed = ((together @ weights) * together).sum(axis=1)
            alone = ((own @ weights) * own).sum(axis=(1, 2))
            chance = np.where(several, ratio(crossed - alone, active * (active - 1.0)), np.nan)
            columns.append((percent - chance) / (1 - chance))
        return np.column_stack(columns)

    return each


def _pairs(counts: Any, votes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return which rows have two votes or more, and their share of agreeing pairs (else 0)."""
    paired = votes > 1
    same = np.asarray(counts.multiply(counts @ weights).sum(axis=1)).ravel() - votes
    agreeing = np.where(paired, same / np.maximum(votes * (votes - 1), 1), 0.0)
    return paired.astype(np.float64), agreeing


def chance_corrected(
    counts: NDArray[Any],
    level: Level = "nominal",
    scale: Sequence[float] | None = None,
    *,
    cluster: IntArray | None = None,
    declared: bool = True,
    why: str = NO_PAIRS,
    one: str = ONE_OCCURS,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return the coefficients of a count matrix, units x declared values, with their intervals.

    ``percent``, ``fleiss``, ``alpha`` (Krippendorff's at ``level``), ``ac1`` (Gwet) and
    ``brennan_prediger``; at another level than nominal also the first, second and last with linear
    and quadratic weights of ``scale`` (by default the values' places), and ``ac2_…``.
    ``cluster`` numbers the units' clusters, which are then resampled instead of units.
    ``declared``: whether the columns are all values there are; if not, AC and Brennan-Prediger
    are not defined. ``why``: the reason where no unit has two votes, ``one``: where there is only
    one value.
    """
    several = counts.sum(axis=1) > 1
    n = int(several.sum())
    if n == 0:
        return {name: Estimate(None, why=why) for name in names_of(level)}
    rows = distinct_rows(counts, cluster)
    every = csr_array(counts[rows.first].astype(np.float64))
    few = n < JACKKNIFE_BELOW
    found: dict[str, Estimate] = {}
    for kind in _kinds(level):
        weights = agreement_weights(kind, scale or range(counts.shape[1]))
        statistic = chance_statistic(every, weights)
        share, *kappas = estimate_each(statistic, rows, undefined=one, seed=seed, few=few)
        if share.low is not None:
            share = replace(share, low=max(share.low, 0.0))
        found |= dict(zip(_names(kind), [share, *kappas], strict=True))
    patterns, paired = _paired(counts, cluster)
    found["percent"] = mean_share(agreeing_shares(patterns), paired, undefined=why, seed=seed)
    alpha = alpha_statistic(patterns, level, scale)
    found["alpha"] = estimate(alpha, paired, undefined=one, seed=seed)
    uncounted = "" if declared and counts.shape[1] > 1 else ONE_DECLARED if declared else OPEN
    return {
        name: Estimate(None, n=n, why=uncounted)
        if uncounted and name.startswith(NEED_DECLARED)
        else replace(found[name], n=n)
        for name in names_of(level)
    }


def specific_agreement(
    counts: NDArray[Any],
    *,
    cluster: IntArray | None = None,
    why: str = NO_PAIRS,
    seed: int = 0,
) -> Estimate:
    """Return how often another vote is for the first value too, where one is.

    ``sum c (c - 1) / (r - 1)`` over ``sum c``, c of a unit's r votes being for the value (Fleiss,
    Statistical Methods for Rates and Proportions, 2nd ed. 1981, ch. 13.1).
    """
    patterns, rows = _paired(counts, cluster)
    votes = np.asarray(patterns.sum(axis=1)).ravel()
    own = patterns[:, [0]].toarray().ravel()
    again = own * (own - 1) / np.maximum(votes - 1, 1)
    return estimate(
        lambda drawn: ratio(drawn @ again, drawn @ own),
        rows,
        undefined="never given" if rows.n else why,
        seed=seed,
        lowest=0.0,
    )


def _paired(counts: NDArray[Any], cluster: IntArray | None) -> tuple[Any, Rows]:
    """Return the distinct rows of the units with two votes or more, as sparse floats."""
    several = counts.sum(axis=1) > 1
    kept = counts[several]
    rows = distinct_rows(kept, None if cluster is None else cluster[several])
    return csr_array(kept[rows.first].astype(np.float64)), rows


def names_of(level: Level) -> tuple[str, ...]:
    """Return the names of the coefficients at a level, the plain ones first."""
    first, *rest = (_names(kind) for kind in _kinds(level))
    percent, fleiss, *others = first
    return (percent, fleiss, "alpha", *others, *(name for names in rest for name in names))


def _kinds(level: Level) -> tuple[Weighting, ...]:
    return ("nominal",) if level == "nominal" else ("nominal", "linear", "quadratic")


def _names(kind: Weighting) -> tuple[str, ...]:
    if kind == "nominal":
        return ("percent", "fleiss", "ac1", "brennan_prediger")
    return tuple(f"{name}_{kind}" for name in ("percent", "fleiss", "ac2", "brennan_prediger"))
