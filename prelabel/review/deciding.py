"""What people do with an item: decide, skip, undo; each one transaction, done when it returns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from prelabel.records import Item, Label
from prelabel.review import queue, store
from prelabel.review.building import judge_again
from prelabel.review.forms import Content, Form, first
from prelabel.review.queue import Slot, Terms
from prelabel.review.schema import Database
from prelabel.review.settling import CAUSES, HIDDEN, NO_LABEL_CAUSES, Kind
from prelabel.review.store import Reviewer
from prelabel.tasks import OffListError, Task
from prelabel.tasks.answers import UNWRITABLE

if TYPE_CHECKING:
    import sqlalchemy as sa

MOST_NOTE = 10_000
"""Characters of a note."""

Outcome = Literal["stored", "again"]


class StaleError(Exception):
    """The queue was built anew under another guideline than this server's."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person decided: a label, or None where none fits, with cause, note and ruling."""

    label: Label
    cause: str
    note: str
    ruling: bool


def read_said(content: Content, form: Form, task: Task, item: Item) -> Said:
    """Return what a form says. Raises ``OffListError`` with what to mend."""
    cause, note = first(content, "cause"), first(content, "note").strip()
    if cause and cause not in CAUSES:
        raise OffListError("choose one of the causes")
    if len(note) > MOST_NOTE:
        raise OffListError(f"the note has {len(note)} characters; {MOST_NOTE} at most are kept")
    if UNWRITABLE.search(note):
        raise OffListError("the note has a character that no file can hold; take it out")
    ruling = bool(first(content, "ruling"))
    if ruling and not note:
        raise OffListError("a ruling needs a note that says why")
    if first(content, "none"):
        if cause not in NO_LABEL_CAUSES:
            named = " or ".join(CAUSES[name] for name in NO_LABEL_CAUSES)
            raise OffListError(f"to settle an item without a label, say why as cause: {named}")
        if ruling:
            raise OffListError("a ruling needs a label")
        return Said(None, cause, note, ruling=False)
    return Said(task.match(form.read(content), item), cause, note, ruling)


def decide(
    database: Database,
    slot: Slot,
    reviewer: Reviewer,
    said: Said,
    request: str,
    terms: Terms,
    task: Task,
) -> Outcome:
    """Store a decision; one that was sent twice is stored once. Raises ``StaleError``."""
    with database.writing() as connection:
        if store.known_request(connection, request):
            return "again"
        n = _append(
            connection, slot, reviewer, request, "decided", terms,
            label=said.label, cause=said.cause, note=said.note,
        )  # fmt: skip
        if said.ruling:
            fields = queue.entry(connection, slot).item.fields
            store.keep_ruling(connection, n, slot.item_id, case_text(fields))
        queue.mark(connection, slot, reviewer, "decided")
        _after(connection, slot, reviewer, terms, task)
    return "stored"


def _after(
    connection: sa.Connection, slot: Slot, reviewer: Reviewer, terms: Terms, task: Task
) -> None:
    """Bring up to date what follows: the item's stage, and of hidden gold whose work counts."""
    queue.restage(connection, slot, terms, task)
    if slot.trial in HIDDEN:
        judge_again(connection, reviewer.name, terms, task)


def skip(database: Database, slot: Slot, reviewer: Reviewer, request: str, terms: Terms) -> Outcome:
    """Leave an item to others, or for later; a decision that stands is not touched."""
    with database.writing() as connection:
        if store.known_request(connection, request):
            return "again"
        _append(connection, slot, reviewer, request, "skipped", terms)
        if slot.state != "decided":
            queue.mark(connection, slot, reviewer, "skipped")
    return "stored"


def undo(
    database: Database, reviewer: Reviewer, n: int, request: str, terms: Terms, task: Task
) -> str | None:
    """Withdraw a reviewer's last decision or skip, if it is number ``n``; return its item's key.

    The item is theirs again. None where ``n`` is not, or no more, their last.
    """
    with database.writing() as connection:
        last = store.last_action(connection, reviewer.name, terms.guideline_hash)
        if last is None or last.n != n or store.known_request(connection, request):
            return None
        slot = queue.slot_of_item(connection, last.item_id, reviewer)
        row = {name: getattr(last, name) for name in _OF_ITEM}
        store.append(
            connection, request, kind="withdrawn", supersedes=n, author=reviewer.name,
            role=reviewer.role, cause="", note="", seconds=0.0, **row,
        )  # fmt: skip
        if slot is None or slot.item_hash != last.item_hash:
            return None  # the item is not in the queue any more
        _after(connection, slot, reviewer, terms, task)
        if queue.own_opinion(connection, slot, reviewer, terms):  # an earlier one stands again
            queue.mark(connection, slot, reviewer, "decided")
        else:
            queue.lease(connection, slot, reviewer, terms)
        return slot.key


_OF_ITEM = (
    "item_id", "item_hash", "guideline_hash", "rule_hash", "arm", "trial", "suggestion",
)  # fmt: skip


def _append(
    connection: sa.Connection,
    slot: Slot,
    reviewer: Reviewer,
    request: str,
    kind: Kind,
    terms: Terms,
    *,
    label: Label = None,
    cause: str = "",
    note: str = "",
) -> int:
    if not queue.is_current(connection, terms):
        raise StaleError
    now = time.time()
    return store.append(
        connection,
        request,
        kind=kind,
        item_id=slot.item_id,
        item_hash=slot.item_hash,
        guideline_hash=terms.guideline_hash,
        rule_hash=store.about(connection, "rule") or "",
        label=label,
        cause=cause,
        note=note,
        author=reviewer.name,
        role=reviewer.role,
        arm="blind" if terms.blind else slot.arm,
        trial="" if terms.blind and slot.trial == "drawn" else slot.trial,
        suggestion=slot.suggestion,
        seconds=round(max(0.0, now - slot.shown), 3),
        created=now,
    )


def case_text(fields: Mapping[str, str]) -> str:
    """Return an item's texts as one, for rulings."""
    return "\n".join(fields.values())


def options(content: Content) -> dict[str, str | Sequence[str]]:
    """Return what a form says beside the label, to draw it again."""
    return {
        "cause": first(content, "cause"),
        "note": first(content, "note"),
        "ruling": first(content, "ruling"),
    }
