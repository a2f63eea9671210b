"""What people decided: the final decisions, for labels and exports, and how far the review is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from os import environ
from typing import TYPE_CHECKING, Any

from prelabel.records import Adjudication, Item, Label
from prelabel.review import queue, store
from prelabel.review.settling import Decision, acted, settled
from prelabel.review.store import DATABASE, file_of, open_store

if TYPE_CHECKING:
    from prelabel.project import Project

COLUMNS = (
    "id", "status", "label", "cause", "note", "author", "role", "arm", "seconds", "created",
    "guideline_hash", "rule_hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Results:
    """How far the review is.

    ``waiting`` counts the queue's items by stage; ``authors`` and ``causes`` count the opinions
    that stand; ``other_guidelines`` counts what was stored under other guidelines, which does not
    count now; ``changed_items`` what is of an item's other text.
    """

    settled: int
    conflicts: int
    waiting: dict[str, int]
    authors: dict[str, int]
    causes: dict[str, int]
    rulings: int
    other_guidelines: int
    changed_items: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def decisions(project: Project, database: str | None = None) -> dict[str, Adjudication]:
    """Return the final decision on each item that has one, by item id.

    A senior's stands over reviewers'; reviewers settle an item by agreeing, and one that they do
    not agree on is not there. What was decided under another guideline, or on another text of the
    item, does not count. ``label`` is None where people found that no label fits.
    """
    final = {}
    for item, opinions in _opinions(project, database).items():
        one = settled(opinions, project.task)
        if one:
            final[item] = Adjudication(
                item, one.label, one.author, one.cause, one.note, one.created
            )
    return final


def rows(project: Project, database: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield every opinion that stands as a flat row.

    ``status`` is ``final`` for the one that settles its item, ``agrees`` or ``overruled`` beside
    it, and ``conflict`` where the item is not settled. ``seconds`` is from showing to storing.
    """
    from prelabel.review.settling import agree

    for opinions in _opinions(project, database).values():
        final = settled(opinions, project.task)
        for one in opinions:
            status = "conflict"
            if final:
                agrees = agree(one.label, final.label, project.task)
                status = "final" if one is final else "agrees" if agrees else "overruled"
            row = asdict(one) | {"id": one.item_id, "status": status}
            yield {name: row[name] for name in COLUMNS}


def results(project: Project, database: str | None = None) -> Results:
    """Say how far the review is."""
    if not exists(project, database):
        return Results(0, 0, {}, {}, {}, 0, 0, 0)
    with closing(open_store(project, database)) as opened, opened.reading() as connection:
        waiting = dict(queue.counts(connection))
        held = len(store.rulings(connection, project.task))
        stored = list(store.rows_under(connection))
    under = [row for row in stored if row.guideline_hash == project.guideline.hash]
    hashes = {item.id: item.hash for item in project.items()}
    by_item = store.opinions_by_item(under, hashes)
    opinions = [one for own in by_item.values() for one in own]
    done = sum(1 for own in by_item.values() if settled(own, project.task))
    decided = Counter(row.guideline_hash for row in stored if row.kind == "decided")
    changed = sum(r.kind == "decided" and hashes.get(r.item_id) != r.item_hash for r in under)
    return Results(
        done,
        sum(1 for own in by_item.values() if own) - done,
        waiting,
        dict(Counter(one.author for one in opinions)),
        dict(Counter(one.cause for one in opinions if one.cause)),
        held,
        sum(decided.values()) - decided[project.guideline.hash],
        changed,
    )


def labels_under(project: Project, guideline_hash: str) -> list[tuple[str, Label]]:
    """Return the labels that people gave under a guideline, with their items."""
    if not exists(project, None):
        return []
    with closing(open_store(project)) as opened, opened.reading() as connection:
        rows = list(store.rows_under(connection, guideline_hash))
    return [(one.item_id, one.label) for one in acted(rows) if one.label is not None]


def carry_decisions(project: Project, items: Iterable[Item], old: str, new: str) -> int:
    """Let people's opinions of items under one guideline stand under another; return how many."""
    if not exists(project, None):
        return 0
    with closing(open_store(project)) as opened:
        return store.carry_opinions(opened, {item.id: item.hash for item in items}, old, new)


def _opinions(project: Project, database: str | None) -> dict[str, list[Decision]]:
    if not exists(project, database):
        return {}
    hashes = {item.id: item.hash for item in project.items()}
    with closing(open_store(project, database)) as opened, opened.reading() as connection:
        return store.opinions_by_item(store.rows_under(connection, project.guideline.hash), hashes)


def exists(project: Project, database: str | None) -> bool:
    """Say whether there is a review: asking for its decisions must not begin one."""
    return bool(database or environ.get(DATABASE)) or file_of(project).is_file()
