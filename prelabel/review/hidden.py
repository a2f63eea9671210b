"""Hidden gold: which gold items come back unnoticed, and the wrong label that is planted on one.

Only gold items that the rule sends to people, too, are taken: they come with reasons and candidates
of their own, as any other. A planted label changes who said what, and nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prelabel.review.deciding import case_text
from prelabel.review.entries import Candidate, Entry
from prelabel.review.lots import lot
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Item, Label
    from prelabel.tasks import Task
    from prelabel.votes import Evidence

PLANTABLE = (
    "classification",
    "multi-label",
    "hierarchical",
    "pairwise",
    "matching",
    "rating",
)
"""Tasks whose labels are declared, so that a wrong one can be made that looks like any other."""

Gold = Mapping[tuple[str, str], "Label"]
"""Gold labels by item id and hash of the item's text."""


@dataclass(frozen=True, slots=True)
class Check:
    """A gold item: what experts say, whether it is hidden among others, and a label to plant.

    ``wrong`` is None where none can be planted.
    """

    item_id: str
    item_hash: str
    gold: Label
    hidden: bool = True
    wrong: Label = None


def gold_of(project: Project) -> dict[tuple[str, str], Label]:
    """Return the gold labels; an item on which its authors differ is left out."""
    found: dict[str, list[Label]] = {}
    for one in project.gold:
        found.setdefault(one.item_id, []).append(one.label)
    agreed = {item: own[0] for item, own in found.items() if all(one == own[0] for one in own)}
    return {(item.id, item.hash): agreed[item.id] for item in project.items() if item.id in agreed}


def checks(
    project: Project, evidence: Evidence, listed: Iterable[Entry], *, hide: bool
) -> list[Check]:
    """Return the gold items; with ``hide`` those of the queue are hidden, with a label to plant.

    None is hidden whose label was shown: as an example in a prompt, or in the guideline.
    """
    gold = gold_of(project)
    found = {key: Check(*key, label, hidden=False) for key, label in gold.items()}
    if not hide:
        return list(found.values())
    seen, texts, mistaken = _shown_items(evidence), _shown_texts(project), _mistaken(evidence, gold)
    for entry in listed:
        key = (entry.item.id, entry.item.hash)
        if (
            key in gold
            and key[0] not in seen
            and _spaced(case_text(entry.item.fields)) not in texts
        ):
            often = mistaken.get(_key(gold[key]), ())
            wrong = wrong_label(entry, gold[key], often, project.task)
            found[key] = Check(*key, gold[key], wrong=wrong)
    return list(found.values())


def _shown_items(evidence: Evidence) -> set[str]:
    """Return the items that were an example in a prompt: annotators knew their label."""
    return {item for shown in evidence.shown().values() for item in shown}


def _shown_texts(project: Project) -> set[str]:
    """Return the texts whose label the guideline says."""
    from prelabel.guideline_parts import leaves

    guideline = project.guideline
    said = [ruling.text for ruling in guideline.rulings]
    said += [one.text or case_text(one.fields) for one in guideline.examples]
    for _, label in leaves(guideline.labels):
        said += [example.text for example in label.examples]
        said += [example.text for example in label.counter_examples]
    return {_spaced(text) for text in said}


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _key(label: Label) -> str:
    return json.dumps(label, sort_keys=True)


def _mistaken(evidence: Evidence, gold: Gold) -> dict[str, list[Label]]:
    """Return by gold label what annotators said in its place, the most frequent first."""
    labels = {item: (_key(label), label) for (item, _), label in gold.items()}
    counts: dict[str, Counter[str]] = {}
    for own in evidence.labels().values():
        for item, said in own.items():
            if item in labels and not evidence.task.right(labels[item][1], said):
                counts.setdefault(labels[item][0], Counter())[_key(said)] += 1
    return {
        key: [json.loads(said) for said, _ in sorted(own.items(), key=lambda p: (-p[1], p[0]))]
        for key, own in counts.items()
    }


def wrong_label(entry: Entry, gold: Label, mistaken: Sequence[Label], task: Task) -> Label:
    """Return a wrong label that an entry could have as its suggestion; None where there is none.

    In this order: the suggestion, if it is wrong as it is; what another annotator said of this
    item; what annotators most often say in place of the gold label (``mistaken``); any other
    declared one.
    """
    if task.name not in PLANTABLE or entry.suggestion is None:
        return None
    if not task.right(gold, entry.suggestion):
        return entry.suggestion
    other = [one.label for one in entry.candidates if not task.right(gold, one.label)]
    single = task.name != "multi-label"  # there, a value is of one label, yes or no
    values = [one for one in (task.values() or () if single else ()) if not task.right(gold, one)]
    values.sort(key=lambda value: lot("wrong", entry.item.id, str(value)))
    for label in (*other, *mistaken, *values):
        if _is_label(label, task, entry.item) and _unnoticed(entry, label):
            return label
    return None


def _is_label(label: Label, task: Task, item: Item) -> bool:
    try:
        return bool(task.match(label, item) == label)
    except OffListError:
        return False


def _unnoticed(entry: Entry, wrong: Label) -> bool:
    """Say whether nothing on the page speaks against ``wrong`` being the suggestion."""
    if any(reason.startswith("not allowed") for reason in entry.reasons):
        return False  # it quotes the suggestion
    if any(reason.startswith("contradicts") for reason in entry.reasons):
        return False  # it names the label that is not the suggestion's
    said = [one.label for one in entry.candidates]
    right = [one for one in entry.candidates if one.label == entry.suggestion]
    if not right:
        return False  # what nobody said alone cannot be exchanged
    if wrong in said:
        if len(said) == 2:
            return True  # the same votes, turned round
    elif any(one.rationales for one in right):
        return False  # their reasons are for another label
    names = {part for label in (wrong, entry.suggestion) for part in _names(label)}
    return not any(name in reason for name in names for reason in entry.reasons)


def _names(label: Label) -> list[str]:
    return [str(one) for one in label] if isinstance(label, list) else [str(label)]


def planted(entry: Entry, wrong: Label) -> Entry:
    """Return an entry as it is shown with a wrong suggestion: who said which is exchanged.

    The reasons that annotators gave stay with the label that they are for.
    """
    if wrong == entry.suggestion:
        return entry
    by = {_key(one.label): one.by for one in entry.candidates}
    right, other = by.get(_key(entry.suggestion), ()), by.get(_key(wrong), ())
    alone = Candidate(wrong, right)  # what nobody said stands in for what was suggested
    changed = []
    for one in entry.candidates:
        if one.label == entry.suggestion:
            changed.append(_said_by(one, other) if other else alone)
        else:
            changed.append(_said_by(one, right) if one.label == wrong else one)
    changed.sort(key=lambda one: (one.label != wrong, -len(one.by)))
    return replace(entry, suggestion=wrong, candidates=tuple(changed))


def _said_by(one: Candidate, by: tuple[str, ...]) -> Candidate:
    return replace(one, by=by, rationales=one.rationales[: len(by)])
