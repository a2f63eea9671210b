"""What of the guideline stands beside an item: its labels, its hard cases, and similar rulings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prelabel.guideline_parts import LabelDefinition, leaves
from prelabel.review.deciding import case_text
from prelabel.review.shown import words
from prelabel.review.store import Ruling

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.preselection import Preselector
    from prelabel.records import Item, Label
    from prelabel.tasks import Task

FEW_LABELS = 8
"""With more, those likely for an item are shown first, and the others folded."""

MOST_CASES = 3
LEAST_COSINE = 0.15
"""Of the TF-IDF vectors of words of an item and a ruling; below it they are not similar."""


@dataclass(frozen=True, slots=True)
class Defined:
    """A label's definition under the name by which it is chosen."""

    name: str
    label: LabelDefinition


@dataclass(frozen=True, slots=True)
class Case:
    """A ruling for people: what was decided on which text, and why. ``item_id`` may be empty."""

    id: str
    text: str
    label: str
    why: str
    item_id: str = ""


class Beside:
    """The guideline as it stands beside items."""

    def __init__(self, task: Task) -> None:
        self.guideline: Guideline = task.guideline
        self.task = task
        self.labels = [Defined(" > ".join(p), one) for p, one in leaves(self.guideline.labels)]
        self._cases = [
            Case(r.id, r.text, r.label if isinstance(r.label, str) else ", ".join(r.label), r.why)
            for r in self.guideline.rulings
        ]
        self._preselector: Preselector | None = None

    def split(self, item: Item, candidates: Sequence[Label]) -> tuple[list[Defined], list[Defined]]:
        """Return the labels to show at once and those to fold, in the guideline's order.

        Where there are many, those that ``candidates`` name are shown; on a blind page there are
        no candidates, and those most similar to the item's text are.
        """
        if len(self.labels) <= FEW_LABELS:
            return self.labels, []
        near = {name for label in candidates for name in named_in(label, self.task)}
        near = near or set(self._similar(item))
        shown = [one for one in self.labels if one.name in near]
        return shown, [one for one in self.labels if one.name not in near]

    def _similar(self, item: Item) -> list[str]:
        from prelabel.preselection import Preselector
        from prelabel.shots import plain

        if self._preselector is None:
            self._preselector = Preselector(self.guideline, [], FEW_LABELS)
        order = self._preselector.rank(plain(item.fields))
        return [self.labels[number].name for number in order[:FEW_LABELS]]

    def cases(self, rulings: Sequence[Ruling], item: Item) -> list[Case]:
        """Return the rulings on items most similar to this one, its own left out."""
        own = [self.case(ruling) for ruling in rulings if ruling.item_id != item.id]
        text = case_text(item.fields)
        pool = tuple(case for case in (*self._cases, *own) if case.text != text)
        return [pool[n] for n in _nearest(tuple(case.text for case in pool), text)]

    def all_cases(self, rulings: Sequence[Ruling]) -> list[Case]:
        """Return all rulings, the guideline's own first."""
        return [*self._cases, *map(self.case, rulings)]

    def case(self, ruling: Ruling) -> Case:
        """Return a ruling for people."""
        said = "; ".join(words(ruling.decision.label, self.task))
        return Case(ruling.id, ruling.text, said, ruling.decision.note, ruling.item_id)


def named_in(label: Label, task: Task) -> set[str]:
    """Return the names of the guideline's labels that a label uses."""
    if isinstance(label, str):
        return {label}
    if not isinstance(label, list):
        return set()
    if task.name == "hierarchical":
        return {" > ".join(label)}
    return {one["label"] if isinstance(one, dict) else one for one in label}


def _nearest(texts: tuple[str, ...], text: str) -> list[int]:
    """Return the places of the most similar texts, the most similar first."""
    found = _vectors(texts) if texts else None
    if found is None:
        return []
    vectorizer, vectors = found
    cosines = (vectors @ vectorizer.transform([text]).T).toarray().ravel()
    order = (-cosines).argsort(kind="stable")[:MOST_CASES]
    return [int(n) for n in order if cosines[n] >= LEAST_COSINE]


@lru_cache(maxsize=8)
def _vectors(texts: tuple[str, ...]) -> tuple[Any, Any] | None:
    """Return the TF-IDF vectors of texts; None where they have no words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings: dict[str, Any] = {"sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b"}
    vectorizer = TfidfVectorizer(**settings)
    try:
        return vectorizer, vectorizer.fit_transform(texts)
    except ValueError:  # the vocabulary is empty
        return None
