"""Which items a changed guideline reaches: those labeled by what changed, and those like it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.guideline_changes import Change
    from prelabel.project import Project
    from prelabel.records import Label

SIMILAR = 0.15
"""The cosine of TF-IDF vectors of words from which on two texts are similar, as on the review page.
"""


@dataclass(frozen=True)
class Affected:
    """The items that the changes from one guideline to another reach, of ``total``.

    ``items`` has for each of them the changes that reach it; ``counts`` how many items each change
    reaches, in the order of ``changes``.
    """

    old: str
    new: str
    total: int
    changes: tuple[Change, ...]
    counts: tuple[int, ...]
    items: Mapping[str, tuple[str, ...]] = field(repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before relying on it."""
        pairs = zip(self.changes, self.counts, strict=True)
        none = [one.what for one, n in pairs if one.reach == "some" and not n]
        notes = [
            f"no item resembles this, so none is labeled again for it: {what}" for what in none
        ]
        if any(one.reach == "some" for one in self.changes) and len(self.items) < self.total:
            notes.append(
                "which items are reached goes by labels given and by similar words; "
                "`prelabel guideline gate` measures on gold how many others change their label"
            )
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        found = asdict(self) | {"notes": self.notes}
        found["changes"] = [
            {"what": one.what, "reach": one.reach, "items": n}
            for one, n in zip(self.changes, self.counts, strict=True)
        ]
        return found


def affected(
    project: Project, old: Guideline, new: Guideline, *, similar: float = SIMILAR
) -> Affected:
    """Return the project's items that a change of the guideline reaches.

    All where the task, the question or the like changed, or a label was added; else those that an
    annotator or a person gave a changed label under the old guideline, and those whose text has a
    cosine of ``similar`` or more to a new or lost rule, ruling, example or definition.
    """
    from prelabel.guideline_changes import changes

    if not 0 < similar <= 1:
        raise InputError(f"similar must be a cosine above 0 and at most 1, got {similar:g}")
    found = changes(old, new)
    texts = {item.id: "\n".join(item.fields.values()) for item in project.items()}
    reached = [_reached(one, texts) for one in found]
    _add_labeled(project, old, found, reached, texts)
    _add_similar(found, reached, texts, similar)
    items: dict[str, list[str]] = defaultdict(list)
    for one, own in zip(found, reached, strict=True):
        for item in own:
            items[item].append(one.what)
    return Affected(
        old.hash,
        new.hash,
        len(texts),
        tuple(found),
        tuple(map(len, reached)),
        {item: tuple(items[item]) for item in texts if item in items},
    )


def since(project: Project, old: str, *, similar: float = SIMILAR) -> Affected:
    """Return what the change from an earlier guideline, by file or hash, to the present reaches.

    Raises ``InputError`` where it reaches no item, or there is no such guideline.
    """
    from prelabel.guideline_versions import find_version

    found = affected(project, find_version(project, old), project.guideline, similar=similar)
    if not found.items:
        raise InputError(f"the change from guideline {found.old[:8]} reaches no item")
    return found


def _reached(one: Change, texts: Mapping[str, str]) -> set[str]:
    return set(texts) if one.reach == "all" else set()


def _add_labeled(
    project: Project,
    old: Guideline,
    found: Sequence[Change],
    reached: Sequence[set[str]],
    texts: Mapping[str, str],
) -> None:
    """Add the items that somebody gave a changed label under the old guideline."""
    if not any(one.labels for one in found):
        return
    from prelabel.review.beside import named_in
    from prelabel.tasks import make_task

    task = make_task(old)
    for item, label in _labels_under(project, old.hash):
        names = named_in(label, task)
        if task.name == "hierarchical":  # a path lies below each of its beginnings
            path = list(label)
            names = {" > ".join(path[: k + 1]) for k in range(len(path))}
        for one, own in zip(found, reached, strict=True):
            if item in texts and one.labels & names:
                own.add(item)


def _labels_under(project: Project, guideline_hash: str) -> list[tuple[str, Label]]:
    """Return the labels that annotators and people gave under a guideline, with their items."""
    from prelabel.ledger import Ledger
    from prelabel.review.results import labels_under

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        ids = [row["id"] for row in ledger.annotators()]
        said = [
            (a.item_id, a.label)
            for a in ledger.current(ids, guideline_hash)
            if a.outcome == "labeled"
        ]
    return said + labels_under(project, guideline_hash)


def _add_similar(
    found: Sequence[Change],
    reached: Sequence[set[str]],
    texts: Mapping[str, str],
    similar: float,
) -> None:
    """Add the items whose text is similar to one that changed."""
    wanted = [
        (at, text) for at, one in enumerate(found) if one.reach == "some" for text in one.texts
    ]
    if not wanted or not texts:
        return
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings: dict[str, Any] = {"sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b"}
    vectorizer = TfidfVectorizer(**settings)
    try:
        vectors = vectorizer.fit_transform(texts.values())
    except ValueError:  # the items have no words
        return
    ids = list(texts)
    cosines = (vectors @ vectorizer.transform([text for _, text in wanted]).T).tocoo()
    for row, column, cosine in zip(cosines.row, cosines.col, cosines.data, strict=True):
        if cosine >= similar:
            reached[wanted[column][0]].add(ids[row])
