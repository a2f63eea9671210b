"""Scores of annotators against gold: coverage, accuracy, F1, kappa, confusion, cost, time.

Only labeled items are right or wrong. Abstained and failed annotations lower coverage and are
counted apart; they are never a label and never an error. Items that an annotator's prompts used
as examples are left out of its score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.measures import LabelScore, Measures
from prelabel.nominal import (
    Truth,
    coded,
    coded_labels,
    label_of,
    measure,
    truth_of,
    truth_of_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prelabel.coefficients import IntArray
    from prelabel.records import Label, Value
    from prelabel.tasks import Task

    Compare = Callable[[str, pd.Index, str], tuple[Measures, tuple["Wrong", ...]]]

OUTCOMES = ("labeled", "abstained", "failed")
NOTHING_LABELED = "nothing was labeled"
NOTHING_ANNOTATED = "no gold item was annotated"


@dataclass(frozen=True, slots=True)
class Wrong:
    """A labeled item whose label is not gold's; both are labels as their task shapes them."""

    item: str
    gold: Label
    given: Label


@dataclass(frozen=True, slots=True)
class Score:
    """One annotator against gold.

    ``gold_n`` gold items were annotated and count; ``left_out`` gold items were examples in its
    prompts, ``unlabeled`` ones have no annotation yet. ``gold_n`` is ``labeled`` + ``abstained`` +
    the sum of ``failed`` (by kind); coverage is ``labeled / gold_n``. All else is of the labeled
    items: ``accuracy`` needs the whole label right; ``metrics`` are the task's own, the main one
    first. Of single labels and label sets these are ``macro_f1``, the mean over labels that gold or
    the annotator uses (``skipped`` names the others), for multi-label ``micro_f1`` (of single
    labels it is the accuracy), ``weighted_f1``, in which a label counts by its gold items, and
    ``cohen_kappa`` and ``mcc`` (for multi-label means over the labels where they are defined).
    ``confusion`` (rows gold, columns given, in the order of ``labels``) is for single values only.
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
    metrics: dict[str, Estimate]
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
    truth = truth_of(gold, values, multi=multi)
    votes_of = {str(name): rows for name, rows in votes.groupby("annotator", sort=False)}

    def compare(name: str, items: pd.Index, nothing: str) -> tuple[Measures, tuple[Wrong, ...]]:
        own = votes_of.get(name, votes.iloc[:0])
        mine = own[own["item"].isin(items)].assign(annotator=name)
        given = coded(mine, values, items, truth.units, f"votes of {name!r}")
        return _compared(items, given, truth, nothing, seed)

    return _score_each(outcomes, truth.items, compare)


def score_labels(
    labels: Mapping[str, Mapping[str, Label]],
    outcomes: pd.DataFrame,
    gold: Mapping[str, Label],
    task: Any,
    *,
    seed: int = 0,
) -> list[Score]:
    """Score whole labels; else as `score`.

    ``labels`` are by annotator's name and item, ``gold`` by item; annotators of either table are
    scored. A ``task`` that has ``measure`` measures them itself; the labels of others are right or
    wrong.
    """
    items = pd.Index(list(gold))
    if not hasattr(task, "measure"):
        return _score_each(outcomes, items, _right_or_wrong(labels, gold, task, seed), labels)

    def compare(name: str, items: pd.Index, nothing: str) -> tuple[Measures, tuple[Wrong, ...]]:
        del nothing  # a task says itself why a figure is not defined
        pairs = [(str(item), gold[item], labels[name][item]) for item in items]
        found = task.measure([g for _, g, _ in pairs], [given for _, _, given in pairs], seed)
        wrong = [Wrong(*pair) for pair, ok in zip(pairs, found.right, strict=True) if not ok]
        return found, tuple(wrong)

    return _score_each(outcomes, items, compare, labels)


def _right_or_wrong(
    labels: Mapping[str, Mapping[str, Label]], gold: Mapping[str, Label], task: Task, seed: int
) -> Compare:
    truth = truth_of_labels(gold, task)

    def compare(name: str, items: pd.Index, nothing: str) -> tuple[Measures, tuple[Wrong, ...]]:
        own = labels[name]
        asked = {item: own[item] for item in items.tolist()}
        given = coded_labels(asked, task, list(truth.units), f"labels of {name!r}")
        return _compared(items, given, truth, nothing, seed)

    return compare


def _compared(
    items: pd.Index, given: IntArray, truth: Truth, nothing: str, seed: int
) -> tuple[Measures, tuple[Wrong, ...]]:
    right = truth.of(items)
    found = measure(right, given, truth, nothing=nothing, seed=seed)
    at = np.flatnonzero(~np.array(found.right, dtype=bool))
    pairs = ([label_of(row, truth) for row in codes[at]] for codes in (right, given))
    return found, tuple(map(Wrong, items[at].astype(str).tolist(), *pairs))


def _score_each(
    outcomes: pd.DataFrame, items: pd.Index, compare: Compare, names: Iterable[str] = ()
) -> list[Score]:
    by_name = {str(name): rows for name, rows in outcomes.groupby("annotator", sort=False)}
    by_name = dict.fromkeys(names, outcomes.iloc[:0]) | by_name
    return [_score_one(name, by_name[name], items, compare) for name in sorted(by_name)]


def shown_items(own: pd.DataFrame) -> set[str]:
    """Return the items that an annotator's prompts used as examples; they do not count for it."""
    return {item for ids in own["shown"] for item in ids}


def _considered(
    name: str, own: pd.DataFrame, gold_items: pd.Index
) -> tuple[pd.DataFrame, int, int]:
    """Return the annotations that count, in gold's order; how many are left out or missing."""
    own = own.set_index("item")
    for item in own.index[own.index.duplicated()][:1]:
        raise InputError(f"outcomes: item {item!r} has two annotations from {name!r}; keep one")
    for outcome in [x for x in own["outcome"].unique() if x not in OUTCOMES][:1]:
        raise InputError(f"outcomes: {outcome!r} is no outcome; use {', '.join(OUTCOMES)}")
    shown = shown_items(own)
    counts = np.array([item not in shown for item in gold_items.tolist()], dtype=bool)
    eligible = gold_items[counts]
    row = own.index.get_indexer(eligible)  # isin takes seconds for many texts
    rows = own.iloc[row[row >= 0]]
    return rows, len(gold_items) - len(eligible), len(eligible) - len(rows)


def _score_one(name: str, own: pd.DataFrame, gold_items: pd.Index, compare: Compare) -> Score:
    rows, left_out, unlabeled = _considered(name, own, gold_items)
    items = rows.index[rows["outcome"] == "labeled"]
    failures = rows.loc[rows["outcome"] == "failed", "failure"].fillna("unknown").value_counts()
    nothing = NOTHING_LABELED if len(rows) else NOTHING_ANNOTATED
    found, wrong = compare(name, items, nothing)
    right = sum(found.right)
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
        accuracy=wilson(right, len(items), undefined=nothing),
        metrics=dict(found.metrics),
        labels=found.labels,
        skipped=tuple(x.label for x in found.labels if not x.support + x.predicted),
        confusion=found.confusion,
        cost_total=None if isnan(cost) else cost,
        cost_per_correct=_cost_per_correct(cost, right, len(rows), nothing),
        seconds_mean=None if isnan(latency) else latency,
        wrong=wrong,
        notes=found.notes,
    )


def _cost_per_correct(cost: float, right: int, n: int, nothing: str) -> Estimate:
    if isnan(cost):
        return Estimate(None, n=n, why="a price is unknown")
    if not right:
        return Estimate(None, n=n, why="no label is right" if n else nothing)
    share = wilson(right, n)
    low, high = share.low or 0.0, share.high or 1.0  # right > 0, so neither is 0
    return Estimate(cost / right, cost / (high * n), cost / (low * n), n)
