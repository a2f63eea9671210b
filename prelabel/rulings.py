"""The rulings of the review page on their way into the guideline: proposed, accepted, rejected."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from prelabel.errors import InputError
from prelabel.guideline_log import Word, append, need_author, read_log
from prelabel.guideline_versions import flat

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Label

Status = Literal["proposed", "accepted", "rejected", "in the guideline"]


@dataclass(frozen=True, slots=True)
class ProposedRuling:
    """A ruling that holds on the review page, and a person's word on it.

    ``label`` is as a guideline writes it: names where the task's rulings name labels, else words;
    None where the guideline has no such label. ``author`` and ``why`` are the reviewer's.
    """

    id: str
    item_id: str
    text: str
    label: Any
    why: str
    author: str
    cause: str
    status: Status
    said_by: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def rulings(project: Project, database: str | None = None) -> list[ProposedRuling]:
    """Return the rulings that hold on the review page, oldest first, with what became of them."""
    from prelabel.review.results import exists
    from prelabel.review.store import open_store
    from prelabel.review.store import rulings as held

    if not exists(project, database):
        return []
    with closing(open_store(project, database)) as opened, opened.reading() as connection:
        found = held(connection, project.task)
    words, guideline = read_log(project).words, project.guideline
    there = {flat(one.text) for one in guideline.rulings}
    listed = []
    for one in found:
        word = words.get(one.id)
        status: Status = word.status if word else "proposed"
        if flat(one.text) in there:
            status = "in the guideline"
        listed.append(
            ProposedRuling(
                one.id,
                one.item_id,
                one.text,
                _reference(project, one.decision.label),
                one.decision.note,
                one.decision.author,
                one.decision.cause,
                status,
                word.author if word else "",
                word.reason if word else "",
            )
        )
    return listed


def _reference(project: Project, label: Label) -> Any:
    """Return a label as a ruling of the guideline writes it."""
    from prelabel.guideline_fields import NAMING
    from prelabel.review.shown import words

    if project.guideline.task not in NAMING:
        return "; ".join(words(label, project.task))
    names = [label] if isinstance(label, str) else label
    known = set(project.guideline.label_names)
    return label if known.issuperset(names) else None


def decide_rulings(
    project: Project,
    *,
    accept: Sequence[str] = (),
    reject: Sequence[str] = (),
    author: str,
    reason: str,
    database: str | None = None,
) -> list[ProposedRuling]:
    """Record a person's word on rulings, by their ids, and return all as they stand now.

    Accepted ones come into the next proposal of `revise`; the guideline stays as it is. A later
    word supersedes an earlier one. Raises ``InputError`` for an unknown id, or for both words.
    """
    who, why, now = need_author("rulings", author, reason)
    known = {one.id: one for one in rulings(project, database)}
    for name in (*accept, *reject):
        if name not in known:
            there = ", ".join(known) or "none"
            raise InputError(f"rulings: no ruling {name!r} holds; there are: {there}")
        if name in accept and (name in reject or known[name].label is None):
            what = "both accepted and rejected" if name in reject else "of a label that is gone"
            raise InputError(f"rulings: {name} is {what}; settle which it is")
    append(project, *(Word(name, "accepted", who, why, now) for name in accept))
    append(project, *(Word(name, "rejected", who, why, now) for name in reject))
    return rulings(project, database)
