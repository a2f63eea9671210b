"""Scores by slice: annotators on the gold items that share a value of a metadata column."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from prelabel.errors import InputError
from prelabel.estimate import Estimate, bootstrap, wilson
from prelabel.paired import corrected
from prelabel.shares import difference, fisher_midp

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.records import Item, Label
    from prelabel.tasks import Task

Verdict = Literal["lower", "higher", ""]

Figure = Callable[[Sequence["Label"], Sequence["Label"]], Estimate]
"""A figure of an annotator: from gold's labels and those given, in the same order of items."""

MOST_VALUES = 20
"""Of more texts the largest have a slice each, and the others one together."""

MOST_NUMBERS = 10
"""Of more numbers there are bins, each with about as many gold items."""

BINS = 4
ENOUGH = 50
"""Gold items in a slice; of fewer only the accuracy is shown."""

SURELY = 0.05
MISSING = "(missing)"
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class SliceScore:
    """One annotator on a slice: the ``gold_n`` gold items whose ``column`` has ``value``.

    ``accuracy`` is of those that the annotator labeled, ``elsewhere`` of all its other gold items;
    ``difference`` is the slice less these, with its own interval. ``metric`` is the task's main
    figure, of 50 labeled items or more. ``p`` is of "the same as elsewhere", ``p_corrected`` for
    all slices tested, and the ``verdict`` goes by it: empty where no difference is shown.
    """

    column: str
    value: str
    annotator: str
    gold_n: int
    accuracy: Estimate
    elsewhere: Estimate
    difference: Estimate
    metric: Estimate
    p: float | None = None
    p_corrected: float | None = None
    verdict: Verdict = ""


class Cut(NamedTuple):
    """A metadata column cut into slices: their names in order, each item's, and how it was cut."""

    names: tuple[str, ...]
    of: Mapping[str, str]
    note: str = ""


def slice_scores(
    judged: pd.DataFrame, cuts: Mapping[str, Cut], figure: Figure | None = None
) -> tuple[SliceScore, ...]:
    """Score every annotator in each slice of each column.

    ``judged`` has a row a labeled gold item: item, annotator, gold, given (labels), right. ``cuts``
    are by column, of all gold items; see `cut`. Accuracy in a slice is tested against the other
    gold items of the annotator (Fisher's mid-p), and all tests are corrected together (Holm); where
    a column has two slices both are the same test, counted once.
    """
    found = [
        score
        for column, one in cuts.items()
        for name, own in judged.groupby("annotator", sort=False)
        for score in _of_column(str(name), own, column, one, figure)
    ]
    halves = {column for column, one in cuts.items() if len(one.names) == 2}
    tests: dict[tuple[str, ...], float] = {}
    keys = []
    for score in found:
        key = (score.annotator, score.column, "" if score.column in halves else score.value)
        keys.append(key)
        if score.p is not None:
            tests[key] = score.p
    adjusted = dict(zip(tests, corrected(list(tests.values())), strict=True))
    return tuple(
        _with_verdict(one, adjusted.get(key)) for one, key in zip(found, keys, strict=True)
    )


def _of_column(
    name: str, own: pd.DataFrame, column: str, cut_: Cut, figure: Figure | None
) -> list[SliceScore]:
    sizes = Counter(cut_.of.values())
    part = own["item"].map(cut_.of)
    n_all, right_all = len(own), int(own["right"].sum())
    found = []
    for value in cut_.names:
        inside = own[part == value]
        n, right = len(inside), int(inside["right"].sum())
        rest_n, rest = n_all - n, right_all - right
        tested = n > 0 and rest_n > 0
        found.append(
            SliceScore(
                column,
                value,
                name,
                sizes[value],
                wilson(right, n, undefined="nothing was labeled"),
                wilson(rest, rest_n, undefined="no other gold item was labeled"),
                difference(right, n, rest, rest_n, "it takes items inside and outside"),
                _figure(inside, figure),
                float(fisher_midp(right, n, rest, rest_n)) if tested else None,
            )
        )
    return found


def _figure(rows: pd.DataFrame, figure: Figure | None) -> Estimate:
    if figure is None or len(rows) < ENOUGH:
        return Estimate(None, n=len(rows), why=f"fewer than {ENOUGH} labeled items")
    return figure(rows["gold"].tolist(), rows["given"].tolist())


def _with_verdict(one: SliceScore, p_corrected: float | None) -> SliceScore:
    if p_corrected is None or one.difference.value is None:
        return one
    verdict: Verdict = ""
    if p_corrected < SURELY:
        verdict = "lower" if one.difference.value < 0 else "higher"
    return replace(one, p_corrected=p_corrected, verdict=verdict)


def main_figure(task: Task, seed: int = 0) -> tuple[str, Figure]:
    """Return the name of a task's main figure, and the figure: macro F1, or the task's own first.

    Macro F1 is the mean over the labels that gold or the annotator uses there, so slices that lack
    a label are compared on fewer.
    """
    from prelabel.tasks import Measured

    if isinstance(task, Measured):
        name = next(iter(task.measure([], []).metrics))
        return name, lambda gold, given: task.measure(gold, given, seed).metrics[name]
    several = task.name == "multi-label"

    def f1(gold: Sequence[Label], given: Sequence[Label]) -> Estimate:
        pairs = zip(gold, given, strict=True)
        sets = [(tuple(a), tuple(b)) if several else ((a,), (b,)) for a, b in pairs]
        return macro_f1(sets, seed)

    return "macro_f1", f1


def macro_f1(pairs: Iterable[tuple[tuple[Any, ...], tuple[Any, ...]]], seed: int = 0) -> Estimate:
    """Return the mean F1 of the labels that occur; a pair is gold's labels and those given."""
    from prelabel.nominal import f1_statistic

    alike = Counter(pairs)
    labels = list(dict.fromkeys(name for pair in alike for side in pair for name in side))
    gold, given = (
        np.array([[name in pair[side] for name in labels] for pair in alike], dtype=bool)
        for side in (0, 1)
    )
    f1 = f1_statistic(gold, given)
    return bootstrap(
        lambda weights: f1(weights)[:, 0],
        list(alike.values()),
        seed=seed,
        jackknife_below=0,
        undefined="neither gold nor the annotator gives a label",
    )


def cuts_of(items: Iterable[Item], gold: Collection[str], columns: Sequence[str]) -> dict[str, Cut]:
    """Return how each metadata column cuts the gold items of a project into slices.

    Raises ``InputError`` for a column that no item has.
    """
    known: dict[str, None] = {}
    found: dict[str, dict[str, Any]] = {column: {} for column in columns}
    for item in items:
        known |= dict.fromkeys(item.meta)
        if item.id in gold:
            for column in columns:
                found[column][item.id] = item.meta.get(column)
    for column in columns:
        if column not in known:
            there = ", ".join(known) or "none"
            raise InputError(f"by: no metadata column {column!r} in the items; there are: {there}")
    return {column: cut(column, values) for column, values in found.items()}


def cut(column: str, values: Mapping[str, Any]) -> Cut:
    """Cut a column into slices; ``values`` are by item.

    A value is a slice. Of more than 10 different numbers there are 4 bins by quantiles, of more
    than 20 texts the 20 largest and one of all others. What is missing (None, empty, not a number)
    is a slice of its own.
    """
    present = {item: value for item, value in values.items() if not _missing(value)}
    numbers = {item: _number(value) for item, value in present.items()}
    if present and None not in numbers.values():
        names, of, note = _of_numbers(column, {k: v for k, v in numbers.items() if v is not None})
    else:
        names, of, note = _of_texts(column, {item: _text(v) for item, v in present.items()})
    if len(present) < len(values):
        names = (*names, MISSING)
        of = {item: of.get(item, MISSING) for item in values}
    return Cut(names, of, note)


def _missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> float | None:
    """Return a number; None for what is not one, such as a code with zeros ahead."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    if not any(map(str.isdigit, text)) or not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _written(number: float) -> str:
    return str(int(number)) if number.is_integer() else f"{number:.6g}"


def _of_numbers(column: str, values: Mapping[str, float]) -> Cut:
    distinct = sorted(set(values.values()))
    if len(distinct) <= MOST_NUMBERS:
        names = {number: _written(number) for number in distinct}
        return Cut(tuple(names.values()), {item: names[v] for item, v in values.items()})
    seen = np.array(list(values.values()))
    edges = np.unique(np.quantile(seen, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, seen)
    bins = {
        at: f"{_written(seen[place == at].min())} to {_written(seen[place == at].max())}"
        for at in np.unique(place).tolist()
    }
    return Cut(
        tuple(bins.values()),
        {item: bins[at] for item, at in zip(values, place.tolist(), strict=True)},
        f"{column}: {len(distinct)} different numbers, cut into {len(bins)} bins by quantiles",
    )


def _of_texts(column: str, values: Mapping[str, str]) -> Cut:
    sizes = Counter(values.values())
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    if len(names) <= MOST_VALUES:
        return Cut(tuple(names), values)
    kept = dict.fromkeys(names[:MOST_VALUES])
    other = f"({len(names) - MOST_VALUES} other values)"
    return Cut(
        (*kept, other),
        {item: value if value in kept else other for item, value in values.items()},
        f"{column}: {len(names)} different values, the {MOST_VALUES} with most gold items are "
        "slices of their own",
    )
