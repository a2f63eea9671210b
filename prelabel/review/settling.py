"""What a group's opinions on one item come to: the rule of precedence, on plain values.

A senior's opinion settles an item, the latest where there are several. Reviewers settle it by
agreeing; where they do not it is a conflict, which a senior settles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from prelabel.records import Label
from prelabel.tasks import Task

CAUSES = {
    "annotator_error": "annotators erred",
    "guideline_gap": "the guideline does not say",
    "ambiguous_item": "the item is ambiguous",
    "label_set_gap": "a label is missing",
    "bad_item": "the item is broken",
}
"""Why the rule could not accept an item, as a person sees it."""

NO_LABEL_CAUSES = ("ambiguous_item", "label_set_gap", "bad_item")
"""Causes for which an item may be settled without a label."""

Kind = Literal["decided", "skipped", "withdrawn"]
Stage = Literal["open", "conflict", "done", "check"]
Arm = Literal["blind", "suggested"]

Trial = Literal["", "drawn", "gold", "planted"]
"""What was left to chance: nothing; the arm; that it is hidden gold; and a wrong suggestion."""

HIDDEN: tuple[Trial, ...] = ("gold", "planted")


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the adjudications, in the order ``n`` in which they were stored.

    ``label`` is None where no label fits. ``seconds`` is the time from when the item was shown.
    A withdrawal names in ``supersedes`` the row that it takes back. ``suggestion`` is the label
    that the page suggested, or in the blind arm kept to itself; None where there was none.
    """

    n: int
    kind: Kind
    item_id: str
    item_hash: str
    guideline_hash: str
    rule_hash: str
    label: Label
    cause: str
    note: str
    author: str
    role: str
    arm: Arm
    seconds: float
    created: float
    trial: Trial = ""
    suggestion: Label = None
    supersedes: int | None = None


def standing(rows: Iterable[Decision]) -> list[Decision]:
    """Return each author's last word on one item, without what was withdrawn, oldest first."""
    kept = {row.author: row for row in acted(rows) if row.kind == "decided"}
    return sorted(kept.values(), key=lambda row: row.n)


def acted(rows: Iterable[Decision]) -> list[Decision]:
    """Return the decisions and skips that were not withdrawn, oldest first."""
    ordered = sorted(rows, key=lambda row: row.n)
    withdrawn = {row.supersedes for row in ordered if row.kind == "withdrawn"}
    return [row for row in ordered if row.kind != "withdrawn" and row.n not in withdrawn]


def agree(a: Label, b: Label, task: Task) -> bool:
    """Say whether two labels are one to the task; no label agrees with no label only."""
    if a is None or b is None:
        return a is b
    return task.right(a, b) and task.right(b, a)


def settled(opinions: Sequence[Decision], task: Task) -> Decision | None:
    """Return the opinion that is the item's final one; None without any, and in a conflict."""
    seniors = [one for one in opinions if one.role == "senior"]
    if seniors:
        return seniors[-1]
    pairs = combinations(opinions, 2)
    if opinions and all(agree(a.label, b.label, task) for a, b in pairs):
        return opinions[-1]
    return None


def stage_of(opinions: Sequence[Decision], task: Task, overlap: int) -> Stage:
    """Return what an item waits for: opinions until there are ``overlap``, a senior, or nothing."""
    if any(one.role == "senior" for one in opinions):
        return "done"
    if len(opinions) < overlap:
        return "open"
    return "done" if settled(opinions, task) else "conflict"
