"""Scores of annotators against gold: coverage, accuracy, F1, kappa, confusion, cost, time.

Only labeled items are right or wrong. Abstained and failed annotations lower coverage and are
counted apart; they are never a label and never an error. Items that an annotator's prompts used
as examples are left out of its score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from prelabel.coefficients import IntArray, code_votes
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, Statistic, bootstrap_each, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from prelabel.records import Value

OUTCOMES = ("labeled", "abstained", "failed")
FEW_OF_A_LABEL = 10
NOTHING_LABELED = "nothing was labeled"
NOTHING_ANNOTATED = "no gold item was annotated"


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label: ``support`` gold items have it, ``predicted`` got it, ``hits`` are both."""

    label: Value
    support: int
    predicted: int
    hits: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True, slots=True)
class Wrong:
    """A labeled item whose label is not gold's; for multi-label both are lists of labels."""

    item: str
    gold: Value | list[str]
    given: Value | list[str]


@dataclass(frozen=True, slots=True)
class Score:
    """One annotator against gold.

    ``gold_n`` gold items were annotated and count; ``left_out`` gold items were examples in its
    prompts, ``unlabeled`` ones have no annotation yet. ``gold_n`` is ``labeled`` + ``abstained`` +
    the sum of ``failed`` (by kind); coverage is ``labeled / gold_n``. All else is of the labeled
    items: ``accuracy`` needs every unit right, ``macro_f1`` is the mean over labels that gold or
    the annotator uses (``skipped`` names the others), and for multi-label ``cohen_kappa`` and
    ``mcc`` are means over the labels where they are defined. ``micro_f1`` is for multi-label only,
    ``confusion`` (rows gold, columns given, in the order of ``labels``) for single label only.
    Costs are dollars for all ``gold_n`` annotations, None where a price is unknown; the interval of
    ``cost_per_correct`` is that of the share of right labels. Latency is in seconds.
    """

    annotator: str
    gold_n: int
    left_out: int
    unlabeled: int
    labeled: int
    abstained: int
    failed: dict[str, int]
    coverage: Estimate
    accuracy: Estimate
    macro_f1: Estimate
    micro_f1: Estimate | None
    cohen_kappa: Estimate
    mcc: Estimate
    labels: tuple[LabelScore, ...]
    skipped: tuple[Value, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    cost_total: float | None
    cost_per_correct: Estimate
    seconds_mean: float | None
    wrong: tuple[Wrong, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


class _Truth(NamedTuple):
    """Gold as value numbers, items x units."""

    items: pd.Index
    units: pd.Index
    codes: IntArray
    declared: tuple[Value, ...]
    multi: bool

    @property
    def labels(self) -> tuple[Value, ...]:
        return tuple(self.units) if self.multi else self.declared


class _Patterns(NamedTuple):
    """Labeled items that are alike: how many, and which labels gold and the annotator gave."""

    sizes: IntArray
    gold: NDArray[np.bool_]
    given: NDArray[np.bool_]


def score(
    votes: pd.DataFrame,
    outcomes: pd.DataFrame,
    gold: pd.DataFrame,
    values: Sequence[Value],
    *,
    multi: bool,
    seed: int = 0,
) -> list[Score]:
    """Score each annotator in ``outcomes`` against gold, sorted by name.

    ``votes`` has the columns item, annotator, unit, value; ``gold`` item, unit, value; ``outcomes``
    a row an annotation: item, annotator, outcome, failure, cost, latency, shown (ids of the items
    that the prompt used as examples). ``values`` are the labels, or with ``multi`` True and False,
    with one unit a label. Votes count only for items whose outcome is labeled. Shares have Wilson
    intervals, all else intervals from resampling items. Raises InputError for undeclared values,
    two annotations of one item by one annotator, and labeled items without a vote.
    """
    units = pd.Index(gold["unit"].unique() if multi else [""])
    items = pd.Index(gold["item"].unique())
    codes = _table(gold.assign(annotator="gold"), values, items, units, "gold")
    truth = _Truth(items, units, codes, tuple(values), multi)
    by_name = {str(name): rows for name, rows in outcomes.groupby("annotator", sort=False)}
    votes_of = {str(name): rows for name, rows in votes.groupby("annotator", sort=False)}
    return [
        _score_one(name, votes_of.get(name, votes.iloc[:0]), by_name[name], truth, seed)
        for name in sorted(by_name)
    ]


def _table(
    votes: pd.DataFrame, values: Sequence[Value], items: pd.Index, units: pd.Index, what: str
) -> IntArray:
    """Return the value numbers of one annotator, items x units; each cell must have a vote."""
    coded = code_votes(votes, values, what)
    row = items.get_indexer(pd.Index(coded.items))[coded.item]
    column = units.get_indexer(pd.Index(coded.units))[coded.unit]
    for place in np.flatnonzero(column < 0)[:1]:
        raise InputError(
            f"{what}: item {coded.items[coded.item[place]]!r} has a vote on "
            f"{coded.units[coded.unit[place]]!r}, which gold lacks; use one label set for both"
        )
    codes = np.full((len(items), len(units)), -1, dtype=np.int64)
    codes[row, column] = coded.value
    for at_item, at_unit in np.argwhere(codes < 0)[:1]:
        on = f" on {units[at_unit]!r}" if units[at_unit] else ""
        raise InputError(
            f"{what}: item {items[at_item]!r} is labeled but has no vote{on}; "
            f"give one, or make its outcome abstained or failed"
        )
    return codes


def _considered(name: str, own: pd.DataFrame, truth: _Truth) -> tuple[pd.DataFrame, int, int]:
    """Return the annotations that count, in gold's order; how many are left out or missing."""
    own = own.set_index("item")
    for item in own.index[own.index.duplicated()][:1]:
        raise InputError(f"outcomes: item {item!r} has two annotations from {name!r}; keep one")
    for outcome in own.loc[~own["outcome"].isin(OUTCOMES), "outcome"][:1]:
        raise InputError(f"outcomes: {outcome!r} is no outcome; use {', '.join(OUTCOMES)}")
    shown = {item for ids in own["shown"] for item in ids}
    eligible = truth.items[~truth.items.isin(shown)]
    rows = own.loc[eligible[eligible.isin(own.index)]]
    return rows, len(truth.items) - len(eligible), len(eligible) - len(rows)


def _score_one(
    name: str, votes: pd.DataFrame, own: pd.DataFrame, truth: _Truth, seed: int
) -> Score:
    rows, left_out, unlabeled = _considered(name, own, truth)
    items = rows.index[rows["outcome"] == "labeled"]
    mine = votes[votes["item"].isin(items)].assign(annotator=name)
    given = _table(mine, truth.declared, items, truth.units, f"votes of {name!r}")
    gold = truth.codes[truth.items.get_indexer(items)]
    right = (gold == given).all(axis=1)
    failures = rows.loc[rows["outcome"] == "failed", "failure"].fillna("unknown").value_counts()
    nothing = NOTHING_LABELED if len(rows) else NOTHING_ANNOTATED
    table = _patterns(gold, given, truth)
    f1, chance = _resampled(table, multi=truth.multi, nothing=nothing, seed=seed)
    labels = _label_scores(table, truth.labels, f1[2:], nothing)
    cost = float(rows["cost"].astype(float).sum(skipna=False))
    latency = float(rows["latency"].astype(float).mean()) if len(rows) else float("nan")
    return Score(
        annotator=name,
        gold_n=len(rows),
        left_out=left_out,
        unlabeled=unlabeled,
        labeled=len(items),
        abstained=int((rows["outcome"] == "abstained").sum()),
        failed={str(kind): int(count) for kind, count in sorted(failures.items())},
        coverage=wilson(len(items), len(rows), undefined=NOTHING_ANNOTATED),
        accuracy=wilson(int(right.sum()), len(items), undefined=nothing),
        macro_f1=f1[0],
        micro_f1=f1[1] if truth.multi else None,
        cohen_kappa=chance[0],
        mcc=chance[1],
        labels=labels,
        skipped=tuple(label.label for label in labels if not label.support + label.predicted),
        confusion=None if truth.multi else _confusion(gold, given, len(truth.declared)),
        cost_total=None if isnan(cost) else cost,
        cost_per_correct=_cost_per_correct(cost, int(right.sum()), len(rows), nothing),
        seconds_mean=None if isnan(latency) else latency,
        wrong=_wrong(items, gold, given, right, truth),
        notes=_notes(labels),
    )


def _patterns(gold: IntArray, given: IntArray, truth: _Truth) -> _Patterns:
    if truth.multi:
        yes = truth.declared.index(True)
        both = np.concatenate([gold == yes, given == yes], axis=1)
        distinct, sizes = np.unique(both, axis=0, return_counts=True)
        width = len(truth.units)
        return _Patterns(sizes, distinct[:, :width], distinct[:, width:])
    width = len(truth.declared)
    cells, sizes = np.unique(gold[:, 0] * width + given[:, 0], return_counts=True)
    one_hot = np.eye(width, dtype=bool)
    return _Patterns(sizes, one_hot[cells // width], one_hot[cells % width])


def _resampled(
    table: _Patterns, *, multi: bool, nothing: str, seed: int
) -> tuple[list[Estimate], list[Estimate]]:
    """Return [macro F1, micro F1, F1 of each label] and [Cohen's kappa, MCC]."""
    empty = not table.sizes.sum()
    # percentiles also for few items: F1 jumps where a label's only item is left out
    f1 = bootstrap_each(
        _f1_statistic(table),
        table.sizes,
        seed=seed,
        jackknife_below=0,
        undefined=nothing if empty else "occurs neither in gold nor among the labels given",
    )
    chance = bootstrap_each(
        _chance_statistic(table, multi=multi),
        table.sizes,
        seed=seed,
        undefined=nothing if empty else "gold or the annotator uses one label only",
    )
    return f1, chance


def _f1_statistic(table: _Patterns) -> Statistic:
    gold, given = table.gold.astype(np.float64), table.given.astype(np.float64)

    def f1(weights: FloatArray) -> FloatArray:
        hits, used = weights @ (gold * given), weights @ (gold + given)
        each = _divide(2 * hits, used)
        micro = _divide(2 * hits.sum(axis=1), used.sum(axis=1))
        return np.column_stack([_mean_defined(each), micro, each])

    return f1


def _chance_statistic(table: _Patterns, *, multi: bool) -> Statistic:
    """Cohen's kappa and MCC (over all classes: Gorodkin 2004), or their means over labels."""
    gold, given = table.gold.astype(np.float64), table.given.astype(np.float64)

    def single(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1)
        hits = (weights @ (gold * given)).sum(axis=1)
        of_gold, of_given = weights @ gold, weights @ given
        by_chance = (of_gold * of_given).sum(axis=1)
        left = (n**2 - (of_gold**2).sum(axis=1)) * (n**2 - (of_given**2).sum(axis=1))
        kappa = _divide(n * hits - by_chance, n**2 - by_chance)
        return np.column_stack([kappa, _divide(n * hits - by_chance, np.sqrt(left))])

    def mean_of_labels(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1, keepdims=True)
        hits, of_gold, of_given = weights @ (gold * given), weights @ gold, weights @ given
        by_chance = of_gold * of_given + (n - of_gold) * (n - of_given)
        same = n - of_gold - of_given + 2 * hits
        left = of_gold * of_given * (n - of_gold) * (n - of_given)
        kappa = _divide(n * same - by_chance, n**2 - by_chance)
        mcc = _divide(n * hits - of_gold * of_given, np.sqrt(left))
        return np.column_stack([_mean_defined(kappa), _mean_defined(mcc)])

    return mean_of_labels if multi else single


def _divide(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.where(b > 0, a / np.where(b > 0, b, 1), np.nan)


def _mean_defined(values: FloatArray) -> FloatArray:
    defined = ~np.isnan(values)
    return _divide(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(float))


def _label_scores(
    table: _Patterns, names: Sequence[Value], f1: list[Estimate], nothing: str
) -> tuple[LabelScore, ...]:
    support = (table.sizes @ table.gold).tolist()
    predicted = (table.sizes @ table.given).tolist()
    hits = (table.sizes @ (table.gold & table.given)).tolist()
    empty = not table.sizes.sum()
    return tuple(
        LabelScore(
            name,
            support[at],
            predicted[at],
            hits[at],
            wilson(hits[at], predicted[at], undefined=nothing if empty else "never given"),
            wilson(hits[at], support[at], undefined=nothing if empty else "no gold item has it"),
            f1[at],
        )
        for at, name in enumerate(names)
    )


def _confusion(gold: IntArray, given: IntArray, width: int) -> tuple[tuple[int, ...], ...]:
    counts = np.bincount(gold[:, 0] * width + given[:, 0], minlength=width * width)
    return tuple(tuple(row) for row in counts.reshape(width, width).tolist())


def _cost_per_correct(cost: float, right: int, n: int, nothing: str) -> Estimate:
    if isnan(cost):
        return Estimate(None, n=n, why="a price is unknown")
    if not right:
        return Estimate(None, n=n, why="no label is right" if n else nothing)
    share = wilson(right, n)
    low, high = share.low or 0.0, share.high or 1.0  # right > 0, so neither is 0
    return Estimate(cost / right, cost / (high * n), cost / (low * n), n)


def _wrong(
    items: pd.Index, gold: IntArray, given: IntArray, right: NDArray[np.bool_], truth: _Truth
) -> tuple[Wrong, ...]:
    def label(codes: IntArray) -> Any:
        named = [truth.declared[code] for code in codes.tolist()]
        if not truth.multi:
            return named[0]
        return [unit for unit, value in zip(truth.units, named, strict=True) if value is True]

    return tuple(
        Wrong(str(items[row]), label(gold[row]), label(given[row]))
        for row in np.flatnonzero(~right).tolist()
    )


def _notes(labels: Sequence[LabelScore]) -> tuple[str, ...]:
    few = [f"{x.label} ({x.support})" for x in labels if 0 < x.support < FEW_OF_A_LABEL]
    if not few:
        return ()
    return (f"the interval of macro F1 is likely too narrow: few gold items of {', '.join(few)}",)
