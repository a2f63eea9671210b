"""The human ceiling: how well people score against each other, beside each LLM on the same items.

Each person is left out in turn and compared with what the other people say. An LLM at the ceiling
does what these people do; how right one above it is, their labels cannot tell.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, wilson
from prelabel.records import Label

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.project import Project
    from prelabel.tasks import Task

Similarity = Callable[[Label, Label], float]
"""How much two labels are alike; more is more."""

Labels = Mapping[str, Mapping[str, Label]]
"""``{annotator: {item: label}}``."""

Against = Literal["majority", "median", "others"]

USUAL: dict[str, Against] = {"equal": "majority", "jaccard": "majority", "neg_mae": "median"}
"""What people are compared with, by similarity; of others with each of the other people."""

NO_PAIR = "no item has labels of two people"
_CLOSE = 1e-9


def equal(a: Label, b: Label) -> float:
    """Return 1 for equal labels, else 0; their mean is accuracy."""
    return float(a == b)


def jaccard(a: Label, b: Label) -> float:
    """Return what two sets of labels share, of all that is in either; 1 where both are empty."""
    one, two = set(a), set(b)
    return len(one & two) / len(one | two) if one or two else 1.0


def minus_distance(a: Label, b: Label) -> float:
    """Return how far two numbers are apart, below 0; minus their mean is the MAE."""
    return -abs(float(a) - float(b))


SIMILARITIES: dict[str, Similarity] = {
    "equal": equal,
    "jaccard": jaccard,
    "neg_mae": minus_distance,
}


@dataclass(frozen=True, slots=True)
class PersonScore:
    """One person against the other people, on the ``score.n`` items that another labeled, too."""

    name: str
    score: Estimate


@dataclass(frozen=True, slots=True)
class Beside:
    """One annotator and the people, all against the same other people on the same items.

    ``gap`` is the annotator's score less the people's, paired by item: below 0 it is below the
    ceiling. Its interval is that of the difference.
    """

    name: str
    score: Estimate
    people: Estimate
    gap: Estimate


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How well people score against each other, and annotators beside them.

    ``people`` is the mean over items, each the mean over the people who labeled it. ``against``
    says what each is compared with: the ``majority`` of the others (where several labels were given
    equally often, each of them), their ``median``, or each of the ``others``. ``measure`` is the
    similarity: ``equal`` makes the score an accuracy.
    """

    measure: str
    against: Against
    people: Estimate
    each: tuple[PersonScore, ...]
    beside: tuple[Beside, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Told:
    """What people and other annotators say of a project's items, apart.

    Items that an annotator's prompts used as examples are not among its labels.
    """

    people: Labels
    others: Labels
    task: Task
    notes: tuple[str, ...]


def ceiling(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    people: Sequence[str] = (),
    similarity: Similarity | str | None = None,
    against: Against | None = None,
    seed: int = 0,
) -> Ceiling:
    """Return how well people score against each other, and each annotator beside them.

    People are the annotators that were imported as such, all or those named; ``annotators`` the
    others to show beside them. ``similarity`` is by default the task's: equality, the Jaccard index
    of label sets, minus the distance of ratings, what overlaps of spans and the like. Raises
    ``InputError`` where fewer than two people have labels, and for an unknown name.
    """
    told = told_by(project, people, annotators)
    name, alike = similarity_of(told.task, similarity)
    against = against or USUAL.get(name, "others")
    found = ceiling_of(told.people, told.others, alike, against=against, measure=name, seed=seed)
    return replace(found, notes=(*told.notes, *found.notes))


def ceiling_of(
    people: Labels,
    annotators: Labels,
    similarity: Similarity = equal,
    *,
    against: Against = "majority",
    measure: str = "equal",
    seed: int = 0,
) -> Ceiling:
    """Do what `ceiling` does for labels by annotator and item. Raises ``InputError``."""
    if len(people) < 2:
        raise InputError(
            f"ceiling: labels of {len(people)} people; it needs two or more, import them with "
            "`prelabel import FILE --person`"
        )
    items = sorted({item for own in people.values() for item in own})
    own = against_others(people, items, similarity, reference=REFERENCES[against])
    beside = []
    for name in sorted(annotators):
        theirs = against_others(
            people, items, similarity, stand_in=annotators[name], reference=REFERENCES[against]
        )
        beside.append(side_by_side(name, own, theirs, measure, seed))
    return Ceiling(
        measure,
        against,
        _average(_by_item(own), measure, NO_PAIR, seed),
        tuple(
            PersonScore(name, _average(column, measure, NO_PAIR, seed))
            for name, column in zip(sorted(people), own.T, strict=True)
        ),
        tuple(beside),
        _notes(own),
    )


def told_by(project: Project, people: Sequence[str], annotators: Sequence[str]) -> Told:
    """Return the labels of people and of other annotators, those named or all.

    Raises ``InputError`` where no person has labels, and for a name that has none.
    """
    from prelabel.ledger import Ledger
    from prelabel.votes import gather

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        evidence = gather(project, ledger)
        persons = {row["id"] for row in ledger.annotators() if row["kind"] == "person"}
    found: dict[bool, dict[str, dict[str, Label]]] = {True: {}, False: {}}
    shown: dict[str, set[str]] = {}
    for identifier, name in evidence.names.items():
        found[identifier in persons][name] = {}
    for given in evidence.items.values():
        for a in given:
            shown.setdefault(a.annotator, set()).update(a.shown)
    for given in evidence.items.values():
        for a in given:
            if a.outcome == "labeled" and a.item_id not in shown[a.annotator]:
                found[a.annotator in persons][evidence.names[a.annotator]][a.item_id] = a.label
    if not found[True]:
        raise InputError("no labels of people; import them with `prelabel import FILE --person`")
    return Told(
        _chosen(found[True], people, "person"),
        _chosen(found[False], annotators, "annotator other than a person"),
        evidence.task,
        evidence.notes,
    )


def similarity_of(task: Task, wanted: Similarity | str | None = None) -> tuple[str, Similarity]:
    """Return the name of a similarity and the similarity: the one wanted, or the task's usual one.

    Raises ``InputError`` for an unknown name, and for one that is not for labels of this task.
    """
    if callable(wanted):
        return getattr(wanted, "__name__", "given"), wanted
    usual = {"rating": "neg_mae", "multi-label": "jaccard"}.get(task.name, "equal")
    overlaps = hasattr(task, "overlap")
    if wanted is None:
        return ("overlap", _shared(task)) if overlaps else (usual, SIMILARITIES[usual])
    if wanted == "overlap" and overlaps:
        return "overlap", _shared(task)
    fitting = dict.fromkeys([usual, "equal", *(["overlap"] if overlaps else [])])
    if wanted not in fitting:
        raise InputError(
            f"similarity {wanted!r} is not for {task.name}; use one of: {', '.join(fitting)}"
        )
    return wanted, SIMILARITIES[wanted]


def labels_of(votes: pd.DataFrame) -> dict[str, dict[str, Label]]:
    """Return ``{annotator: {item: label}}`` of a vote table (item, annotator, unit, value).

    The one unit without a name is the label itself; of several units the label is the set of those
    that are True, and of (unit, value) where a value is something else.
    """
    votes = votes[votes["value"].notna()]
    single = bool((votes["unit"] == "").all())
    found: dict[str, dict[str, Any]] = {str(name): {} for name in votes["annotator"].unique()}
    for item, name, unit, value in votes[["item", "annotator", "unit", "value"]].itertuples(
        index=False, name=None
    ):
        own = found[str(name)]
        if single and item in own:
            raise InputError(f"votes: item {item!r} has two votes of {name!r}; keep one")
        if single:
            own[item] = value
        elif value is not False:
            own[item] = own.get(item, frozenset()) | {unit if value is True else (unit, value)}
        else:
            own.setdefault(item, frozenset())
    return found


def everyone(labels: Sequence[Label]) -> Sequence[Label]:
    """Return all the labels."""
    return labels


def majority(labels: Sequence[Label]) -> Sequence[Label]:
    """Return the label given most often, or all that are."""
    keys = [_key(label) for label in labels]
    counts = Counter(keys)
    most = max(counts.values())
    label_of = dict(zip(keys, labels, strict=True))
    return [label_of[key] for key, count in counts.items() if count == most]


def middle(labels: Sequence[Label]) -> Sequence[Label]:
    """Return the median of numbers."""
    return [median(labels)]


REFERENCES: dict[Against, Callable[[Sequence[Label]], Sequence[Label]]] = {
    "majority": majority,
    "median": middle,
    "others": everyone,
}


def against_others(
    people: Labels,
    items: Sequence[str],
    similarity: Similarity,
    *,
    stand_in: Mapping[str, Label] | None = None,
    reference: Callable[[Sequence[Label]], Sequence[Label]] = everyone,
) -> FloatArray:
    """Return each person's mean similarity to the reference of the other people.

    The shape is items x people in the order of their names; not a number where the person or all
    others have no label. With ``stand_in`` its label takes the place of the person's.
    """
    names = sorted(people)
    found = np.full((len(items), len(names)), np.nan)
    for row, item in enumerate(items):
        if stand_in is not None and item not in stand_in:
            continue
        given = {at: people[name][item] for at, name in enumerate(names) if item in people[name]}
        for at, own in given.items() if len(given) > 1 else ():
            label = own if stand_in is None else stand_in[item]
            rest = reference([other for place, other in given.items() if place != at])
            found[row, at] = fmean(similarity(label, other) for other in rest)
    return found


def side_by_side(
    name: str, own: FloatArray, stand_in: FloatArray, measure: str, seed: int = 0
) -> Beside:
    """Return an annotator beside the people, from what `against_others` gives of both."""
    people = np.where(np.isnan(stand_in), np.nan, own)
    one, theirs = _by_item(stand_in), _by_item(people)
    why = "it and two people have no item in common"
    return Beside(
        name,
        _average(one, measure, why, seed),
        _average(theirs, measure, why, seed),
        _average(one - theirs, "gap", why, seed),
    )


def _shared(task: Any) -> Similarity:
    def overlap(a: Label, b: Label) -> float:
        """Return how much of two labels agrees, 1 where both say that there is nothing."""
        agreeing, of = task.overlap(a, b)
        return agreeing / of if of else 1.0

    return overlap


def _key(label: Label) -> Any:
    """Return what stands for a label in a dict: equal labels have equal keys."""
    if isinstance(label, str | bool | int | float | frozenset | tuple):
        return label
    return json.dumps(label, sort_keys=True, default=str)


def _chosen(found: Labels, wanted: Sequence[str], what: str) -> Labels:
    for name in wanted:
        if name not in found:
            known = ", ".join(found) or "none"
            raise InputError(f"{name!r} is no {what} with annotations; there are: {known}")
    return {name: own for name, own in found.items() if not wanted or name in wanted}


def _by_item(scores: FloatArray) -> FloatArray:
    """Return the mean over people of each item that has any."""
    counted = ~np.isnan(scores)
    some = counted.any(axis=1)
    total = np.where(counted, scores, 0.0).sum(axis=1)[some]
    means: FloatArray = total / counted.sum(axis=1)[some]
    return means


def _average(values: FloatArray, measure: str, undefined: str, seed: int) -> Estimate:
    """Return a mean with its interval from resampling items.

    Where all values are 0 or all are 1 resampling shows nothing, and Wilson's interval still does.
    """
    from prelabel.measures import mean

    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(None, why=undefined)
    found = mean(values, seed)
    whole = np.ptp(values) < _CLOSE and min(abs(values[0]), abs(values[0] - 1)) < _CLOSE
    if measure in ("equal", "jaccard", "overlap") and whole:
        return wilson(float(round(values.sum())), len(values))
    return found


def _notes(own: FloatArray) -> tuple[str, ...]:
    counts = (~np.isnan(own)).sum(axis=1)
    two = int((counts == 2).sum())
    if not two:
        return ()
    of = int((counts > 1).sum())
    low = "a difference there counts against both, so that the ceiling is low"
    return (f"{two} of {of} items have labels of two people only: {low}",)
