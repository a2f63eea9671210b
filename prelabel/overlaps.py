"""Agreement on labels that can agree in part: spans, relations, texts, paths, records.

Of two annotators it is the ratio of what agrees to what there is, summed over the items that both
labeled (for spans that is F1, which neither of them needs to be right for: Hripcsak and Rothschild
2005); of several it is the mean over pairs.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from prelabel.coefficients import agreeing_shares, alpha_statistic, pairable
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, bootstrap, wilson
from prelabel.reliability import MOST_PAIRED, Agreement, LabelAgreement, PairAgreement

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from prelabel.records import Label
    from prelabel.tasks import Measured

NOTHING = "neither names anything"


def overlap_agreement(
    labels: Mapping[str, Mapping[str, Label]], votes: pd.DataFrame, task: Measured, seed: int = 0
) -> Agreement:
    """Return how far annotators agree, with intervals from resampling items.

    ``labels`` are by annotator and item, ``votes`` the same as a vote table (for the task's
    declared units, each of which gets its own alpha). Raises ``InputError`` above 50 annotators.
    """
    names = sorted(name for name, own in labels.items() if own)
    if len(names) > MOST_PAIRED:
        raise InputError(
            f"agreement: {len(names)} annotators; choose {MOST_PAIRED} at most with --annotator"
        )
    items = sorted({item for own in labels.values() for item in own})
    items = [item for item in items if sum(item in labels[name] for name in names) > 1]
    pairs = list(combinations(names, 2))
    found = [_pair(labels[a], labels[b], items, task) for a, b in pairs]
    both = np.array(found).reshape(len(pairs), len(items), 3)
    return Agreement(
        n_items=len(items),
        n_annotators=len(names),
        metric="overlap",
        alpha=Estimate(None, n=len(items), why="it is given for each declared unit only"),
        percent=_percent(both),
        reading="",
        labels=tuple(_unit(votes, unit, seed) for unit in task.units()),
        pairs=tuple(
            _pair_agreement(a, b, rows, seed) for (a, b), rows in zip(pairs, both, strict=True)
        ),
        overlap=_mean_ratio(both, seed),
    )


def _pair(
    a: Mapping[str, Label], b: Mapping[str, Label], items: list[str], task: Measured
) -> list[tuple[float, float, float]]:
    """Return for each item what agrees, of how much, and 1 if both labels are equal, 0 if not.

    Not a number where one of the two has not labeled the item.
    """
    nothing = (0.0, 0.0, float("nan"))
    return [
        (*task.overlap(a[item], b[item]), float(a[item] == b[item]))
        if item in a and item in b
        else nothing
        for item in items
    ]


def _pair_agreement(a: str, b: str, rows: FloatArray, seed: int) -> PairAgreement:
    equal = rows[~np.isnan(rows[:, 2]), 2]
    percent = wilson(int(equal.sum()), len(equal), undefined="no item in common")
    ratio = _mean_ratio(rows[None], seed)
    kappa = Estimate(None, n=len(equal), why="labels agree in part")
    return PairAgreement(a, b, len(equal), percent, kappa, ratio)


def _mean_ratio(both: FloatArray, seed: int) -> Estimate:
    """Return the mean over pairs of what agrees / what there is; pairs x items x 3."""
    agreeing, of = both[:, :, 0].T, both[:, :, 1].T

    def mean(weights: FloatArray) -> FloatArray:
        total = weights @ of
        ratios = np.where(total > 0, weights @ agreeing / np.where(total > 0, total, 1), np.nan)
        defined = ~np.isnan(ratios)
        count = defined.sum(axis=1)
        summed = np.where(defined, ratios, 0.0).sum(axis=1)
        return np.where(count > 0, summed / np.maximum(count, 1), np.nan)

    return bootstrap(mean, np.ones(both.shape[1]), seed=seed, undefined=NOTHING)


def _percent(both: FloatArray) -> Estimate:
    """Return the mean share of annotator pairs that gave an item the very same label."""
    if not both.size:
        return Estimate(None, why="no item has labels of two annotators")
    known = ~np.isnan(both[:, :, 2])
    shares = np.where(known, both[:, :, 2], 0.0).sum(axis=0) / known.sum(axis=0)
    return wilson(float(min(shares.sum(), len(shares))), len(shares))


def _unit(votes: pd.DataFrame, unit: str, seed: int) -> LabelAgreement:
    """Return nominal alpha and percent agreement of one unit, whatever its values."""
    own = votes[votes["unit"] == unit]
    item, items = own["item"].factorize()
    value, values = own["value"].astype(str).factorize()
    width = max(len(values), 1)
    flat: Any = np.bincount(item * width + value, minlength=len(items) * width)
    counts = pairable(flat.reshape(len(items), width))
    why = "only one value occurs" if counts.shape[0] else "no item has two votes"
    alpha = bootstrap(alpha_statistic(counts), np.ones(counts.shape[0]), seed=seed, undefined=why)
    n = counts.shape[0]
    percent = wilson(min(float(agreeing_shares(counts).sum()), n), n, undefined=why)
    given = float((own["value"].astype(str) != "").mean()) if len(own) else 0.0
    return LabelAgreement(unit, given, alpha, percent)
