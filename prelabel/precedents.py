"""What people decided already: a label of the same text that is another goes to them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from prelabel.guideline_fields import NAMING
from prelabel.prompts import named
from prelabel.signals import text_of
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    from prelabel.estimate import FloatArray
    from prelabel.project import Project
    from prelabel.records import Adjudication, Item, Label, Routed
    from prelabel.tasks import Task

NEAR = 0.9
"""Share of the words of two texts that both have from which they are taken as the same text."""

AT_ONCE = 2000

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
    if not before:
        return {}
    chosen = [item for item in items if labels.get(item.id) is not None and not item.images]
    path, own = task.name == "hierarchical", {one.item: at for at, one in enumerate(before)}
    cases = [words_of(one.text) for one in before]
    found = {}
    for start in range(0, len(chosen), AT_ONCE):
        some = chosen[start : start + AT_ONCE]
        near = in_common([words_of(text_of(item)) for item in some], cases)
        for item, row in zip(some, near, strict=True):
            if item.id in own:
                row[own[item.id]] = 0.0
            best = int(row.argmax())
            one = before[best]
            if row[best] >= NEAR and not task.right(one.label, labels[item.id]):
                found[item.id] = f"contradicts {one.where}: {named(one.label, path=path)}"
    return found


def words_of(text: str) -> frozenset[str]:
    """Return a text's words, case aside."""
    return frozenset(_WORD.findall(text.casefold()))


def in_common(texts: Sequence[frozenset[str]], cases: Sequence[frozenset[str]]) -> FloatArray:
    """Return the share of words that texts have in common with cases (Jaccard), texts x cases."""
    import numpy as np
    from scipy.sparse import csr_array

    places = {word: at for at, word in enumerate(sorted(frozenset().union(*cases)))}

    def table(sets: Sequence[frozenset[str]]) -> Any:
        rows = [[places[word] for word in words if word in places] for words in sets]
        starts = np.cumsum([0, *map(len, rows)])
        columns = np.array([at for row in rows for at in row], dtype=np.int64)
        shape = (len(sets), len(places))
        return csr_array((np.ones(len(columns)), columns, starts), shape=shape)

    both: FloatArray = (table(texts) @ table(cases).T).toarray()
    sizes = [np.array([len(words) for words in sets]) for sets in (texts, cases)]
    either = sizes[0][:, None] + sizes[1][None, :] - both
    shares: FloatArray = both / np.maximum(either, 1)
    return shares


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
