"""route(): apply the rule; accepted, or review with the reasons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prelabel.decide import DecisionRule, check_rule
from prelabel.records import Annotation, Consensus, Routed
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    from prelabel.tasks import Task
    from prelabel.votes import Evidence


def route_all(evidence: Evidence, rule: DecisionRule) -> dict[str, Routed]:
    """Route every item of the evidence. Raises ``RuleMismatchError``."""
    check_rule(rule, evidence)
    return {item: route_one(evidence, rule, item) for item in evidence.items}


def route_one(evidence: Evidence, rule: DecisionRule, item_id: str) -> Routed:
    """Route one item."""
    consensus = rule.consensus(evidence.ballot(item_id), evidence.task)
    own = [a for a in evidence.items[item_id] if a.annotator in rule.annotators]
    reasons = why_review(consensus, rule) + not_allowed(consensus, evidence.task)
    reasons += ungrounded(own, evidence)
    if reasons:
        reasons += missing_votes(own, evidence, len(rule.annotators))
    return Routed(item_id, consensus, not reasons, tuple(reasons))


def why_review(consensus: Consensus, rule: DecisionRule) -> list[str]:
    """Return why an item is not accepted; empty where it is."""
    reasons = []
    if consensus.votes < rule.min_votes:
        reasons.append(f"too few votes: {consensus.votes} of {rule.min_votes} needed")
    if consensus.tied:
        units = ", ".join(unit_name(unit) for unit in consensus.tied if unit)
        reasons.append(f"tie: {units}" if units else "tie")
    elif consensus.agreement is not None and consensus.agreement < rule.min_agreement:
        reasons.append(f"low agreement: {consensus.agreement:.3g} below {rule.min_agreement:.3g}")
    return reasons


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


def missing_votes(own: Sequence[Annotation], evidence: Evidence, wanted: int) -> list[str]:
    """Say why votes are missing: an outage is not a doubt about the item."""
    reasons = []
    for a in own:
        name = evidence.names[a.annotator]
        if a.outcome == "abstained":
            reasons.append(f"abstained: {name}")
        elif a.outcome == "failed":
            reasons.append(f"failed: {name} ({a.failure})")
    if len(own) < wanted:
        reasons.append(f"not labeled yet by {wanted - len(own)} of {wanted} annotators")
    return reasons
