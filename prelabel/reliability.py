"""Agreement between annotators: coefficients, each label, each pair, what is confused.

Agreement says nothing about being right: see `prelabel.scoring` for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from prelabel.agreement_records import Agreement, ConfusedPair, LabelAgreement, PairAgreement
from prelabel.annotator_pairs import (
    MOST_PAIRED,
    NOT_PAIRED,
    Given,
    all_but_one,
    every_pair,
    told_apart,
)
from prelabel.chance import (
    NO_PAIRS,
    agreement_weights,
    chance_corrected,
    specific_agreement,
)
from prelabel.coefficients import (
    CodedVotes,
    IntArray,
    Level,
    agreeing_shares,
    alpha_statistic,
    code_votes,
    count_matrix,
    dense_counts,
    fixed_alpha,
    jaccard_distance,
    krippendorff_alpha,
    masi_distance,
    percent_agreement,
)
from prelabel.disagreements import confused_values, contested_labels
from prelabel.errors import InputError
from prelabel.estimate import Estimate
from prelabel.resampling import Rows, cluster_numbers, estimate, every_row, few_clusters, mean_share

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from prelabel.records import Value

__all__ = [
    "MOST_PAIRED",
    "Agreement",
    "ConfusedPair",
    "LabelAgreement",
    "PairAgreement",
    "agreement",
    "count_matrix",
    "krippendorff_alpha",
    "percent_agreement",
]

EXCELLENT, GOOD = 0.8, 0.6
MOST_SETS = 5_000  # different label sets; the distance matrix has the square of it
MOST_LABELS = 200  # a table of more is not read, and each label has its own intervals
RARE, FEW_ITEMS, MOST_NAMED = 0.1, 100, 5
FEW_VARIED = 30  # items; at 21 of 200, the coverage of 95% intervals was 91% in simulation

Distance = Literal["MASI", "Jaccard"]
DISTANCES = {
    "nominal": lambda sets: 1 - np.eye(len(sets)),
    "MASI": masi_distance,
    "Jaccard": jaccard_distance,
}


class _Basis(NamedTuple):
    """What all figures of one call are made from."""

    coded: CodedVotes
    allowed: Sequence[Value]
    level: Level
    scale: list[float]
    cluster: IntArray | None
    declared: bool
    seed: int


def agreement(
    votes: pd.DataFrame,
    values: Sequence[Value],
    level: Level = "nominal",
    seed: int = 0,
    *,
    clusters: Mapping[str, Hashable] | None = None,
    distance: Distance = "MASI",
    declared: bool = True,
) -> Agreement:
    """Return how far annotators agree, with intervals from resampling items.

    ``votes`` has the columns item, annotator, unit, value. With unit "" each item has one label;
    with a unit for each label and the values True and False it is multi-label: alpha is then over
    whole label sets with the MASI or Jaccard ``distance``, percent agreement counts equal sets,
    and ``labels`` has each label by itself. ``clusters`` maps items to what they share, such as a
    document: clusters are then resampled. ``declared`` says whether ``values`` are all there are;
    on an open scale they are not. Raises InputError for votes that are not of either shape.
    """
    coded = code_votes(votes, values)
    cluster = cluster_numbers(coded.items, clusters)
    if set(coded.units) <= {""}:
        scale = _numbers(values, level)
        return _single_label(_Basis(coded, values, level, scale, cluster, declared, seed))
    if set(values) != {True, False} or "" in coded.units:
        raise InputError(
            "agreement: votes with several units must be True or False for each label; "
            "give one unit at a time"
        )
    if level != "nominal":
        raise InputError("agreement: multi-label votes have no order; use level 'nominal'")
    return _multi_label(_Basis(coded, values, level, [], cluster, declared, seed), distance)


def _single_label(basis: _Basis) -> Agreement:
    coded, values, level = basis.coded, basis.allowed, basis.level
    counts = dense_counts(coded, len(values))
    paired = np.flatnonzero(counts.sum(axis=1) > 1)
    why = _why(coded, len(paired))
    found = chance_corrected(
        counts,
        level,
        basis.scale,
        cluster=basis.cluster,
        declared=basis.declared,
        why=why,
        seed=basis.seed,
    )
    given = Given(coded.item, coded.annotator, coded.value, len(coded.items), coded.annotators)
    weightings = {} if level == "nominal" else _weightings(basis.scale)
    pairs = every_pair(given, weightings, basis.cluster)
    known = told_apart(given, pairs, weightings, basis.cluster, why=why, seed=basis.seed)
    share = counts[paired].sum(axis=0) / max(int(counts[paired].sum()), 1)
    shares = dict(zip(values, share.tolist(), strict=True))
    return Agreement(
        n_items=len(paired),
        n_annotators=len(coded.annotators),
        metric=level,
        alpha=found["alpha"],
        percent=found["percent"],
        reading=_reading(found["alpha"]),
        labels=_each_value(counts, basis, why),
        pairs=pairs,
        confused=confused_values(counts[paired], values, [coded.items[row] for row in paired]),
        notes=_notes(basis, paired, shares, _varied(counts[paired]), found["ac1"]),
        coefficients=_ordered(found, known),
        without=all_but_one(
            given,
            len(values),
            lambda some: alpha_statistic(some, level, basis.scale),
            basis.cluster,
            seed=basis.seed,
        ),
        n_clusters=_clusters(basis, paired),
    )


def _weightings(scale: Sequence[float]) -> dict[str, NDArray[np.float64]]:
    return {
        "linear": agreement_weights("linear", scale),
        "quadratic": agreement_weights("quadratic", scale),
    }


def _ordered(found: dict[str, Estimate], known: dict[str, Estimate]) -> dict[str, Estimate]:
    """Return the coefficients with the plain ones first, then the linear and the quadratic."""
    every = found | known
    kinds = ("_linear", "_quadratic")
    order = sorted(every, key=lambda name: [name.endswith(kind) for kind in reversed(kinds)])
    return {name: every[name] for name in order}


def _each_value(counts: IntArray, basis: _Basis, why: str) -> tuple[LabelAgreement, ...]:
    if basis.level in ("interval", "ratio") or not 1 < len(basis.allowed) <= MOST_LABELS:
        return ()
    votes = counts.sum(axis=1)
    return tuple(
        _label(np.column_stack([counts[:, at], votes - counts[:, at]]), name, basis, why)
        for at, name in enumerate(basis.allowed)
    )


def _multi_label(basis: _Basis, distance: Distance) -> Agreement:
    coded, yes = basis.coded, basis.allowed.index(True)
    item, annotator, code, sets = _label_sets(coded, yes)
    given = Given(item, annotator, code, len(coded.items), coded.annotators)
    votes = np.bincount(item, minlength=len(coded.items))
    paired = np.flatnonzero(votes > 1)
    why = _why(coded, len(paired))
    alphas = {name: _set_alpha(given, sets, name, basis, why) for name in DISTANCES}
    # items x labels x (given, not given)
    counts = dense_counts(coded, 2).reshape(len(coded.items), len(coded.units), 2)
    counts = counts[:, :, [yes, 1 - yes]]
    labels = [_label(counts[:, at], name, basis, why) for at, name in enumerate(coded.units)]
    percent = _equal_sets(given, len(sets), basis, why)
    shares = {label.label: label.share for label in labels}
    return Agreement(
        n_items=len(paired),
        n_annotators=len(coded.annotators),
        metric=distance,
        alpha=alphas[distance],
        percent=percent,
        reading=_reading(alphas[distance]),
        labels=tuple(labels),
        pairs=every_pair(given, {}, basis.cluster),
        confused=contested_labels(
            counts[paired], coded.units, [coded.items[row] for row in paired]
        ),
        notes=_notes(basis, paired, shares, len(paired)),
        coefficients={"percent": percent}
        | {f"alpha_{name.lower()}": alpha for name, alpha in alphas.items()},
        without=_without(given, sets, distance, basis),
        n_clusters=_clusters(basis, paired),
    )


def _set_counts(given: Given, width: int, basis: _Basis) -> tuple[Any, Rows]:
    """Return how often each paired item got each label set, and the items as rows."""
    ones = np.ones(len(given.item))
    counts = csr_array((ones, (given.item, given.value)), shape=(given.items, width))
    paired = np.flatnonzero(counts.sum(axis=1) > 1)
    cluster = None if basis.cluster is None else basis.cluster[paired]
    return counts[paired], every_row(len(paired), cluster)


def _set_alpha(
    given: Given, sets: NDArray[np.bool_], distance: str, basis: _Basis, why: str
) -> Estimate:
    counts, rows = _set_counts(given, len(sets), basis)
    if len(sets) > MOST_SETS:
        return Estimate(None, n=rows.n, why=f"more than {MOST_SETS:,} different label sets")
    statistic = fixed_alpha(counts, DISTANCES[distance](sets))
    why = "only one label set occurs" if rows.n else why
    return estimate(statistic, rows, undefined=why, seed=basis.seed)


def _without(
    given: Given, sets: NDArray[np.bool_], distance: str, basis: _Basis
) -> tuple[tuple[str, Estimate], ...]:
    if len(sets) > MOST_SETS:
        return ()
    apart = DISTANCES[distance](sets)
    return all_but_one(
        given, len(sets), lambda some: fixed_alpha(some, apart), basis.cluster, seed=basis.seed
    )


def _equal_sets(given: Given, width: int, basis: _Basis, why: str) -> Estimate:
    counts, rows = _set_counts(given, width, basis)
    return mean_share(agreeing_shares(counts), rows, undefined=why, seed=basis.seed)


def _label(counts: IntArray, name: Value, basis: _Basis, why: str) -> LabelAgreement:
    """Return the agreement on one label; ``counts`` is items x (given, not given)."""
    one = "every vote is yes" if counts[:, 0].any() else "every vote is no"
    found = chance_corrected(counts, cluster=basis.cluster, why=why, one=one, seed=basis.seed)
    specific = specific_agreement(counts, cluster=basis.cluster, why=why, seed=basis.seed)
    paired = counts[counts.sum(axis=1) > 1]
    share = float(paired[:, 0].sum() / max(int(paired.sum()), 1))
    return LabelAgreement(name, share, found["alpha"], found["percent"], specific, found["ac1"])


def _label_sets(
    coded: CodedVotes, yes: int
) -> tuple[IntArray, IntArray, IntArray, NDArray[np.bool_]]:
    """Return item, annotator and label-set number of each annotation, and the sets' members."""
    width = max(len(coded.annotators), 1)
    key, row = np.unique(coded.item * width + coded.annotator, return_inverse=True)
    if len(key) * len(coded.units) != len(row):
        votes = np.bincount(row)
        short = key[np.argmax(votes < len(coded.units))]
        raise InputError(
            f"agreement: item {coded.items[short // width]!r} lacks a vote on some label from "
            f"{coded.annotators[short % width]!r}; give True or False for each label"
        )
    members = np.zeros((len(key), len(coded.units)), dtype=bool)
    members[row, coded.unit] = coded.value == yes
    packed = np.packbits(members, axis=1)
    _, first, code = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    # numpy 2.0 alone gives the inverse a second axis
    return key // width, key % width, code.reshape(-1), members[first]


def _why(coded: CodedVotes, paired: int) -> str:
    """Return why nothing is defined, where no item has two votes."""
    if not coded.annotators:
        return "there are no votes"
    if len(coded.annotators) == 1:
        return "there is only one annotator"
    return "" if paired else NO_PAIRS


def _numbers(values: Sequence[Value], level: Level) -> list[float]:
    """Return the values as numbers, or their places where they are names."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values]
    if level not in ("interval", "ratio"):
        return [float(place) for place in range(len(values))]
    try:
        return [float(value) for value in values]
    except ValueError:
        raise InputError(
            "agreement: levels interval and ratio need numbers as values; use nominal or ordinal"
        ) from None


def _reading(alpha: Estimate) -> str:
    if alpha.value is None:
        return str(alpha)
    if alpha.value >= EXCELLENT:
        return "excellent"
    return "good" if alpha.value >= GOOD else "look at the guideline"


def _varied(counts: IntArray) -> int:
    """Return on how many items somebody gave another value than the commonest of all."""
    if not counts.size:
        return 0
    common = int(counts.sum(axis=0).argmax())
    return int((counts[:, common] < counts.sum(axis=1)).sum())


def _clusters(basis: _Basis, paired: IntArray) -> int:
    return 0 if basis.cluster is None else len(np.unique(basis.cluster[paired]))


def _notes(
    basis: _Basis,
    paired: IntArray,
    shares: Mapping[Any, float],
    varied: int,
    ac1: Estimate | None = None,
) -> tuple[str, ...]:
    """Say what to beware of; on ``varied`` items somebody gave another label than the commonest."""
    notes: list[str] = []
    rare = [f"{value} ({share:.0%})" for value, share in shares.items() if 0 < share < RARE]
    if rare and (0 < len(paired) < FEW_ITEMS or varied < FEW_VARIED):
        named = ", ".join(rare[:MOST_NAMED]) + (" and others" if len(rare) > MOST_NAMED else "")
        instead = "" if ac1 is None else f"AC1, {ac1:.2f}, and "
        notes.append(
            f"the intervals of alpha and kappa are likely too narrow: {len(paired)} items, and "
            f"rare labels: {named}; look at {instead}the agreement on each label too"
        )
    notes += few_clusters(None if basis.cluster is None else basis.cluster[paired])
    if len(basis.coded.annotators) > MOST_PAIRED:
        notes.append(NOT_PAIRED)
    return tuple(notes)
