"""What people decided already: a label of the same text that is another goes to them again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from prelabel.guideline_fields import NAMING
from prelabel.prompts import named
from prelabel.signals import text_of
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Adjudication, Item, Label, Routed
    from prelabel.tasks import Task

NEAR = 0.9
"""Share of the words of two texts that both have from which they are taken as the same text."""

_WORD = re.compile(r"\w+")


class Decided(NamedTuple):
    """A label that people gave a text, and where that is written; ``item`` may be empty."""

    where: str
    text: str
    label: Label
    item: str = ""


def decided(project: Project, settled: Mapping[str, Adjudication]) -> list[Decided]:
    """Return the guideline's rulings, and what reviewers settled on items of the project.

    Rulings count for tasks whose rulings name labels. Labels that stand in an item's text, such as
    spans, are of no other item; of such tasks there are none.
    """
    task = project.task
    if task.needs_item:
        return []
    found = []
    for ruling in project.guideline.rulings if task.name in NAMING else ():
        try:
            label = task.match(ruling.label)
        except OffListError:  # `guideline check` says so
            continue
        found.append(Decided(f"ruling {ruling.id}", ruling.text, label))
    texts = {item.id: text_of(item) for item in project.items()} if settled else {}
    return found + [
        Decided(f"the review of item {item}", texts[item], one.label, item)
        for item, one in settled.items()
        if one.label is not None and item in texts
    ]


def contradicted(
    items: Iterable[Item], labels: Mapping[str, Label], before: Sequence[Decided], task: Task
) -> dict[str, str]:
    """Return the items whose label is not what was decided on such a text, and what that was.

    Texts are the same where nine of ten of their words are, in whatever order, case and
    punctuation; the nearest counts. What was decided on an item itself says nothing of it here, and
    nothing is said of items with pictures.
    """
    path = task.name == "hierarchical"
    alike = _Alike([words_of(one.text) for one in before])
    found = {}
    for item in items:
        if labels.get(item.id) is None or item.images:
            continue
        others = (at for at in alike.near(words_of(text_of(item))) if before[at].item != item.id)
        at = next(others, None)
        if at is not None and not task.right(before[at].label, labels[item.id]):
            one = before[at]
            found[item.id] = f"contradicts {one.where}: {named(one.label, path=path)}"
    return found


class _Alike:
    """Texts as sets of words, found by the rare ones among their words.

    Two sets that have so much in common share one of the rarest words of each: as many as may
    differ, and one more (prefix filtering, Bayardo et al. 2007).
    """

    def __init__(self, cases: Sequence[frozenset[str]]) -> None:
        self._cases = cases
        self._often = Counter(word for case in cases for word in case)
        self._having: dict[str, list[int]] = defaultdict(list)
        for at, case in enumerate(cases):
            for word in self._rarest(case):
                self._having[word].append(at)

    def near(self, words: frozenset[str]) -> list[int]:
        """Return the places of the texts that are as good as the same, the nearest first."""
        places = {at for word in self._rarest(words) for at in self._having.get(word, ())}
        shares = {at: in_common(words, self._cases[at]) for at in places}
        return sorted((at for at in places if shares[at] >= NEAR), key=lambda at: (-shares[at], at))

    def _rarest(self, words: frozenset[str]) -> list[str]:
        ordered = sorted(words, key=lambda word: (self._often[word], word))
        return ordered[: len(ordered) - ceil(NEAR * len(ordered) - 1e-9) + 1]


def words_of(text: str) -> frozenset[str]:
    """Return a text's words, case aside."""
    return frozenset(_WORD.findall(text.casefold()))


def in_common(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the share of the words of two texts that both have (Jaccard); 0 without words."""
    return len(a & b) / max(len(a | b), 1)


def against_rulings(project: Project, routed: Mapping[str, Routed]) -> dict[str, Routed]:
    """Return the routes, with items for people whose label contradicts what they decided."""
    from prelabel.review import decisions

    settled = decisions(project)
    labels = {item: one.consensus.label for item, one in routed.items()}
    found = contradicted(project.items(), labels, decided(project, settled), project.task)
    return {
        item: replace(one, accepted=False, reasons=(*one.reasons, found[item]))
        if item in found
        else one
        for item, one in routed.items()
    }
