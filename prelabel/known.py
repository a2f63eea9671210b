"""What a rule knows of an item before it decides: the consensus, signals, and what bars it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from prelabel.decide import restrict
from prelabel.escalation import waiting
from prelabel.signals import Signals, signals, text_of
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    from prelabel.decide import DecisionRule
    from prelabel.records import Annotation, Consensus, Item
    from prelabel.tasks import Task
    from prelabel.votes import Evidence
    from prelabel.weighing import Weighed


class Known(NamedTuple):
    """One item as a rule sees it.

    ``own`` are the annotations of the rule's annotators. ``bars`` are reasons that keep it from
    being accepted, however sure the rule is. ``signals`` and ``text`` are for the confidence.
    """

    item_id: str
    consensus: Consensus
    own: Sequence[Annotation]
    bars: tuple[str, ...]
    signals: Signals = Signals({})
    text: str = ""


def known(evidence: Evidence, rule: DecisionRule, item_id: str) -> Known:
    """Return what a rule that makes no promise knows of an item."""
    consensus = rule.consensus(evidence.ballot(item_id), evidence.task)
    own = _own(evidence, rule, item_id)
    return Known(item_id, consensus, own, bars(consensus, own, rule, evidence))


def known_well(
    evidence: Evidence, rule: DecisionRule, item: Item, weighed: Weighed | None = None
) -> Known:
    """Return what is known of an item, with all signals.

    ``weighed`` is its consensus by a rule that did not learn from the item, where this one did.
    """
    ballot = restrict(evidence.ballot(item.id), rule.annotators)
    consensus, weights = weighed or rule.weighed(ballot, evidence.task)
    own = _own(evidence, rule, item.id)
    found = signals(ballot, own, consensus, weights, evidence.task, item)
    barred = bars(consensus, own, rule, evidence)
    return Known(item.id, consensus, own, barred, found, text_of(item))


def _own(evidence: Evidence, rule: DecisionRule, item_id: str) -> list[Annotation]:
    return [a for a in evidence.items[item_id] if a.annotator in rule.annotators]


def bars(
    consensus: Consensus, own: Sequence[Annotation], rule: DecisionRule, evidence: Evidence
) -> tuple[str, ...]:
    """Say why an item is not accepted, however sure the rule is."""
    reasons = waiting(evidence, rule, consensus.item_id)
    if consensus.votes < rule.min_votes:
        reasons.append(f"too few votes: {consensus.votes} of {rule.min_votes} needed")
    if consensus.tied:
        units = ", ".join(unit_name(unit) for unit in consensus.tied if unit)
        reasons.append(f"tie: {units}" if units else "tie")
    return (*reasons, *not_allowed(consensus, evidence.task), *ungrounded(own, evidence))


def unit_name(unit: str) -> str:
    """Name a unit for people: of a span its text and label, of a relation its three parts."""
    if not unit.startswith("["):
        return unit
    parts = json.loads(unit)
    return f"{parts[3]!r} {parts[2]}" if len(parts) == 4 else " ".join(parts)


def not_allowed(consensus: Consensus, task: Task) -> list[str]:
    """Say why the guideline forbids a consensus, though it may allow each vote: too many labels."""
    if consensus.label is not None:
        try:
            task.match(consensus.label)
        except OffListError as error:
            return [f"not allowed: {error}"]
    return []


def ungrounded(own: Sequence[Annotation], evidence: Evidence) -> list[str]:
    """Say what annotators named that the item lacks: it is in no label, but it may be meant."""
    return [
        f"not in the item: {evidence.names[a.annotator]} named {one['text']!r} ({one['why']})"
        for a in own
        for one in a.extras.get("ungrounded", ())
    ]
