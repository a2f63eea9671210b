"""The queue: which item a reviewer gets next, so that no two get the same one.

Rows stand in the order of routing. Each has a stage, derived from the facts and stored beside them
in the same transaction, so that the next item is found through one index. A reviewer who is far
ahead of the others with an overlap of two or more passes over the items that only they have done.

Hidden gold stands in the queue as the stage "check". It waits for nobody: by lot it is given before
an open item, the one nearest in the queue, to each reviewer once.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from prelabel.review.entries import Entry, entry_of
from prelabel.review.lots import lot
from prelabel.review.schema import ADJUDICATIONS, CHECKS, FLAGS, LEASES, QUEUE
from prelabel.review.settling import Arm, Decision, Stage, Trial, stage_of, standing
from prelabel.review.store import Reviewer, about, counting_in, rows_of_item

if TYPE_CHECKING:
    from prelabel.records import Label
    from prelabel.tasks import Task

LEASE = 900.0
"""Seconds for which an item is one reviewer's; looking at it again begins them anew."""

WINDOW = 32
"""Rows looked at together for one that nobody has: as many as people may be at work."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An item of the queue as one reviewer has it: its place, what it waits for, and their lease.

    ``state`` is ``held``, ``lost`` (others had it since), ``decided`` or ``skipped``.
    ``suggestion`` is what the page suggests, or keeps to itself if it is blind.
    """

    position: int
    key: str
    item_id: str
    item_hash: str
    stage: Stage
    state: str
    arm: Arm
    shown: float
    trial: Trial = ""
    suggestion: Label = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How items are handed out, and whose decisions count.

    The rates and the floor are those of ``ReviewConfig``; ``seed`` is what lots are drawn from.
    """

    guideline_hash: str
    overlap: int = 1
    blind: bool = False
    lease: float = LEASE
    gold_rate: float = 0.0
    wrong_rate: float = 0.0
    blind_rate: float = 0.0
    floor: float = 0.85
    seed: str = ""


def hand_out(connection: sa.Connection, reviewer: Reviewer, terms: Terms) -> Slot | None:
    """Give a reviewer their next item, the one they hold if they hold one; None if there is none.

    Seniors get conflicts first. What the reviewer skipped comes when nothing else is left.
    """
    slot = (
        _held(connection, reviewer, terms)
        or (_first_conflict(connection, reviewer) if reviewer.senior else None)
        or _open_or_check(connection, reviewer, terms)
        or _skipped(connection, reviewer, terms)
    )
    return slot and lease(connection, slot, reviewer, terms)


def _open_or_check(connection: sa.Connection, reviewer: Reviewer, terms: Terms) -> Slot | None:
    """Return the first open item, or by lot the hidden gold that is nearest to it."""
    found = _first_open(connection, reviewer, terms)
    if found is None or not terms.gold_rate:
        return found
    mine = LEASES.c.reviewer == reviewer.name
    had = connection.scalar(sa.select(sa.func.count()).select_from(LEASES).where(mine)) or 0
    if lot(terms.seed, reviewer.name, had, "gold") >= terms.gold_rate:
        return found
    return _nearest_check(connection, reviewer, found.position) or found


def _nearest_check(connection: sa.Connection, reviewer: Reviewer, position: int) -> Slot | None:
    """Return the hidden gold next in the queue that a reviewer never had, else the last before."""
    unseen = (
        sa.select(*_HEADS)
        .where(
            QUEUE.c.stage == "check", ~_touched(reviewer, ("held", "lost", "decided", "skipped"))
        )
        .limit(1)
    )
    here = QUEUE.c.position
    ahead = connection.execute(unseen.where(here >= position).order_by(here)).first()
    row = ahead or connection.execute(unseen.order_by(here.desc())).first()
    return _new(row) if row else None


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
        "shown": row.shown if row and again else now,
        "expires": now + terms.lease,
    }
    if row:
        connection.execute(sa.update(LEASES).where(*mine).values(**values))
    else:
        arm, trial = _arm(connection, slot, reviewer, terms)
        trial, suggestion = _suggestion(connection, slot, reviewer, terms, arm, trial)
        values |= {"item_id": slot.item_id, "reviewer": reviewer.name}
        values |= {"arm": arm, "trial": trial, "suggestion": json.dumps(suggestion)}
        connection.execute(sa.insert(LEASES).values(**values))
    found = slot_of(connection, slot.key, reviewer)
    assert found is not None  # it was written above, in this transaction
    return found


def _arm(
    connection: sa.Connection, slot: Slot, reviewer: Reviewer, terms: Terms
) -> tuple[Arm, Trial]:
    """Return whether candidates are shown, and whether that was drawn by lot.

    They never are in a blind review, nor for a second opinion; who gets an item while another looks
    at it gives the second opinion. Hidden gold is blind by lot, as often as other items are.
    """
    if terms.blind:
        return "blind", ""
    share = terms.blind_rate
    if slot.stage == "check":
        share = 1 - (1 - share) / terms.overlap
    elif slot.stage == "conflict":
        return "suggested", ""
    elif _others(connection, slot, reviewer):
        return "blind", ""
    drawn: Trial = "drawn" if 0 < share < 1 else ""
    blind = lot(terms.seed, reviewer.name, slot.item_id, "blind") < share
    return ("blind" if blind else "suggested"), drawn


def _others(connection: sa.Connection, slot: Slot, reviewer: Reviewer) -> int:
    """Count the others who have or had an item, whether what they say counts or not."""
    here = QUEUE.c.item_id == slot.item_id
    return connection.scalar(sa.select(_taken(reviewer, all_count=True)).where(here)) or 0


def _suggestion(
    connection: sa.Connection, slot: Slot, reviewer: Reviewer, terms: Terms, arm: Arm, trial: Trial
) -> tuple[Trial, Label]:
    """Return what an item's page suggests: of hidden gold, by lot a wrong label.

    In the blind arm, where nothing is suggested, it is always the wrong one: how often people
    choose it of their own accord.
    """
    suggested = entry(connection, slot).suggestion
    if slot.stage != "check":
        return trial, suggested
    query = sa.select(CHECKS.c.wrong).where(CHECKS.c.item_id == slot.item_id)
    wrong = json.loads(connection.scalar(query) or "null")
    share = 1.0 if arm == "blind" and terms.wrong_rate else terms.wrong_rate / terms.gold_rate
    if wrong is None or lot(terms.seed, reviewer.name, slot.item_id, "wrong") >= share:
        return "gold", suggested
    return "planted", wrong


def mark(connection: sa.Connection, slot: Slot, reviewer: Reviewer, state: str) -> None:
    """Note what a reviewer did with an item."""
    mine = (LEASES.c.item_id == slot.item_id, LEASES.c.reviewer == reviewer.name)
    connection.execute(sa.update(LEASES).where(*mine).values(state=state, expires=0.0))


def restage(connection: sa.Connection, slot: Slot, terms: Terms, task: Task) -> Stage:
    """Bring an item's stage up to date with the facts; hidden gold stays what it is."""
    if slot.stage == "check":
        return "check"
    count = counting_in(connection, task, slot.item_id)
    stage = stage_of(count(opinions(connection, slot, terms)), task, terms.overlap)
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
    """Return how many items there are of each stage, hidden gold left out."""
    query = sa.select(QUEUE.c.stage, sa.func.count()).where(QUEUE.c.stage != "check")
    query = query.group_by(QUEUE.c.stage)
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
    own = ("state", "arm", "shown", "trial", "suggestion")
    columns = [*_HEADS, *(LEASES.c[name] for name in own)]
    return sa.select(*columns).select_from(joined).where(LEASES.c.reviewer == reviewer.name)


def _slot(row: Any) -> Slot:
    values = {name: getattr(row, name) for name in Slot.__slots__}
    return Slot(**values | {"suggestion": json.loads(row.suggestion)})


def _taken(
    reviewer: Reviewer, stages: tuple[str, ...] = ("held", "decided"), *, all_count: bool = False
) -> Any:
    """Count the others who have an item now, or have decided on it so that it counts."""
    others = LEASES.alias("others")
    decided = others.c.state == "decided"
    if not all_count:
        decided = sa.and_(decided, others.c.reviewer.not_in(sa.select(FLAGS.c.reviewer)))
    active = sa.or_(decided, others.c.expires > time.time())
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
            "check": True,
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
    stages = ("open", "check", "conflict") if reviewer.senior else ("open", "check")
    query = (
        _mine(reviewer)
        .where(LEASES.c.state == "skipped", QUEUE.c.stage.in_(stages))
        .add_columns(
            _taken(reviewer).label("opinions"), _taken(reviewer, ("held",)).label("holders")
        )
        .order_by(latest)
    )
    for row in connection.execute(query):
        free = {"open": row.opinions < terms.overlap, "check": True, "conflict": not row.holders}
        if free[row.stage]:
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
