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
from prelabel.estimate import Estimate, FloatArray
from prelabel.reliability import (
    MOST_PAIRED,
    Agreement,
    LabelAgreement,
    PairAgreement,
    agreement,
)
from prelabel.resampling import cluster_numbers, estimate, every_row, few_clusters, mean_share
from prelabel.span_scores import keys
from prelabel.unitizing import unitizing_alphas

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from prelabel.coefficients import IntArray
    from prelabel.records import Label
    from prelabel.tasks import Measured
    from prelabel.votes import Evidence

NOTHING = "neither names anything"


def agreement_of(
    evidence: Evidence,
    *,
    clusters: Mapping[str, Hashable] | None = None,
    lengths: Mapping[str, int] | None = None,
    declared: bool = True,
    seed: int = 0,
) -> Agreement:
    """Return how far the annotators of some evidence agree, by what fits its task.

    ``clusters`` and ``lengths`` are as in `overlap_agreement`; ``declared`` says whether the task's
    values are all there are.
    """
    from prelabel.tasks import Measured
    from prelabel.votes import vote_table

    task, votes = evidence.task, vote_table(evidence)
    if isinstance(task, Measured):
        labels = evidence.aligned_labels()
        return overlap_agreement(labels, votes, task, seed, clusters=clusters, lengths=lengths)
    values = task.values()
    declared = declared and values is not None
    if values is None:  # any number of a scale
        values = tuple(sorted(votes["value"].unique()))
    return agreement(
        votes, values, level=task.level, seed=seed, clusters=clusters, declared=declared
    )


def overlap_agreement(
    labels: Mapping[str, Mapping[str, Label]],
    votes: pd.DataFrame,
    task: Measured,
    seed: int = 0,
    *,
    clusters: Mapping[str, Hashable] | None = None,
    lengths: Mapping[str, int] | None = None,
) -> Agreement:
    """Return how far annotators agree, with intervals from resampling items.

    ``labels`` are by annotator and item, ``votes`` the same as a vote table (for the task's
    declared units, each of which gets its own alpha). ``clusters`` maps items to what they share,
    such as a document: clusters are then resampled. ``lengths`` of the items' texts are for spans:
    they get unitizing alpha too. Raises ``InputError`` above 50 annotators.
    """
    names = sorted(name for name, own in labels.items() if own)
    if len(names) > MOST_PAIRED:
        raise InputError(
            f"agreement: {len(names)} annotators; choose {MOST_PAIRED} at most with --annotator"
        )
    items = sorted({item for own in labels.values() for item in own})
    items = [item for item in items if sum(item in labels[name] for name in names) > 1]
    cluster = cluster_numbers(items, clusters)
    number = None if cluster is None else dict(zip(items, cluster.tolist(), strict=True))
    pairs = list(combinations(names, 2))
    found = [_pair(labels[a], labels[b], items, task) for a, b in pairs]
    both = np.array(found).reshape(len(pairs), len(items), 3)
    percent, overlap = _percent(both, cluster), _mean_ratio(both, cluster, seed)
    coefficients = {"percent": percent, "overlap": overlap}
    unitizing: dict[str, Estimate] = {}
    if lengths is not None:
        coefficients["unitizing_alpha"], unitizing = _unitizing(
            [labels[name] for name in names], lengths, number, seed
        )
    return Agreement(
        n_items=len(items),
        n_annotators=len(names),
        metric="overlap",
        alpha=Estimate(None, n=len(items), why="it is given for each declared unit only"),
        percent=percent,
        reading="",
        labels=tuple(_unit(votes, unit, number, seed) for unit in task.units()),
        pairs=tuple(
            _pair_agreement(a, b, rows, cluster, seed)
            for (a, b), rows in zip(pairs, both, strict=True)
        ),
        overlap=overlap,
        coefficients=coefficients,
        without=_all_but_one(names, pairs, both, cluster, seed),
        unitizing=tuple(unitizing.items()),
        notes=few_clusters(cluster),
        n_clusters=0 if cluster is None else len(np.unique(cluster)),
    )


def _all_but_one(
    names: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    both: FloatArray,
    cluster: IntArray | None,
    seed: int,
) -> tuple[tuple[str, Estimate], ...]:
    """Return the mean overlap without each annotator; none of fewer than three."""
    if len(names) < 3:
        return ()
    return tuple(
        (name, _mean_ratio(both[[name not in pair for pair in pairs]], cluster, seed))
        for name in names
    )


def _unitizing(
    labels: Sequence[Mapping[str, Label]],
    lengths: Mapping[str, int],
    number: Mapping[str, int] | None,
    seed: int,
) -> tuple[Estimate, dict[str, Estimate]]:
    """Return unitizing alpha of all labels and of each, over the items that all labeled."""
    items = sorted(set.intersection(*(set(own) for own in labels))) if len(labels) > 1 else []
    if not items:
        return Estimate(None, why="there is no item that several annotators all labeled"), {}
    for item in items:
        if item not in lengths:
            raise InputError(f"agreement: item {item!r} has no length; give one for each item")
    spans = [[sorted(keys(own[item])) for item in items] for own in labels]
    names = sorted({span[2] for row in spans for label in row for span in label})
    return unitizing_alphas(
        spans,
        [lengths[item] for item in items],
        names,
        cluster=_numbers(items, number),
        seed=seed,
    )


def _numbers(items: Sequence[str], number: Mapping[str, int] | None) -> IntArray | None:
    return None if number is None else np.array([number[item] for item in items], dtype=np.int64)


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


def _pair_agreement(
    a: str, b: str, rows: FloatArray, cluster: IntArray | None, seed: int
) -> PairAgreement:
    known = ~np.isnan(rows[:, 2])
    equal, own = rows[known, 2], None if cluster is None else cluster[known]
    percent = mean_share(
        equal, every_row(len(equal), own), undefined="no item in common", seed=seed, plain=True
    )
    ratio = _mean_ratio(rows[None], cluster, seed)
    kappa = Estimate(None, n=len(equal), why="labels agree in part")
    return PairAgreement(a, b, len(equal), percent, kappa, ratio)


def _mean_ratio(both: FloatArray, cluster: IntArray | None, seed: int) -> Estimate:
    """Return the mean over pairs of what agrees / what there is; pairs x items x 3."""
    agreeing, of = both[:, :, 0].T, both[:, :, 1].T

    def mean(weights: FloatArray) -> FloatArray:
        total = weights @ of
        ratios = np.where(total > 0, weights @ agreeing / np.where(total > 0, total, 1), np.nan)
        defined = ~np.isnan(ratios)
        count = defined.sum(axis=1)
        summed = np.where(defined, ratios, 0.0).sum(axis=1)
        return np.where(count > 0, summed / np.maximum(count, 1), np.nan)

    rows = every_row(both.shape[1], cluster)
    return estimate(mean, rows, undefined=NOTHING, seed=seed, lowest=0.0)


def _percent(both: FloatArray, cluster: IntArray | None) -> Estimate:
    """Return the mean share of annotator pairs that gave an item the very same label."""
    if not both.size:
        return Estimate(None, why="no item has labels of two annotators")
    known = ~np.isnan(both[:, :, 2])
    shares = np.where(known, both[:, :, 2], 0.0).sum(axis=0) / known.sum(axis=0)
    rows = every_row(len(shares), cluster)
    return mean_share(shares, rows, undefined="", seed=0, plain=True)


def _unit(
    votes: pd.DataFrame, unit: str, number: Mapping[str, int] | None, seed: int
) -> LabelAgreement:
    """Return nominal alpha and percent agreement of one unit, whatever its values."""
    own = votes[votes["unit"] == unit]
    item, items = own["item"].factorize()
    value, values = own["value"].astype(str).factorize()
    width = max(len(values), 1)
    flat: Any = np.bincount(item * width + value, minlength=len(items) * width)
    dense = flat.reshape(len(items), width)
    counts, several = pairable(dense), np.flatnonzero(dense.sum(axis=1) > 1)
    rows = every_row(len(several), _numbers([str(items[at]) for at in several.tolist()], number))
    why = "only one value occurs" if len(several) else "no item has two votes"
    alpha = estimate(alpha_statistic(counts), rows, undefined=why, seed=seed)
    shares = agreeing_shares(counts)
    percent = mean_share(shares, rows, undefined=why, seed=seed, plain=True)
    given = float((own["value"].astype(str) != "").mean()) if len(own) else 0.0
    return LabelAgreement(unit, given, alpha, percent)
