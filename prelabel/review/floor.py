"""The quality floor: whose decisions count, judged by what they said of hidden gold.

People are judged anew after each hidden gold item, so an interval made for one look would sooner
or later accuse somebody who is good enough: of people exactly at a floor of .85, one in four within
400 looks. The test here is a bet that may be looked at at any time (drift.py): of all whose
accuracy is the floor or better, at most `RISK` are ever flagged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import TYPE_CHECKING, Literal

from prelabel.review.settling import HIDDEN, Decision, acted

if TYPE_CHECKING:
    from prelabel.review.hidden import Gold
    from prelabel.tasks import Task

RISK = 0.05

LEAST = 10
"""Nobody is judged on fewer decisions."""

BETA = (1.0, 3.0)
"""The bet is on error rates by this beta distribution, cut at the floor's: on small ones more."""

Verdict = Literal["below", "reached", "open"]
"""Shown to be below the floor, shown to be above it, or neither yet."""


def last_words(rows: Iterable[Decision]) -> list[Decision]:
    """Return each author's last word on each text of each item, oldest first."""
    kept = {
        (row.author, row.item_id, row.item_hash): row
        for row in acted(rows)
        if row.kind == "decided"
    }
    return sorted(kept.values(), key=lambda row: row.n)


def is_right(one: Decision, gold: Gold, task: Task) -> bool:
    """Say whether a decision is gold's label; no label is never right."""
    label = gold.get((one.item_id, one.item_hash))
    return label is not None and one.label is not None and task.right(label, one.label)


def fair_checks(words: Iterable[Decision], gold: Gold) -> list[Decision]:
    """Return the decisions on hidden gold that tell how accurate their authors are.

    Those made under a planted suggestion do not: real work has not as many wrong ones.
    """
    return [
        one
        for one in words
        if (one.trial == "gold" or (one.trial == "planted" and one.arm == "blind"))
        and (one.item_id, one.item_hash) in gold
    ]


def verdict(outcomes: Sequence[bool], floor: float) -> Verdict:
    """Return what a reviewer's outcomes on hidden gold say of the floor; "open" below `LEAST`."""
    from prelabel.drift import Prior, log_evidence_above, log_evidence_below

    n = len(outcomes)
    if n < LEAST:
        return "open"
    wrong, prior = n - sum(outcomes), Prior(*BETA)
    if log_evidence_above(wrong, n, 1 - floor, prior) >= -log(RISK):
        return "below"
    if log_evidence_below(wrong, n, 1 - floor, prior) >= -log(RISK):
        return "reached"
    return "open"


def flagged(
    words: Iterable[Decision], gold: Gold, lifted: Mapping[str, float], floor: float, task: Task
) -> set[str]:
    """Return who is shown to be below the floor, by what they said since a flag was lifted."""
    outcomes: dict[str, list[bool]] = {}
    for one in fair_checks(words, gold):
        if one.created > lifted.get(one.author, 0.0):
            outcomes.setdefault(one.author, []).append(is_right(one, gold, task))
    return {name for name, own in outcomes.items() if verdict(own, floor) == "below"}


def countable(
    opinions: Iterable[Decision], flags: Iterable[str], gold: Gold, task: Task
) -> list[Decision]:
    """Return the opinions that count for their item's label.

    Not those of people who are flagged; and of decisions on hidden gold those that are gold's
    label, whoever made them: one that differs is a measurement, and perhaps a report that gold is
    wrong.
    """
    known = set(flags)
    return [
        one
        for one in opinions
        if (is_right(one, gold, task) if one.trial in HIDDEN else one.author not in known)
    ]
