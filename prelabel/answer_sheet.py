"""What annotators made of the gold items, as a sheet: who was right where, and who gave no label.

It is what comparisons are computed from, the same for every task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from prelabel.errors import InputError
from prelabel.estimate import FloatArray
from prelabel.nominal import FEW_OF_A_LABEL, coded, truth_of
from prelabel.paired_metrics import (
    NO_LABEL,
    Metric,
    macro_f1,
    macro_f1_of_sets,
    of_ratings,
    ratio,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from prelabel.records import Label, Value

    Numbers = Callable[[Label, Label], Sequence[float]]
    Fill = Callable[[str, NDArray[np.intp]], tuple[NDArray[np.bool_], FloatArray]]

Failures = Literal["left out", "wrong"]

RIGHT, WRONG, UNLABELED, ABSENT = 1, 0, -1, -2

_RATIOS = {
    "spans": "exact_f1",
    "relations": "exact_f1",
    "extraction": "field_accuracy",
    "hierarchical": "shared_levels",
    "text": "token_f1",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """Annotators x gold items.

    ``state`` is RIGHT or WRONG (of the whole label), UNLABELED (failed or abstained) or ABSENT (not
    annotated, or an example in the annotator's prompts). ``rows`` are the numbers that ``metric``
    is computed from. ``cost`` is dollars an annotated gold item, None where a price is unknown.
    ``rare`` names labels with few gold items, where the metric is a mean over labels.
    """

    names: tuple[str, ...]
    items: tuple[str, ...]
    state: NDArray[np.int8]
    rows: FloatArray
    metric: Metric
    cost: Mapping[str, float | None]
    rare: tuple[str, ...] = ()

    def only(self, keep: NDArray[np.bool_]) -> Answers:
        """Return the sheet of some of the items."""
        items = tuple(item for item, kept in zip(self.items, keep, strict=True) if kept)
        return replace(self, items=items, state=self.state[:, keep], rows=self.rows[:, keep])

    def judged(self, failures: Failures) -> NDArray[np.int8]:
        """Return the states, those without a label as ``failures`` says: absent or wrong."""
        to = WRONG if failures == "wrong" else ABSENT
        return np.where(self.state == UNLABELED, np.int8(to), self.state)


def answers_of_votes(
    votes: pd.DataFrame,
    gold: pd.DataFrame,
    values: Sequence[Value],
    *,
    multi: bool = False,
    outcomes: pd.DataFrame | None = None,
) -> Answers:
    """Return the sheet of single labels, or with ``multi`` of label sets.

    ``votes`` has the columns item, annotator, unit, value; ``gold`` item, unit, value; ``outcomes``
    is as in `prelabel.scoring.score`, and without it all that has votes is labeled and nothing else
    was annotated. Raises InputError as `prelabel.scoring.score` does.
    """
    truth = truth_of(gold, values, multi=multi)
    if outcomes is None:
        outcomes = votes[["item", "annotator"]].drop_duplicates().assign(outcome="labeled")
    votes_of = {str(name): rows for name, rows in votes.groupby("annotator", sort=False)}
    yes = truth.declared.index(True) if multi else 0
    if multi:
        layout = _of_sets(truth.codes == yes, truth.labels)
    else:
        layout = _of_values(truth.codes, values)

    def fill(name: str, at: NDArray[np.intp]) -> tuple[NDArray[np.bool_], FloatArray]:
        items = truth.items[at]
        own = votes_of.get(name, votes.iloc[:0])
        mine = own[items.get_indexer(pd.Index(own["item"])) >= 0].assign(annotator=name)
        given = coded(mine, values, items, truth.units, f"votes of {name!r}")
        right = (given == truth.codes[at]).all(axis=1)
        return right, (given == yes if multi else given).astype(np.float64)

    return _sheet(outcomes, truth.items, layout, fill)


def answers_of_labels(
    labels: Mapping[str, Mapping[str, Label]],
    outcomes: pd.DataFrame,
    gold: Mapping[str, Label],
    task: Any,
) -> Answers:
    """Return the sheet of any task: ``labels`` by annotator's name and item, ``gold`` by item.

    A label that the guideline does not declare (it was made under an earlier one) is wrong.
    """
    items = pd.Index(list(gold))
    truths = list(gold.values())
    layout, numbers = _layout(task, truths)

    def fill(name: str, at: NDArray[np.intp]) -> tuple[NDArray[np.bool_], FloatArray]:
        pairs = [(truths[k], labels[name][items[k]]) for k in at]
        right = [task.right(own, given) for own, given in pairs]
        rows = [numbers(own, given) for own, given in pairs]
        return np.array(right, dtype=bool), np.array(rows, dtype=np.float64)

    return _sheet(outcomes, items, layout, fill)


class _Layout(NamedTuple):
    """What a row of numbers is: ``empty`` those of an annotator without a label, item by item.

    Those of a label come in from column ``at`` on.
    """

    empty: FloatArray
    at: int
    metric: Metric
    rare: tuple[str, ...] = ()


def _of_values(gold: Any, values: Sequence[Value]) -> _Layout:
    """Make a row of gold's value number and the one given."""
    own = np.asarray(gold, dtype=np.float64).reshape(-1, 1)
    counts = (own == np.arange(len(values))).sum(axis=0)
    empty = np.concatenate([own, np.full_like(own, NO_LABEL)], axis=1)
    return _Layout(empty, 1, macro_f1(len(values)), _rare(values, counts))


def _of_sets(gold: NDArray[np.bool_], names: Sequence[Value]) -> _Layout:
    """Make a row of gold's members and those given; without a label there are none."""
    own = gold.astype(np.float64)
    empty = np.concatenate([own, np.zeros_like(own)], axis=1)
    return _Layout(empty, len(names), macro_f1_of_sets(len(names)), _rare(names, gold.sum(axis=0)))


def _rare(names: Sequence[Value], counts: NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(
        f"{name} ({count})"
        for name, count in zip(names, counts.tolist(), strict=True)
        if 0 < count < FEW_OF_A_LABEL
    )


def _layout(task: Any, gold: Sequence[Label]) -> tuple[_Layout, Numbers]:
    """Return what a row is for a task, and the function that makes a label's numbers."""
    if task.name in _RATIOS:
        return _of_overlaps(task, gold)
    if task.name == "rating":
        metric = of_ratings(declared=task.values() is not None)
        own = np.array(gold, dtype=np.float64).reshape(-1, 1)
        empty = np.concatenate([own, np.full_like(own, np.nan)], axis=1)
        return _Layout(empty, 1, metric), lambda _, given: (float(given),)
    if task.name == "multi-label":
        names = task.labels
        members = np.array([[name in own for name in names] for own in gold], dtype=bool)
        layout = _of_sets(members.reshape(-1, len(names)), names)
        return layout, lambda _, given: [float(name in given) for name in names]
    place = {value: float(at) for at, value in enumerate(task.values())}
    layout = _of_values([place[own] for own in gold], list(place))
    return layout, lambda _, given: (place.get(given, NO_LABEL),)


def _of_overlaps(task: Any, gold: Sequence[Label]) -> tuple[_Layout, Numbers]:
    """Do what `_layout` does where labels can agree in part: a row is how much, and of how much."""
    from prelabel.tasks.text import accepted

    def best(own: Label, given: Label) -> tuple[float, float]:
        answers = accepted(own) if task.name == "text" else [own]
        found: tuple[float, float] = max(task.overlap(answer, given) for answer in answers)
        return found

    name = _RATIOS[task.name]
    # F1 counts what gold has and what was given; without a label there is gold's alone
    half = 2 if name == "exact_f1" else 1
    empty = [(0.0, best(own, own)[1] / half) for own in gold]
    return _Layout(np.array(empty).reshape(-1, 2), 0, ratio(name)), best


def _sheet(outcomes: pd.DataFrame, items: pd.Index, layout: _Layout, fill: Fill) -> Answers:
    """Put the annotators of ``outcomes`` together, in alphabetical order."""
    by_name = {str(name): rows for name, rows in outcomes.groupby("annotator", sort=False)}
    names = sorted(by_name)
    state = np.full((len(names), len(items)), ABSENT, dtype=np.int8)
    rows = np.repeat(layout.empty[None], len(names), axis=0)
    cost = {}
    for k, name in enumerate(names):
        state[k], cost[name] = _states(name, by_name[name], items)
        labeled = np.flatnonzero(state[k] == RIGHT)
        right, given = fill(name, labeled)
        state[k, labeled] = np.where(right, RIGHT, WRONG)
        if len(labeled):
            rows[k, labeled, layout.at :] = given
    return Answers(
        tuple(names), tuple(map(str, items)), state, rows, layout.metric, cost, layout.rare
    )


def _states(name: str, own: pd.DataFrame, items: pd.Index) -> tuple[NDArray[np.int8], float | None]:
    """Return an annotator's states, RIGHT for all that is labeled, and what an item cost it."""
    own = own.set_index("item")
    for item in own.index[own.index.duplicated()][:1]:
        raise InputError(f"outcomes: item {item!r} has two annotations from {name!r}; keep one")
    shown = {item for ids in own["shown"] for item in ids} if "shown" in own else set()
    row = own.index.get_indexer(items)  # isin takes seconds for many texts
    counts = (row >= 0) & np.array([item not in shown for item in items], dtype=bool)
    labeled = (own["outcome"] == "labeled").to_numpy(dtype=bool)
    state = np.where(labeled[row], RIGHT, UNLABELED) if len(own) else ABSENT
    paid = own["cost"].to_numpy(dtype=float)[row[counts]] if "cost" in own else np.zeros(0)
    mean = float(paid.mean()) if len(paid) else float("nan")
    return np.where(counts, state, ABSENT).astype(np.int8), None if np.isnan(mean) else mean
