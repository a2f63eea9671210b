"""The facts of the review in its database: adjudications, rulings, reviewers; append-only."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from prelabel.errors import InputError
from prelabel.review.floor import countable
from prelabel.review.schema import (
    ABOUT,
    ADJUDICATIONS,
    CHECKS,
    FLAGS,
    LIFTS,
    REVIEWERS,
    RULINGS,
    SESSIONS,
    Database,
    sqlite_url,
)
from prelabel.review.settling import HIDDEN, Decision, agree, settled, standing

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Label
    from prelabel.tasks import Task

DATABASE = "PRELABEL_REVIEW_DATABASE"
"""The environment's variable with the database's URL, which may hold a password."""

Role = Literal["reviewer", "senior"]
MOST_NAME = 60

_COLUMNS = [field.name for field in fields(Decision)]


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person who decides."""

    name: str
    role: Role

    @property
    def senior(self) -> bool:
        """Whether this person's word settles conflicts."""
        return self.role == "senior"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision kept as case law: the item's text, its label and why."""

    id: str
    item_id: str
    text: str
    decision: Decision


def file_of(project: Project) -> Path:
    """Return where the review's facts are unless a database is named."""
    return project.state / "review.sqlite"


def open_store(project: Project, database: str | None = None) -> Database:
    """Open the database named, else the one of the environment, else the project's own file."""
    url = database or os.environ.get(DATABASE)
    return Database(url or sqlite_url(file_of(project)))


def digest(token: str) -> str:
    """Return what is stored of a token. It is random and long, so that no salt is needed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def invite(database: Database, name: str, role: Role | None = None) -> str:
    """Give a reviewer a new token and return it; what they had before is void.

    ``role`` None keeps the role of one who is there, and is ``reviewer`` for a new one. Raises
    ``InputError`` for a name that cannot be shown.
    """
    token = secrets.token_urlsafe(32)
    with database.writing() as connection:
        known = reviewer_of(connection, name)
        values = {
            "token_hash": digest(token),
            "role": role or (known.role if known else "reviewer"),
        }
        _save_reviewer(connection, name, known, values)
        connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.reviewer == name))
    return token


def ensure_reviewer(database: Database, name: str, role: Role) -> Reviewer:
    """Return a reviewer, made with ``role`` if not there; an invitation given out stays valid."""
    with database.writing() as connection:
        known = reviewer_of(connection, name)
        if known is None:
            _save_reviewer(connection, name, None, {"role": role})
        return known or Reviewer(name, role)


def _save_reviewer(
    connection: sa.Connection, name: str, known: Reviewer | None, values: dict[str, Any]
) -> None:
    if known is None:
        check_name(name)
        row = {"name": name, "created": time.time()} | values
        connection.execute(sa.insert(REVIEWERS).values(**row))
    else:
        connection.execute(sa.update(REVIEWERS).where(REVIEWERS.c.name == name).values(**values))


def check_name(name: str) -> None:
    """Raise ``InputError`` for a reviewer's name that is empty, long or not printable."""
    if not name.strip() or name != name.strip() or len(name) > MOST_NAME or not name.isprintable():
        raise InputError(
            f"reviewer {name!r}: a name has 1 to {MOST_NAME} letters and no line breaks"
        )


def reviewer_of(connection: sa.Connection, name: str) -> Reviewer | None:
    """Return the reviewer of a name."""
    row = connection.execute(sa.select(REVIEWERS).where(REVIEWERS.c.name == name)).first()
    return Reviewer(row.name, row.role) if row else None


def reviewer_by_token(connection: sa.Connection, token: str) -> Reviewer | None:
    """Return whom an invitation's token belongs to."""
    wanted = REVIEWERS.c.token_hash == digest(token)
    row = connection.execute(sa.select(REVIEWERS).where(wanted)).first()
    return Reviewer(row.name, row.role) if row else None


def reviewers(database: Database) -> list[Reviewer]:
    """Return all reviewers in the order in which they came."""
    with database.reading() as connection:
        rows = connection.execute(sa.select(REVIEWERS).order_by(REVIEWERS.c.created)).all()
    return [Reviewer(row.name, row.role) for row in rows]


def about(connection: sa.Connection, key: str) -> str | None:
    """Return what is noted of the database under ``key``."""
    return connection.scalar(sa.select(ABOUT.c.value).where(ABOUT.c.key == key))


def note_about(connection: sa.Connection, **values: str) -> None:
    """Note something of the database."""
    connection.execute(sa.delete(ABOUT).where(ABOUT.c.key.in_(values)))
    rows = [{"key": key, "value": value} for key, value in values.items()]
    connection.execute(sa.insert(ABOUT), rows)


def known_request(connection: sa.Connection, request: str) -> bool:
    """Say whether a request is stored already: a double click sends the same one."""
    wanted = sa.select(ADJUDICATIONS.c.n).where(ADJUDICATIONS.c.request == request)
    return connection.scalar(wanted) is not None


def append(connection: sa.Connection, request: str, **values: Any) -> int:
    """Append one row and return its number."""
    for name in ("label", "suggestion"):
        values[name] = json.dumps(values.get(name))
    row = {"created": time.time(), "request": request} | values
    result = connection.execute(sa.insert(ADJUDICATIONS).values(**row))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def keep_ruling(connection: sa.Connection, n: int, item_id: str, text: str) -> str:
    """Keep adjudication ``n`` as a ruling and return the ruling's id."""
    name = f"R-{n}"
    row = {"id": name, "adjudication": n, "item_id": item_id, "text": json.dumps(text)}
    connection.execute(sa.insert(RULINGS).values(**row))
    return name


def rows_of_item(
    connection: sa.Connection, item_id: str, item_hash: str, guideline_hash: str
) -> list[Decision]:
    """Return all that was stored of an item's present text under a guideline."""
    table = ADJUDICATIONS.c
    query = sa.select(ADJUDICATIONS).where(
        table.item_id == item_id,
        table.item_hash == item_hash,
        table.guideline_hash == guideline_hash,
    )
    return [_decision(row) for row in connection.execute(query)]


def rows_under(connection: sa.Connection, guideline_hash: str | None = None) -> Iterator[Decision]:
    """Yield all that was stored, of one guideline or of any, oldest first."""
    query = sa.select(ADJUDICATIONS).order_by(ADJUDICATIONS.c.n)
    if guideline_hash is not None:
        query = query.where(ADJUDICATIONS.c.guideline_hash == guideline_hash)
    for row in connection.execute(query):
        yield _decision(row)


def opinions_by_item(rows: Iterable[Decision], hashes: dict[str, str]) -> dict[str, list[Decision]]:
    """Return what stands of each item that has its present text, ``hashes`` by item id."""
    found: dict[str, list[Decision]] = {}
    for row in rows:
        if hashes.get(row.item_id) == row.item_hash:
            found.setdefault(row.item_id, []).append(row)
    return {item: standing(own) for item, own in found.items()}


def rows_of_author(
    connection: sa.Connection, author: str, guideline_hash: str, *, hidden: bool = False
) -> list[Decision]:
    """Return all that an author stored under a guideline, or of that what is of hidden gold."""
    table = ADJUDICATIONS.c
    query = sa.select(ADJUDICATIONS).where(
        table.author == author, table.guideline_hash == guideline_hash
    )
    if hidden:
        query = query.where(table.trial.in_(HIDDEN))
    return [_decision(row) for row in connection.execute(query)]


def flags(connection: sa.Connection) -> set[str]:
    """Return who was shown to be below the floor."""
    return {row.reviewer for row in connection.execute(sa.select(FLAGS))}


def gold_in(
    connection: sa.Connection, items: Sequence[str] | None = None
) -> dict[tuple[str, str], Label]:
    """Return the gold labels of some items, or of all that have one, by item id and hash."""
    query = sa.select(CHECKS)
    if items is not None:
        query = query.where(CHECKS.c.item_id.in_(items))
    rows = connection.execute(query)
    return {(row.item_id, row.item_hash): json.loads(row.gold) for row in rows}


def counting_in(
    connection: sa.Connection, task: Task, item_id: str | None = None
) -> Callable[[Iterable[Decision]], list[Decision]]:
    """Return a function that keeps the opinions, on one item or any, that count for its label."""
    flagged = flags(connection)
    gold = gold_in(connection, None if item_id is None else [item_id])
    return lambda opinions: countable(opinions, flagged, gold, task)


def has_hidden(connection: sa.Connection) -> bool:
    """Say whether anybody has decided on hidden gold."""
    query = sa.select(ADJUDICATIONS.c.n).where(ADJUDICATIONS.c.trial.in_(HIDDEN)).limit(1)
    return connection.scalar(query) is not None


def lifted(connection: sa.Connection) -> dict[str, float]:
    """Return by reviewer when their flag was last lifted; carried decisions keep their time."""
    query = sa.select(LIFTS.c.reviewer, sa.func.max(LIFTS.c.created)).group_by(LIFTS.c.reviewer)
    return {row[0]: row[1] for row in connection.execute(query)}


def keep_lift(connection: sa.Connection, reviewer: str, author: str, reason: str) -> None:
    """Append that a reviewer's count on hidden gold begins anew, with who says so and why."""
    last = connection.scalar(sa.select(sa.func.max(ADJUDICATIONS.c.n))) or 0
    row = {"reviewer": reviewer, "author": author, "reason": reason, "after": last}
    connection.execute(sa.insert(LIFTS).values(created=time.time(), **row))


def carry_opinions(database: Database, hashes: dict[str, str], old: str, new: str) -> int:
    """Let what stands of some items under one guideline stand under another; return how much.

    ``hashes`` are of the items' present texts. Each opinion is a new row whose request names the
    row that it comes from; whoever has said something under the other guideline is left alone.
    """
    with database.writing() as connection:
        before = opinions_by_item(rows_under(connection, old), hashes)
        acted = {(row.item_id, row.author) for row in rows_under(connection, new)}
        carried = [
            one for own in before.values() for one in own if (one.item_id, one.author) not in acted
        ]
        for one in carried:
            values = {name: getattr(one, name) for name in _COLUMNS if name != "n"}
            append(connection, f"carried:{new}:{one.n}", **values | {"guideline_hash": new})
    return len(carried)


def last_action(
    connection: sa.Connection, author: str, guideline_hash: str, *, before: int | None = None
) -> Decision | None:
    """Return the last decision or skip of an author that is not withdrawn."""
    later = ADJUDICATIONS.alias()
    table = ADJUDICATIONS.c
    query = (
        sa.select(ADJUDICATIONS)
        .where(
            table.author == author,
            table.guideline_hash == guideline_hash,
            table.kind != "withdrawn",
            ~sa.exists().where(later.c.supersedes == table.n),
        )
        .order_by(table.n.desc())
        .limit(1)
    )
    if before is not None:
        query = query.where(table.n < before)
    row = connection.execute(query).first()
    return _decision(row) if row else None


def rulings(connection: sa.Connection, task: Task, viewer: str = "") -> list[Ruling]:
    """Return the rulings that hold: those whose item was finally decided so, whoever did it.

    To ``viewer`` their own on hidden gold hold, too: else they could tell it by that.
    """
    rows = connection.execute(sa.select(RULINGS).order_by(RULINGS.c.adjudication)).all()
    if not rows:
        return []
    by_item: dict[tuple[str, str, str], list[Decision]] = {}
    for one in _of_items(connection, sorted({row.item_id for row in rows})):
        key = (one.item_id, one.item_hash, one.guideline_hash)
        by_item.setdefault(key, []).append(one)
    holding: dict[int, Decision] = {}
    counting = counting_in(connection, task)
    for own in by_item.values():
        opinions = standing(own)
        holding |= {one.n: one for one in opinions if one.trial and one.author == viewer}
        if final := settled(counting(opinions), task):
            holding |= {
                one.n: one
                for one in opinions
                if agree(one.label, final.label, task)
                and (not viewer or one.author == viewer or one.trial not in HIDDEN)
            }
    return [
        Ruling(row.id, row.item_id, json.loads(row.text), holding[row.adjudication])
        for row in rows
        if row.adjudication in holding
    ]


def _of_items(connection: sa.Connection, items: Sequence[str]) -> Iterator[Decision]:
    for start in range(0, len(items), 500):
        batch = items[start : start + 500]
        query = sa.select(ADJUDICATIONS).where(ADJUDICATIONS.c.item_id.in_(batch))
        for row in connection.execute(query):
            yield _decision(row)


def _decision(row: Any) -> Decision:
    values = {name: getattr(row, name) for name in _COLUMNS}
    labels = {name: json.loads(values[name]) for name in ("label", "suggestion")}
    return Decision(**values | labels)
