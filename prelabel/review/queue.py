"""The queue: which item a reviewer gets next, so that no two get the same one.

Rows stand in the order of routing. Each has a stage, derived from the facts and stored beside them
in the same transaction, so that the next item is found through one index. A reviewer who is far
ahead of the others with an overlap of two or more passes over the items that only they have done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from prelabel.review.entries import Entry, entry_of, key_of
from prelabel.review.schema import ADJUDICATIONS, LEASES, QUEUE, Database
from prelabel.review.settling import Arm, Decision, Stage, stage_of, standing
from prelabel.review.store import (
    Reviewer,
    about,
    note_about,
    opinions_by_item,
    rows_of_item,
    rows_under,
)

if TYPE_CHECKING:
    from prelabel.tasks import Task

LEASE = 900.0
"""Seconds for which an item is one reviewer's; looking at it again begins them anew."""

BATCH = 500
WINDOW = 32
"""Rows looked at together for one that nobody has: as many as people may be at work."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An item of the queue as one reviewer has it: its place, what it waits for, and their lease.

    ``state`` is ``held``, ``lost`` (others had it since), ``decided`` or ``skipped``.
    """

    position: int
    key: str
    item_id: str
    item_hash: str
    stage: Stage
    state: str
    arm: Arm
    shown: float


@dataclass(frozen=True, slots=True)
class Terms:
    """How items are handed out."""

    guideline_hash: str
    overlap: int = 1
    blind: bool = False
    lease: float = LEASE


def build(
    database: Database, found: Iterable[Entry], terms: Terms, task: Task, **noted: str
) -> int:
    """Write the queue anew, in one transaction, and return how many items it has."""
    listed = list(found)
    hashes = {entry.item.id: entry.item.hash for entry in listed}
    with database.writing() as connection:
        rows = rows_under(connection, terms.guideline_hash)
        said = opinions_by_item(rows, hashes)
        connection.execute(sa.delete(QUEUE))
        for start in range(0, len(listed), BATCH):
            part = enumerate(listed[start : start + BATCH], start)
            values = [
                _queue_row(n, one, stage_of(said.get(one.item.id, ()), task, terms.overlap))
                for n, one in part
            ]
            connection.execute(sa.insert(QUEUE), values)
        _restore_leases(connection, hashes, terms)
        note_about(
            connection,
            guideline=terms.guideline_hash,
            overlap=str(terms.overlap),
            **noted,
        )
    return len(listed)


def _queue_row(position: int, entry: Entry, stage: Stage) -> dict[str, Any]:
    return {
        "position": position,
        "key": key_of(entry.item.id),
        "item_id": entry.item.id,
        "item_hash": entry.item.hash,
        "stage": stage,
        "payload": entry.to_json(),
    }


def _restore_leases(connection: sa.Connection, hashes: Mapping[str, str], terms: Terms) -> None:
    """Make the leases of what was decided and skipped anew; what is held now stays so."""
    now = time.time()
    gone = sa.or_(LEASES.c.state != "held", LEASES.c.expires <= now)
    connection.execute(sa.delete(LEASES).where(gone))
    held = {(row.item_id, row.reviewer) for row in connection.execute(sa.select(LEASES))}
    withdrawn = set()
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in reversed(list(rows_under(connection, terms.guideline_hash))):
        if row.kind == "withdrawn":
            withdrawn.add(row.supersedes)
        elif row.n not in withdrawn and hashes.get(row.item_id) == row.item_hash:
            key = (row.item_id, row.author)
            values: dict[str, Any] = {
                "item_id": row.item_id,
                "reviewer": row.author,
                "state": row.kind,
            }
            values |= {"arm": row.arm, "shown": row.created - row.seconds, "expires": 0.0}
            if key not in last or row.kind == "decided":
                last[key] = values
    rows = [values for key, values in last.items() if key not in held]
    for start in range(0, len(rows), BATCH):
        connection.execute(sa.insert(LEASES), rows[start : start + BATCH])


def hand_out(connection: sa.Connection, reviewer: Reviewer, terms: Terms) -> Slot | None:
    """Give a reviewer their next item, the one they hold if they hold one; None if there is none.

    Seniors get conflicts first. What the reviewer skipped comes when nothing else is left.
    """
    slot = (
        _held(connection, reviewer, terms)
        or (_first_conflict(connection, reviewer) if reviewer.senior else None)
        or _first_open(connection, reviewer, terms)
        or _skipped(connection, reviewer, terms)
    )
    return slot and lease(connection, slot, reviewer, terms)


def slot_of(connection: sa.Connection, key: str, reviewer: Reviewer) -> Slot | None:
    """Return an item that a reviewer has or had, by its key; None for any other."""
    query = _mine(reviewer).where(QUEUE.c.key == key)
    row = connection.execute(query).first()
    return _slot(row) if row else None


def slot_of_item(connection: sa.Connection, item_id: str, reviewer: Reviewer) -> Slot | None:
    """Return an item that a reviewer has or had, by its id; None for any other."""
    row = connection.execute(_mine(reviewer).where(QUEUE.c.item_id == item_id)).first()
    return _slot(row) if row else None


def lease(connection: sa.Connection, slot: Slot, reviewer: Reviewer, terms: Terms) -> Slot:
    """Make an item a reviewer's for a while, and return it with the arm it is shown in.

    The arm stays what it was when the reviewer first saw the item.
    """
    now = time.time()
    mine = (LEASES.c.item_id == slot.item_id, LEASES.c.reviewer == reviewer.name)
    row = connection.execute(sa.select(LEASES).where(*mine)).first()
    again = row is not None and row.state == "held" and row.expires > now
    values: dict[str, Any] = {
        "state": "held",
        "arm": row.arm if row else _arm(connection, slot, reviewer, terms),
        "shown": row.shown if row and again else now,
        "expires": now + terms.lease,
    }
    if row:
        connection.execute(sa.update(LEASES).where(*mine).values(**values))
    else:
        values |= {"item_id": slot.item_id, "reviewer": reviewer.name}
        connection.execute(sa.insert(LEASES).values(**values))
    found = slot_of(connection, slot.key, reviewer)
    assert found is not None  # it was written above, in this transaction
    return found


def _arm(connection: sa.Connection, slot: Slot, reviewer: Reviewer, terms: Terms) -> Arm:
    """Return whether candidates are shown: never in a blind review, nor for a second opinion.

    Who gets an item while another looks at it gives the second opinion.
    """
    here = QUEUE.c.item_id == slot.item_id
    others = connection.scalar(sa.select(_taken(reviewer)).where(here))
    return "blind" if terms.blind or (slot.stage == "open" and others) else "suggested"


def mark(connection: sa.Connection, slot: Slot, reviewer: Reviewer, state: str) -> None:
    """Note what a reviewer did with an item."""
    mine = (LEASES.c.item_id == slot.item_id, LEASES.c.reviewer == reviewer.name)
    connection.execute(sa.update(LEASES).where(*mine).values(state=state, expires=0.0))


def restage(connection: sa.Connection, slot: Slot, terms: Terms, task: Task) -> Stage:
    """Bring an item's stage up to date with the facts."""
    stage = stage_of(opinions(connection, slot, terms), task, terms.overlap)
    here = QUEUE.c.item_id == slot.item_id
    connection.execute(sa.update(QUEUE).where(here).values(stage=stage))
    return stage


def own_opinion(
    connection: sa.Connection, slot: Slot, reviewer: Reviewer, terms: Terms
) -> Decision | None:
    """Return what stands of a reviewer on an item."""
    return next((o for o in opinions(connection, slot, terms) if o.author == reviewer.name), None)


def opinions(connection: sa.Connection, slot: Slot, terms: Terms) -> list[Decision]:
    """Return what stands on an item, of all reviewers."""
    return standing(rows_of(connection, slot, terms))


def rows_of(connection: sa.Connection, slot: Slot, terms: Terms) -> list[Decision]:
    """Return all that was stored of an item."""
    return rows_of_item(connection, slot.item_id, slot.item_hash, terms.guideline_hash)


def entry(connection: sa.Connection, slot: Slot) -> Entry:
    """Return what a page shows of an item."""
    payload = connection.scalar(sa.select(QUEUE.c.payload).where(QUEUE.c.item_id == slot.item_id))
    assert payload is not None  # a slot is of an item in the queue
    return entry_of(payload)


def counts(connection: sa.Connection) -> Counter[str]:
    """Return how many items there are of each stage."""
    query = sa.select(QUEUE.c.stage, sa.func.count()).group_by(QUEUE.c.stage)
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def is_current(connection: sa.Connection, terms: Terms) -> bool:
    """Say whether the queue is still the one of these terms; another process may build it anew."""
    return about(connection, "guideline") == terms.guideline_hash


_HEADS = [
    QUEUE.c.position, QUEUE.c.key, QUEUE.c.item_id, QUEUE.c.item_hash, QUEUE.c.stage,
]  # fmt: skip


def _mine(reviewer: Reviewer) -> sa.Select[Any]:
    """Select the slots that a reviewer has a lease of, in whatever state."""
    joined = sa.join(QUEUE, LEASES, QUEUE.c.item_id == LEASES.c.item_id)
    columns = [*_HEADS, LEASES.c.state, LEASES.c.arm, LEASES.c.shown]
    return sa.select(*columns).select_from(joined).where(LEASES.c.reviewer == reviewer.name)


def _slot(row: Any) -> Slot:
    return Slot(*(getattr(row, name) for name in Slot.__slots__))


def _taken(reviewer: Reviewer, stages: tuple[str, ...] = ("held", "decided")) -> Any:
    """Count the others who have an item now, or have decided on it."""
    others = LEASES.alias("others")
    active = sa.or_(others.c.state == "decided", others.c.expires > time.time())
    return (
        sa.select(sa.func.count())
        .where(
            others.c.item_id == QUEUE.c.item_id,
            others.c.reviewer != reviewer.name,
            others.c.state.in_(stages),
            active,
        )
        .scalar_subquery()
    )


def _held(connection: sa.Connection, reviewer: Reviewer, terms: Terms) -> Slot | None:
    """Return the item that a reviewer still holds; one that others had meanwhile is lost."""
    query = _mine(reviewer).where(LEASES.c.state == "held").add_columns(
        _taken(reviewer).label("opinions"), _taken(reviewer, ("held",)).label("holders")
    )  # fmt: skip
    for row in connection.execute(query.order_by(QUEUE.c.position)).all():
        free = {
            "open": row.opinions < terms.overlap,
            "conflict": reviewer.senior and not row.holders,
        }
        if free.get(row.stage, False):
            return _slot(row)
        mark(connection, _slot(row), reviewer, "lost")
    return None


def _first_conflict(connection: sa.Connection, reviewer: Reviewer) -> Slot | None:
    """Return the first conflict that no other senior is looking at."""
    query = (
        sa.select(*_HEADS)
        .where(QUEUE.c.stage == "conflict", _taken(reviewer, ("held",)) == 0)
        .where(~_touched(reviewer, ("skipped",)))
        .order_by(QUEUE.c.position)
        .limit(1)
    )
    row = connection.execute(query).first()
    return _new(row) if row else None


def _first_open(connection: sa.Connection, reviewer: Reviewer, terms: Terms) -> Slot | None:
    """Return the first open item that this reviewer has not had and enough others do not have."""
    start = -1
    while True:
        query = (
            sa.select(*_HEADS, _taken(reviewer).label("taken"))
            .where(QUEUE.c.stage == "open", QUEUE.c.position > start)
            .where(~_touched(reviewer, ("decided", "skipped")))
            .order_by(QUEUE.c.position)
            .limit(WINDOW)
        )
        rows = connection.execute(query).all()
        for row in rows:
            if row.taken < terms.overlap:
                return _new(row)
        if len(rows) < WINDOW:
            return None
        start = rows[-1].position


def _skipped(connection: sa.Connection, reviewer: Reviewer, terms: Terms) -> Slot | None:
    """Return what a reviewer skipped longest ago and is still open."""
    latest = (
        sa.select(sa.func.max(ADJUDICATIONS.c.n))
        .where(
            ADJUDICATIONS.c.item_id == QUEUE.c.item_id,
            ADJUDICATIONS.c.author == reviewer.name,
            ADJUDICATIONS.c.kind == "skipped",
        )
        .scalar_subquery()
    )
    stages = ("open", "conflict") if reviewer.senior else ("open",)
    query = (
        _mine(reviewer)
        .where(LEASES.c.state == "skipped", QUEUE.c.stage.in_(stages))
        .add_columns(
            _taken(reviewer).label("opinions"), _taken(reviewer, ("held",)).label("holders")
        )
        .order_by(latest)
    )
    for row in connection.execute(query):
        if row.opinions < terms.overlap if row.stage == "open" else not row.holders:
            return _slot(row)
    return None


def _touched(reviewer: Reviewer, states: tuple[str, ...]) -> Any:
    """Say whether a reviewer has done something with an item."""
    mine = LEASES.alias("mine")
    return sa.exists().where(
        mine.c.item_id == QUEUE.c.item_id,
        mine.c.reviewer == reviewer.name,
        mine.c.state.in_(states),
    )


def _new(row: Any) -> Slot:
    return Slot(row.position, row.key, row.item_id, row.item_hash, row.stage, "held", "blind", 0.0)
