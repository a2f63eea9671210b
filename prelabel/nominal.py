"""Measures of labels that are right or wrong: single labels and label sets, by value numbers.

Works on columns: hundreds of thousands of votes are compared as integers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from prelabel.coefficients import IntArray, code_votes
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, Statistic, bootstrap_each, ratio, wilson
from prelabel.measures import LabelScore, Measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from prelabel.records import Label, Value
    from prelabel.tasks import Task

FEW_OF_A_LABEL = 10


class Truth(NamedTuple):
    """Gold as value numbers, items x units."""

    items: pd.Index
    units: pd.Index
    codes: IntArray
    declared: tuple[Value, ...]
    multi: bool

    @property
    def labels(self) -> tuple[Value, ...]:
        """The labels: the values, or the units that are true or not."""
        return tuple(self.units) if self.multi else self.declared

    def of(self, items: pd.Index) -> IntArray:
        """Return gold's numbers of some items."""
        return self.codes[self.items.get_indexer(items)]


class _Patterns(NamedTuple):
    """Labeled items that are alike: how many, and which labels gold and the annotator gave."""

    sizes: IntArray
    gold: NDArray[np.bool_]
    given: NDArray[np.bool_]


def truth_of(gold: pd.DataFrame, values: Sequence[Value], *, multi: bool) -> Truth:
    """Return gold (columns item, unit, value) as numbers. Raises ``InputError`` as `coded` does."""
    units = pd.Index(gold["unit"].unique() if multi else [""])
    items = pd.Index(gold["item"].unique())
    codes = coded(gold.assign(annotator="gold"), values, items, units, "gold")
    return Truth(items, units, codes, tuple(values), multi)


def coded(
    votes: pd.DataFrame, values: Sequence[Value], items: pd.Index, units: pd.Index, what: str
) -> IntArray:
    """Return the value numbers of one annotator, items x units; each cell must have a vote."""
    votes_ = code_votes(votes, values, what)
    row = items.get_indexer(pd.Index(votes_.items))[votes_.item]
    column = units.get_indexer(pd.Index(votes_.units))[votes_.unit]
    for place in np.flatnonzero(column < 0)[:1]:
        raise InputError(
            f"{what}: item {votes_.items[votes_.item[place]]!r} has a vote on "
            f"{votes_.units[votes_.unit[place]]!r}, which gold lacks; use one label set for both"
        )
    codes = np.full((len(items), len(units)), -1, dtype=np.int64)
    codes[row, column] = votes_.value
    for at_item, at_unit in np.argwhere(codes < 0)[:1]:
        on = f" on {units[at_unit]!r}" if units[at_unit] else ""
        raise InputError(
            f"{what}: item {items[at_item]!r} is labeled but has no vote{on}; "
            f"give one, or make its outcome abstained or failed"
        )
    return codes


def truth_of_labels(labels: Mapping[str, Label], task: Task) -> Truth:
    """Return gold labels by item as numbers. Raises ``InputError`` as `coded_labels` does."""
    multi = task.name == "multi-label"
    units = list(task.votes(next(iter(labels.values())))) if multi and labels else [""]
    codes = coded_labels(labels, task, units, "gold")
    values = tuple(task.values() or ())
    return Truth(pd.Index(list(labels)), pd.Index(units), codes, values, multi)


def coded_labels(
    labels: Mapping[str, Label], task: Task, units: Sequence[str], what: str
) -> IntArray:
    """Return the value numbers of labels by item, items x units; equal labels are read once.

    Raises InputError, naming ``what``, for a label with a value that is not declared.
    """
    place = {value: at for at, value in enumerate(task.values() or ())}
    keys = [tuple(label) if isinstance(label, list) else label for label in labels.values()]
    distinct = dict(zip(keys, labels.items(), strict=True))
    rows = []
    for item, label in distinct.values():
        votes = task.votes(label)
        rows.append([place.get(votes.get(unit, ""), -1) for unit in units])
        if min(rows[-1], default=0) < 0:
            raise InputError(
                f"{what}: item {item!r} has the label {label!r}, which is not declared; "
                "declare it or drop the row"
            )
    at = {key: number for number, key in enumerate(distinct)}
    kind = np.fromiter(map(at.__getitem__, keys), np.int64, len(keys))
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(units))[kind]


def measure(gold: IntArray, given: IntArray, truth: Truth, *, nothing: str, seed: int) -> Measures:
    """Compare an annotator's numbers with gold's, both items x units.

    ``nothing`` is why figures are not defined where there are no items.
    """
    table = _patterns(gold, given, truth)
    f1, chance = _resampled(table, multi=truth.multi, nothing=nothing, seed=seed)
    labels = _label_scores(table, truth.labels, f1[3:], nothing)
    metrics = {"macro_f1": f1[0]}
    if truth.multi:  # of single labels it is the accuracy
        metrics["micro_f1"] = f1[1]
    weighted = f1[2]
    if table.sizes.sum() and not (table.sizes @ table.gold).any():
        weighted = replace(weighted, why="gold has no label on any item")
    metrics |= {"weighted_f1": weighted, "cohen_kappa": chance[0], "mcc": chance[1]}
    return Measures(
        right=(gold == given).all(axis=1).tolist(),
        metrics=metrics,
        labels=labels,
        confusion=None if truth.multi else _confusion(gold, given, len(truth.declared)),
        notes=_notes(labels) if f1[0].low is not None else (),
    )


def label_of(codes: IntArray, truth: Truth) -> Any:
    """Return what one item's numbers stand for: a label, or the labels that apply."""
    named = [truth.declared[code] for code in codes.tolist()]
    if not truth.multi:
        return named[0]
    return [unit for unit, value in zip(truth.units, named, strict=True) if value is True]


def _patterns(gold: IntArray, given: IntArray, truth: Truth) -> _Patterns:
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
    """Return [macro, micro, weighted F1, F1 of each label] and [Cohen's kappa, MCC]."""
    empty = not table.sizes.sum()
    # percentiles also for few items: F1 jumps where a label's only item is left out
    f1 = bootstrap_each(
        f1_statistic(table.gold, table.given),
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


def f1_statistic(gold: NDArray[Any], given: NDArray[Any]) -> Statistic:
    """Return macro, micro and weighted F1 and the F1 of each label, from which items have which.

    Macro is the mean over the labels that occur; weighted weighs each by its gold items; micro
    counts all labels together.
    """
    both = (gold & given).astype(np.float64)
    either = gold.astype(np.float64) + given
    right = gold.astype(np.float64)

    def f1(weights: FloatArray) -> FloatArray:
        hits, used, support = weights @ both, weights @ either, weights @ right
        each = ratio(2 * hits, used)
        micro = ratio(2 * hits.sum(axis=1), used.sum(axis=1))
        weighted = ratio((support * np.nan_to_num(each)).sum(axis=1), support.sum(axis=1))
        return np.column_stack([_mean_defined(each), micro, weighted, each])

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
        kappa = ratio(n * hits - by_chance, n**2 - by_chance)
        return np.column_stack([kappa, ratio(n * hits - by_chance, np.sqrt(left))])

    def mean_of_labels(weights: FloatArray) -> FloatArray:
        n = weights.sum(axis=1, keepdims=True)
        hits, of_gold, of_given = weights @ (gold * given), weights @ gold, weights @ given
        by_chance = of_gold * of_given + (n - of_gold) * (n - of_given)
        same = n - of_gold - of_given + 2 * hits
        left = of_gold * of_given * (n - of_gold) * (n - of_given)
        kappa = ratio(n * same - by_chance, n**2 - by_chance)
        mcc = ratio(n * hits - of_gold * of_given, np.sqrt(left))
        return np.column_stack([_mean_defined(kappa), _mean_defined(mcc)])

    return mean_of_labels if multi else single


def _mean_defined(values: FloatArray) -> FloatArray:
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(float))


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


def _notes(labels: Sequence[LabelScore]) -> tuple[str, ...]:
    few = [f"{x.label} ({x.support})" for x in labels if 0 < x.support < FEW_OF_A_LABEL]
    if not few:
        return ()
    return (f"the interval of macro F1 is likely too narrow: few gold items of {', '.join(few)}",)
