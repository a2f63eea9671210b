"""Agreement between annotators: alpha, percent agreement, pairs of annotators, confused labels.

Agreement says nothing about being right: see `prelabel.scoring` for that.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from prelabel.coefficients import (
    CodedVotes,
    IntArray,
    Level,
    agreeing_shares,
    alpha_statistic,
    code_votes,
    cohen_kappa,
    count_matrix,
    dense_counts,
    fixed_alpha,
    krippendorff_alpha,
    masi_distance,
    percent_agreement,
)
from prelabel.errors import InputError
from prelabel.estimate import JACKKNIFE_BELOW, Estimate, bootstrap, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from prelabel.records import Value

__all__ = [
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
MOST_EXAMPLES = 5
MOST_CONFUSED = 20
MOST_PAIRED = 50  # annotators; a table of all pairs of a crowd is neither readable nor cheap
MOST_SETS = 5_000  # different label sets; the distance matrix has the square of it
RARE, FEW_ITEMS = 0.1, 100


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two annotators on the ``n`` items that both labeled: percent agreement and Cohen's kappa.

    ``overlap`` is for labels that can agree in part, such as spans.
    """

    a: str
    b: str
    n: int
    percent: Estimate
    kappa: Estimate
    overlap: Estimate | None = None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two values that annotators gave to one item: in how many annotator pairs, and where.

    ``share`` is of all disagreeing pairs. For multi-label ``a`` is a label that one annotator
    gave and the other did not, and ``b`` is None. ``items`` holds up to five ids.
    """

    a: Value
    b: Value | None
    count: int
    share: float
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """One label as a yes/no question, or one level or field; ``share`` of the votes are not no."""

    label: str
    share: float
    alpha: Estimate
    percent: Estimate


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `agreement` finds. ``n_items`` counts the items with two votes or more.

    ``metric`` is the distance that alpha uses: the level, or "MASI" between label sets.
    ``labels`` is empty for single-label tasks, ``pairs`` with more than 50 annotators. ``overlap``
    is for labels that can agree in part, such as spans: the mean over pairs of annotators.
    """

    n_items: int
    n_annotators: int
    metric: str
    alpha: Estimate
    percent: Estimate
    reading: str
    labels: tuple[LabelAgreement, ...] = ()
    pairs: tuple[PairAgreement, ...] = ()
    confused: tuple[ConfusedPair, ...] = ()
    notes: tuple[str, ...] = ()
    overlap: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def agreement(
    votes: pd.DataFrame, values: Sequence[Value], level: Level = "nominal", seed: int = 0
) -> Agreement:
    """Return how far annotators agree, with intervals from resampling items.

    ``votes`` has the columns item, annotator, unit, value. With unit "" each item has one label;
    with a unit for each label and the values True and False it is multi-label: alpha is then over
    whole label sets with the MASI distance, percent agreement counts equal sets, and ``labels``
    has each label by itself. Raises InputError for votes that are not of either shape.
    """
    coded = code_votes(votes, values)
    if set(coded.units) <= {""}:
        return _single_label(coded, values, level, seed)
    if set(values) != {True, False} or "" in coded.units:
        raise InputError(
            "agreement: votes with several units must be True or False for each label; "
            "give one unit at a time"
        )
    if level != "nominal":
        raise InputError("agreement: multi-label votes have no order; use level 'nominal'")
    return _multi_label(coded, values, seed)


def _single_label(coded: CodedVotes, values: Sequence[Value], level: Level, seed: int) -> Agreement:
    counts = dense_counts(coded, len(values))
    paired = np.flatnonzero(counts.sum(axis=1) > 1)
    counts = counts[paired]
    patterns, sizes = _patterns(counts)
    why = _why(coded, len(paired), "only one label occurs")
    scale = _numbers(values) if level in ("interval", "ratio") else None
    alpha = bootstrap(alpha_statistic(patterns, level, scale), sizes, seed=seed, undefined=why)
    share = counts.sum(axis=0) / max(int(counts.sum()), 1)
    return Agreement(
        n_items=len(paired),
        n_annotators=len(coded.annotators),
        metric=level,
        alpha=alpha,
        percent=_percent(patterns, sizes, seed, why),
        reading=_reading(alpha),
        pairs=_pairwise(coded, coded.item, coded.annotator, coded.value),
        confused=_confused(counts, values, [coded.items[row] for row in paired]),
        notes=_notes(coded, len(paired), dict(zip(values, share.tolist(), strict=True))),
    )


def _multi_label(coded: CodedVotes, values: Sequence[Value], seed: int) -> Agreement:
    yes = values.index(True)
    item, annotator, code, sets = _label_sets(coded, yes)
    shape = (len(coded.items), len(sets))
    by_set = csr_array((np.ones(len(item)), (item, code)), shape=shape)
    paired = np.flatnonzero(by_set.sum(axis=1) > 1)
    by_set = by_set[paired]
    sizes = np.ones(len(paired))
    why = _why(coded, len(paired), "only one label set occurs")
    if len(sets) > MOST_SETS:
        alpha = Estimate(None, n=len(paired), why=f"more than {MOST_SETS:,} different label sets")
    else:
        distance = masi_distance(sets)
        alpha = bootstrap(fixed_alpha(by_set, distance), sizes, seed=seed, undefined=why)
    # items x labels x (given, not given)
    counts = dense_counts(coded, 2).reshape(len(coded.items), len(coded.units), 2)[paired]
    counts = counts[:, :, [yes, 1 - yes]]
    labels = [_label(counts[:, at], name, seed) for at, name in enumerate(coded.units)]
    return Agreement(
        n_items=len(paired),
        n_annotators=len(coded.annotators),
        metric="MASI",
        alpha=alpha,
        percent=_percent(by_set, sizes, seed, why),
        reading=_reading(alpha),
        labels=tuple(labels),
        pairs=_pairwise(coded, item, annotator, code),
        confused=_differing(counts, coded.units, [coded.items[row] for row in paired]),
        notes=_notes(coded, len(paired), {label.label: label.share for label in labels}),
    )


def _label(counts: IntArray, name: str, seed: int) -> LabelAgreement:
    patterns, sizes = _patterns(counts)
    why = "no item has two votes"
    if len(counts):
        why = "every vote is yes" if counts[:, 0].any() else "every vote is no"
    alpha = bootstrap(alpha_statistic(patterns), sizes, seed=seed, undefined=why)
    share = float(counts[:, 0].sum() / max(int(counts.sum()), 1))
    return LabelAgreement(name, share, alpha, _percent(patterns, sizes, seed, why))


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


def _patterns(counts: IntArray) -> tuple[Any, IntArray]:
    """Return the different rows of a count matrix (sparse) and how often each occurs."""
    base = int(counts.max(initial=0)) + 1
    if base ** counts.shape[1] < 2**62:  # a row is a number in that base: much faster to sort
        key = counts @ base ** np.arange(counts.shape[1], dtype=np.int64)
        _, first, sizes = np.unique(key, return_index=True, return_counts=True)
    else:
        _, first, sizes = np.unique(counts, axis=0, return_index=True, return_counts=True)
    return csr_array(counts[first].astype(np.float64)), sizes


def _percent(counts: Any, sizes: NDArray[Any], seed: int, why: str) -> Estimate:
    n = int(sizes.sum())
    if n == 0:
        return Estimate(None, why=why)
    shares = agreeing_shares(counts)
    if n >= JACKKNIFE_BELOW:
        found = bootstrap(lambda weights: weights @ shares / n, sizes, seed=seed)
        if found.low is not None:
            return found
    # of few items, or where none differs, resampling says too little: the score interval is safe
    return wilson(min(float(shares @ sizes), n), n)


def _why(coded: CodedVotes, n: int, otherwise: str) -> str:
    if not coded.annotators:
        return "there are no votes"
    if len(coded.annotators) == 1:
        return "there is only one annotator"
    return otherwise if n else "no item has votes of two annotators"


def _numbers(values: Sequence[Value]) -> list[float]:
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


def _notes(coded: CodedVotes, n: int, shares: Mapping[Any, float]) -> tuple[str, ...]:
    notes = []
    rare = [f"{value} ({share:.0%})" for value, share in shares.items() if 0 < share < RARE]
    if 0 < n < FEW_ITEMS and rare:
        notes.append(
            f"the intervals are likely too narrow: {n} items, and rare labels: {', '.join(rare)}"
        )
    if len(coded.annotators) > MOST_PAIRED:
        notes.append(f"pairs are not compared: more than {MOST_PAIRED} annotators")
    return tuple(notes)


def _pairwise(
    coded: CodedVotes, item: IntArray, annotator: IntArray, code: IntArray
) -> tuple[PairAgreement, ...]:
    names = coded.annotators
    if len(names) > MOST_PAIRED:
        return ()
    table = np.full((len(names), len(coded.items)), -1, dtype=np.int64)
    table[annotator, item] = code
    found = []
    for a, b in combinations(range(len(names)), 2):
        both = (table[a] >= 0) & (table[b] >= 0)
        x, y = table[a][both], table[b][both]
        percent = wilson(int((x == y).sum()), len(x), undefined="no item in common")
        found.append(PairAgreement(names[a], names[b], len(x), percent, cohen_kappa(x, y)))
    return tuple(found)


def _confused(
    counts: IntArray, values: Sequence[Value], items: Sequence[str]
) -> tuple[ConfusedPair, ...]:
    pairs = np.triu(counts.T.astype(np.float64) @ counts, 1)
    places = sorted(np.argwhere(pairs).tolist(), key=lambda at: -pairs[at[0], at[1]])
    return tuple(
        ConfusedPair(
            values[a],
            values[b],
            int(pairs[a, b]),
            float(pairs[a, b] / pairs.sum()),
            _examples(counts[:, a] * counts[:, b], items),
        )
        for a, b in places[:MOST_CONFUSED]
    )


def _differing(
    counts: IntArray, labels: Sequence[str], items: Sequence[str]
) -> tuple[ConfusedPair, ...]:
    differing = counts[:, :, 0] * counts[:, :, 1]
    total = differing.sum(axis=0)
    order = np.argsort(-total, kind="stable")[:MOST_CONFUSED].tolist()
    return tuple(
        ConfusedPair(
            labels[at],
            None,
            int(total[at]),
            float(total[at] / total.sum()),
            _examples(differing[:, at], items),
        )
        for at in order
        if total[at]
    )


def _examples(differing: IntArray, items: Sequence[str]) -> tuple[str, ...]:
    """Return the items where most annotator pairs differ, in order of id where equal."""
    where = np.flatnonzero(differing)
    order = where[np.argsort(-differing[where], kind="stable")]
    return tuple(items[row] for row in order[:MOST_EXAMPLES])
