"""How long people take: labels an hour, and what suggestions save."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from prelabel.review.settling import Decision

if TYPE_CHECKING:
    from prelabel.estimate import Estimate, FloatArray

PAUSE = 10
"""So many times a reviewer's own median, and a minute at least, is no longer work but a pause."""

LEAST_PAUSE = 60.0


def first_decisions(rows: Sequence[Decision]) -> list[Decision]:
    """Return each author's first decision on each text of an item: later ones know it already."""
    found: dict[tuple[str, str, str], Decision] = {}
    for row in sorted(rows, key=lambda row: row.n):
        if row.kind == "decided":
            found.setdefault((row.author, row.item_id, row.item_hash), row)
    return list(found.values())


def without_pauses(rows: Sequence[Decision]) -> list[Decision]:
    """Return the decisions that took no more than `PAUSE` medians of their author's."""
    by_author: dict[str, list[float]] = {}
    for row in rows:
        by_author.setdefault(row.author, []).append(row.seconds)
    most = {name: max(LEAST_PAUSE, PAUSE * median(own)) for name, own in by_author.items()}
    return [row for row in rows if row.seconds <= most[row.author]]


def labels_an_hour(rows: Sequence[Decision]) -> Estimate:
    """Return decisions by the time from showing to storing, pauses left out."""
    import numpy as np

    from prelabel.estimate import bootstrap, ratio

    seconds = np.array([row.seconds for row in rows])

    def rate(weights: FloatArray) -> FloatArray:
        return 3600 * ratio(weights.sum(axis=1), weights @ seconds)

    ones = np.ones(len(rows))
    return bootstrap(rate, ones, jackknife_below=0, undefined="nothing was decided")


def time_saved(rows: Sequence[Decision]) -> tuple[Estimate, Estimate, Estimate]:
    """Return the median seconds blind and suggested, and the share that suggestions save.

    Only of decisions whose arm was drawn by lot, and not under a planted suggestion.
    """
    import numpy as np

    from prelabel.estimate import Estimate, bootstrap_each, ratio

    drawn = [row for row in rows if row.trial and (row.trial != "planted" or row.arm == "blind")]
    seconds = np.array([row.seconds for row in drawn])
    blind = np.array([row.arm == "blind" for row in drawn], dtype=bool)
    counts = (int(blind.sum()), int((~blind).sum()))
    arms = ("blind", "suggested")
    whys = [f"no item was shown {arm} by lot" for arm in arms]
    why = "; ".join(why for why, n in zip(whys, counts, strict=True) if not n)
    ns = (*counts, sum(counts))
    if why:
        alone, helped, saved = (Estimate(None, n=n, why=why) for n in ns)
        return alone, helped, saved

    def both(weights: FloatArray) -> FloatArray:
        alone = weighted_median(seconds[blind], weights[:, blind])
        helped = weighted_median(seconds[~blind], weights[:, ~blind])
        return np.stack([alone, helped, 1 - ratio(helped, alone)], axis=1)

    found = bootstrap_each(both, np.ones(len(drawn)), jackknife_below=0)
    alone, helped, saved = (
        Estimate(one.value, one.low, one.high, n, one.why) for one, n in zip(found, ns, strict=True)
    )
    return alone, helped, saved


def weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return for each row of weights the median of values, each counted so often; nan of none."""
    import numpy as np

    order = values.argsort()
    above = weights[:, order].cumsum(axis=1)
    half = above[:, -1:] / 2
    lower = (above < half).sum(axis=1)
    upper = np.minimum((above <= half).sum(axis=1), len(values) - 1)
    middle = (values[order][np.minimum(lower, len(values) - 1)] + values[order][upper]) / 2
    return np.where(half[:, 0] > 0, middle, np.nan)
