"""Self-consistency: asked several times about an item, an annotator says what most answers say.

How many of the answers agree tells how sure it is. Source: Wang et al., ICLR 2023 (arXiv
2203.11171).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from prelabel.aggregate import decide
from prelabel.records import Distribution, Item, Label
from prelabel.tasks import OffListError, Reading, Task
from prelabel.tasks.answers import CONFIDENCE


class Said(NamedTuple):
    """One of several answers about an item."""

    reading: Reading
    rationale: str = ""


def most_said(task: Task, item: Item, answers: Sequence[Said], asked: int) -> Said:
    """Return what several answers about an item say together.

    ``answers`` are those with a label, in the order asked, of ``asked`` in all. The label is
    `majority`'s. ``extras["consistency"]`` is the share of all ``asked`` answers whose label is
    right by it as the task counts it, ``extras["samples"]`` is ``asked``. Rationale and what else
    is kept are of the first answer that agrees, of the first one where none does; confidence is the
    mean of those that agree, and the distribution that of all answers.
    """
    label = majority(task, item, [answer.reading.label for answer in answers])
    agreeing = [answer for answer in answers if task.right(label, answer.reading.label)]
    first = (agreeing or answers)[0]
    extras = {name: x for name, x in first.reading.extras.items() if name != CONFIDENCE}
    extras |= {"consistency": len(agreeing) / asked, "samples": asked}
    sure = [a.reading.extras[CONFIDENCE] for a in agreeing if CONFIDENCE in a.reading.extras]
    if sure:
        extras[CONFIDENCE] = fmean(sure)
    believed = mean_distribution([answer.reading.distribution for answer in answers])
    return Said(Reading(label, extras, believed), first.rationale)


def majority(task: Task, item: Item, labels: Sequence[Label]) -> Label:
    """Return what most labels say, unit by unit; of ratings the median.

    The first label decides a tie. Where the units do not make a label that the guideline allows
    (too many labels, half a path), it is the label that most others are right by.
    """
    votes = task.align({str(n): task.votes(label) for n, label in enumerate(labels)})
    winners = {}
    for unit in dict.fromkeys(unit for given in votes.values() for unit in given):
        given = {name: vote[unit] for name, vote in votes.items() if unit in vote}
        if task.level == "nominal":
            winners[unit], _ = decide(given, {}, {"ties": "priority", "priority": list(votes)})
        else:
            from prelabel.ordinal import median_value

            winners[unit] = median_value(list(given.values()), task.values(unit))
    try:
        return task.match(task.from_votes(winners), item)
    except OffListError:
        return max(labels, key=lambda label: sum(task.right(label, other) for other in labels))


def mean_distribution(given: Sequence[Distribution | None]) -> Distribution | None:
    """Return the mean of distributions over the same units; None where one lacks a unit."""
    known = [one for one in given if one]
    if len(known) < len(given) or any(one.keys() != known[0].keys() for one in known):
        return None
    return {
        unit: {value: fmean(one[unit].get(value, 0.0) for one in known) for value in row}
        for unit, row in known[0].items()
    }
