"""Building the queue from the facts, and what else is an index of them: hidden gold and flags."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from prelabel.errors import InputError
from prelabel.review.entries import Entry, key_of
from prelabel.review.floor import flagged, last_words
from prelabel.review.queue import Terms, restage, slot_of_item
from prelabel.review.schema import CHECKS, FLAGS, LEASES, QUEUE, Database
from prelabel.review.settling import Decision, Stage, stage_of
from prelabel.review.store import (
    Reviewer,
    about,
    counting_in,
    flags,
    gold_in,
    keep_lift,
    lifted,
    note_about,
    open_store,
    opinions_by_item,
    rows_of_author,
    rows_under,
)

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.review.hidden import Check
    from prelabel.tasks import Task

BATCH = 500


def build(
    database: Database,
    found: Iterable[Entry],
    terms: Terms,
    task: Task,
    checks: Sequence[Check] = (),
    **noted: str,
) -> int:
    """Write the queue anew, in one transaction, and return how many items it has.

    ``checks`` is gold; items of the queue that are hidden gold wait for nobody's opinion.
    """
    listed = list(found)
    hashes = {entry.item.id: entry.item.hash for entry in listed}
    hidden = {check.item_id for check in checks if check.hidden}
    with database.writing() as connection:
        _keep_checks(connection, checks)
        rows = list(rows_under(connection, terms.guideline_hash))
        _flag(connection, rows, terms, task)
        said, count = opinions_by_item(rows, hashes), counting_in(connection, task)
        connection.execute(sa.delete(QUEUE))
        for start in range(0, len(listed), BATCH):
            values = []
            for n, one in enumerate(listed[start : start + BATCH], start):
                own = count(said.get(one.item.id, ()))
                stage = stage_of(own, task, terms.overlap)
                values.append(_queue_row(n, one, "check" if one.item.id in hidden else stage))
            connection.execute(sa.insert(QUEUE), values)
        _restore_leases(connection, hashes, terms)
        note_about(
            connection,
            guideline=terms.guideline_hash,
            overlap=str(terms.overlap),
            **noted,
        )
    return len(listed)


def _keep_checks(connection: sa.Connection, checks: Sequence[Check]) -> None:
    connection.execute(sa.delete(CHECKS))
    if checks:
        rows = [
            {
                "item_id": one.item_id,
                "item_hash": one.item_hash,
                "gold": json.dumps(one.gold),
                "wrong": json.dumps(one.wrong),
            }
            for one in checks
        ]
        connection.execute(sa.insert(CHECKS), rows)


def _flag(connection: sa.Connection, rows: Sequence[Decision], terms: Terms, task: Task) -> None:
    """Note who is shown to be below the floor."""
    gold, since = gold_in(connection), lifted(connection)
    below = flagged(last_words(rows), gold, since, terms.floor, task) if gold else set()
    connection.execute(sa.delete(FLAGS))
    if below:
        connection.execute(sa.insert(FLAGS), [{"reviewer": name} for name in sorted(below)])


def judge_again(connection: sa.Connection, author: str, terms: Terms, task: Task) -> None:
    """Flag an author, or lift the flag, as what they said of hidden gold now says.

    The stages of the items that they decided follow, so that those come back to the queue.
    """
    hidden = rows_of_author(connection, author, terms.guideline_hash, hidden=True)
    gold = gold_in(connection, sorted({one.item_id for one in hidden}))
    below = flagged(last_words(hidden), gold, lifted(connection), terms.floor, task)
    if below == flags(connection) & {author}:
        return
    connection.execute(sa.delete(FLAGS).where(FLAGS.c.reviewer == author))
    if below:
        connection.execute(sa.insert(FLAGS).values(reviewer=author))
    reviewer = Reviewer(author, "reviewer")
    for one in last_words(rows_of_author(connection, author, terms.guideline_hash)):
        slot = slot_of_item(connection, one.item_id, reviewer)
        if slot is not None and slot.item_hash == one.item_hash:
            restage(connection, slot, terms, task)


def terms_of(project: Project, connection: sa.Connection, overlap: int | None = None) -> Terms:
    """Return the terms of a project's review; without ``overlap`` it stays what it was."""
    return Terms(
        project.guideline.hash,
        overlap or int(about(connection, "overlap") or 1),
        **project.config.review.model_dump(),
        seed=about(connection, "seed") or secrets.token_hex(8),
    )


def lift(
    project: Project, reviewer: str, *, reason: str, by: str = "owner", database: str | None = None
) -> None:
    """Let what a flagged reviewer decided count again, and begin their count on hidden gold anew.

    Who says so and why is stored. Raises ``InputError`` for somebody without a flag, and without a
    reason.
    """
    if not reason.strip():
        raise InputError("review lift: a flag is lifted for a reason; say it with --reason")
    with closing(open_store(project, database)) as opened, opened.writing() as connection:
        known = flags(connection)
        if reviewer not in known:
            there = ", ".join(sorted(known)) or "nobody"
            raise InputError(f"review lift: {reviewer!r} is not flagged; flagged: {there}")
        keep_lift(connection, reviewer, by, reason.strip())
        judge_again(connection, reviewer, terms_of(project, connection), project.task)


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
            values |= {"trial": row.trial, "suggestion": json.dumps(row.suggestion)}
            if key not in last or row.kind == "decided":
                last[key] = values
    rows = [values for key, values in last.items() if key not in held]
    for start in range(0, len(rows), BATCH):
        connection.execute(sa.insert(LEASES), rows[start : start + BATCH])
