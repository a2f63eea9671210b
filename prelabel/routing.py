"""route(): apply the rule; accepted, or review with the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from prelabel.decide import DecisionRule, check_rule
from prelabel.errors import InputError
from prelabel.escalation import due
from prelabel.known import Known, known, unit_name
from prelabel.records import Annotation, Routed, content_hash

if TYPE_CHECKING:
    from prelabel.records import Consensus, Item
    from prelabel.votes import Evidence

RANDOM_AUDIT = "random audit"
MOST_NAMED = 5
"""Units that a reason names."""


def route_all(
    evidence: Evidence, rule: DecisionRule, items: Iterable[Item] = ()
) -> dict[str, Routed]:
    """Route every item of the evidence.

    ``items`` are needed where the rule makes a promise: its confidence may go by their text. Raises
    ``RuleMismatchError``, and ``InputError`` where an item is missing.
    """
    check_rule(rule, evidence)
    evidence = rule.seen(evidence)
    if rule.promise is None:
        return {item: route_one(evidence, rule, item) for item in evidence.items}
    there = (item for item in items if item.id in evidence.items)
    routed = {r.item_id: r for r in _by_confidence(evidence, rule, there)}
    if missing := evidence.items.keys() - routed.keys():
        raise InputError(f"route: item {min(missing)!r} is not among the items given; give it, too")
    return {item: routed[item] for item in evidence.items}


def route_one(evidence: Evidence, rule: DecisionRule, item_id: str) -> Routed:
    """Route one item by a rule that makes no promise."""
    one = known(evidence, rule, item_id)
    reasons = [*one.bars]
    share = one.consensus.agreement
    if share is not None and share < rule.min_agreement and not one.consensus.tied:
        low = doubtful(one.consensus, rule.min_agreement) or f"{share:.3g}"
        reasons.append(f"low agreement: {low} below {rule.min_agreement:.3g}")
    return _routed(one, reasons, evidence, rule)


def doubtful(consensus: Consensus, least: float) -> str:
    """Name the fields, spans or labels that too few agree on; empty of a label that is one unit."""
    few = [(unit_name(unit), share) for unit, share in consensus.shares.items() if share < least]
    shown = [f"{name} {share:.3g}" for name, share in few[:MOST_NAMED] if name]
    more = f" and {len(few) - MOST_NAMED} more" if len(few) > MOST_NAMED else ""
    return ", ".join(shown) + more


def _by_confidence(
    evidence: Evidence, rule: DecisionRule, items: Iterable[Item]
) -> Iterator[Routed]:
    """Route items by their confidence and the promise that their group has."""
    from prelabel.promising import judge

    assert rule.promise is not None
    promises = rule.promises
    for one, sure, group in judge(rule, evidence, items, rule.promise["each"]):
        promise = promises.get(group)
        reasons = [*one.bars]
        if promise is None:
            reasons.append(f"no promise: {group} was not there when the rule was fitted")
        elif promise.threshold is None:
            reasons.append(f"no promise: {promise.why}")
        elif sure is not None and not promise.accepts(sure):
            low = doubtful(one.consensus, 1.0)
            where = f"; not all agree on {low}" if low else ""
            reasons.append(f"low confidence: {sure:.3f} below {promise.threshold:.3f}{where}")
        consensus = replace(one.consensus, confidence=sure)
        yield _routed(one._replace(consensus=consensus), reasons, evidence, rule)


def _routed(one: Known, reasons: list[str], evidence: Evidence, rule: DecisionRule) -> Routed:
    if not reasons and is_audited(rule, one.item_id):
        reasons = [RANDOM_AUDIT]
    accepted = not reasons
    if reasons:
        reasons += missing_votes(one.own, evidence, due(rule, one.own))
    return Routed(one.item_id, one.consensus, accepted, tuple(reasons))


def is_audited(rule: DecisionRule, item_id: str) -> bool:
    """Say whether an item goes to people if it would be accepted.

    That hangs on its id alone, so that those audited and those still accepted err alike.
    """
    return int(content_hash(["audit", item_id]), 16) < rule.audit * 16**16


def sent_to_review(routed: Routed, why: str) -> Routed:
    """Return an item's route once audits have stopped the rule: nothing is accepted any more."""
    return replace(routed, accepted=False, reasons=(f"stopped: {why}", *routed.reasons))


def missing_votes(own: Sequence[Annotation], evidence: Evidence, wanted: int) -> list[str]:
    """Say why votes are missing, or of parts: an outage is not a doubt about the item."""
    reasons = []
    for a in own:
        name = evidence.names[a.annotator]
        if a.outcome == "abstained":
            reasons.append(f"abstained: {name}")
        elif a.outcome == "failed":
            reasons.append(f"failed: {name} ({a.failure})")
        elif a.extras.get("parts", 1) > 1:
            reasons.append(f"long: {name} labeled it in {a.extras['parts']} parts")
    if len(own) < wanted:
        reasons.append(f"not labeled yet by {wanted - len(own)} of {wanted} annotators")
    return reasons
