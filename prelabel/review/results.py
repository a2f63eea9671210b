"""What people decided: the final decisions, for labels and exports, and how far the review is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from os import environ
from typing import TYPE_CHECKING, Any

from prelabel.records import Adjudication, Item, Label
from prelabel.review import queue, store
from prelabel.review.floor import countable, flagged, is_right, last_words
from prelabel.review.hidden import gold_of
from prelabel.review.settling import HIDDEN, Decision, acted, agree, settled
from prelabel.review.store import DATABASE, file_of, open_store

if TYPE_CHECKING:
    import sqlalchemy as sa

    from prelabel.project import Project
    from prelabel.review.hidden import Gold
    from prelabel.tasks import Task

COLUMNS = (
    "id", "status", "label", "cause", "note", "author", "role", "arm", "trial",
    "suggestion", "seconds", "created", "guideline_hash", "rule_hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Results:
    """How far the review is.

    ``waiting`` counts the queue's items by stage; ``authors`` and ``causes`` count the opinions
    that stand; ``other_guidelines`` counts what was stored under other guidelines, which does not
    count now; ``changed_items`` what is of an item's other text. ``hidden_gold`` counts decisions
    on hidden gold, ``against_gold`` those that differ from it, which do not count either;
    ``flagged`` by author, who is shown to be below the floor, what waits for another's opinion.
    """

    settled: int
    conflicts: int
    waiting: dict[str, int]
    authors: dict[str, int]
    causes: dict[str, int]
    rulings: int
    other_guidelines: int
    changed_items: int
    hidden_gold: int = 0
    against_gold: int = 0
    flagged: dict[str, int] = field(default_factory=dict)

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
    stored = read_stored(project, database)
    for item, opinions in stored.opinions.items():
        one = settled(stored.count(opinions), project.task)
        if one:
            final[item] = Adjudication(
                item, one.label, one.author, one.cause, one.note, one.created
            )
    return final


def rows(project: Project, database: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield every opinion that stands as a flat row.

    ``status`` is ``final`` for the one that settles its item, ``agrees`` or ``overruled`` beside
    it, ``conflict`` where the item is not settled, ``flagged`` where its author is below the floor
    and nobody settled it yet, and ``against gold`` on hidden gold. ``seconds`` is from showing to
    storing; ``trial`` says what was left to chance, and ``suggestion`` what the page suggested.
    """
    stored = read_stored(project, database)
    for opinions in stored.opinions.values():
        final = settled(stored.count(opinions), project.task)
        for one in opinions:
            row = asdict(one) | {"id": one.item_id, "status": _status(one, final, stored)}
            yield {name: row[name] for name in COLUMNS}


def _status(one: Decision, final: Decision | None, stored: Stored) -> str:
    if one is final:
        return "final"
    if one.trial in HIDDEN and not is_right(one, stored.gold, stored.task):
        return "against gold"
    if final:
        return "agrees" if agree(one.label, final.label, stored.task) else "overruled"
    return "flagged" if one.author in stored.flags else "conflict"


def results(project: Project, database: str | None = None) -> Results:
    """Say how far the review is."""
    if not exists(project, database):
        return Results(0, 0, {}, {}, {}, 0, 0, 0)
    with closing(open_store(project, database)) as opened, opened.reading() as connection:
        waiting = dict(queue.counts(connection))
        held = len(store.rulings(connection, project.task))
        found = list(store.rows_under(connection))
        stored = _read(connection, project, found)
    opinions = [one for own in stored.opinions.values() for one in own]
    done = sum(1 for own in stored.opinions.values() if settled(stored.count(own), project.task))
    decided = Counter(row.guideline_hash for row in found if row.kind == "decided")
    here = project.guideline.hash
    changed = [r for r in found if r.kind == "decided" and r.guideline_hash == here]
    statuses = [(one, _status(one, None, stored)) for one in opinions]
    return Results(
        done,
        sum(1 for own in stored.opinions.values() if stored.count(own)) - done,
        waiting,
        dict(Counter(one.author for one in opinions)),
        dict(Counter(one.cause for one in opinions if one.cause)),
        held,
        sum(decided.values()) - decided[here],
        sum(stored.hashes.get(r.item_id) != r.item_hash for r in changed),
        sum(one.trial in HIDDEN for one in opinions),
        sum(status == "against gold" for _, status in statuses),
        _waiting_again(stored),
    )


def labels_under(project: Project, guideline_hash: str) -> list[tuple[str, Label]]:
    """Return the labels that people gave under a guideline, with their items."""
    if not exists(project, None):
        return []
    with closing(open_store(project)) as opened, opened.reading() as connection:
        rows = list(store.rows_under(connection, guideline_hash))
    return [
        (one.item_id, one.label)
        for one in acted(rows)
        if one.label is not None and one.trial not in HIDDEN
    ]


def carry_decisions(project: Project, items: Iterable[Item], old: str, new: str) -> int:
    """Let people's opinions of items under one guideline stand under another; return how many."""
    if not exists(project, None):
        return 0
    with closing(open_store(project)) as opened:
        return store.carry_opinions(opened, {item.id: item.hash for item in items}, old, new)


def _waiting_again(stored: Stored) -> dict[str, int]:
    """Count by flagged author the opinions whose items nobody else has settled."""
    found = dict.fromkeys(sorted(stored.flags), 0)
    for own in stored.opinions.values():
        if not settled(stored.count(own), stored.task):
            for one in own:
                if one.author in found and one.trial not in HIDDEN:
                    found[one.author] += 1
    return found


@dataclass(frozen=True)
class Stored:
    """What people said under the project's guideline, and what of it counts."""

    task: Task
    rows: list[Decision]
    opinions: dict[str, list[Decision]]
    hashes: dict[str, str]
    gold: Gold
    lifted: dict[str, float]
    flags: set[str]

    def count(self, opinions: Iterable[Decision]) -> list[Decision]:
        """Return the opinions that count for their item's label."""
        return countable(opinions, self.flags, self.gold, self.task)


def read_stored(project: Project, database: str | None) -> Stored:
    """Read what people said; nothing where there is no review yet."""
    if not exists(project, database):
        return Stored(project.task, [], {}, {}, {}, {}, set())
    with closing(open_store(project, database)) as opened, opened.reading() as connection:
        return _read(connection, project, store.rows_under(connection, project.guideline.hash))


def _read(connection: sa.Connection, project: Project, found: Iterable[Decision]) -> Stored:
    """Return what counts of what was stored; gold is read only if any of it was hidden."""
    rows = [row for row in found if row.guideline_hash == project.guideline.hash]
    hashes = {item.id: item.hash for item in project.items()}
    gold = gold_of(project) if any(row.trial in HIDDEN for row in rows) else {}
    floor, since = project.config.review.floor, store.lifted(connection)
    flags = flagged(last_words(rows), gold, since, floor, project.task)
    opinions = store.opinions_by_item(rows, hashes)
    return Stored(project.task, rows, opinions, hashes, gold, since, flags)


def exists(project: Project, database: str | None) -> bool:
    """Say whether there is a review: asking for its decisions must not begin one."""
    return bool(database or environ.get(DATABASE)) or file_of(project).is_file()
