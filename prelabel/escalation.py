"""Which items a strong annotator is asked about, too: those of which the cheap ones are least sure.

Who is asked is fixed without gold, so that gold can show what comes out of it. Where the strong
annotator was asked its label is the consensus; elsewhere its word, if there is one, is not heard:
an item that is labeled by chance, such as one of a pilot, must be like all others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import TYPE_CHECKING, Any

from prelabel.aggregate import apply_majority
from prelabel.decide import restrict
from prelabel.errors import InputError
from prelabel.records import Consensus, content_hash
from prelabel.signals import CONSENSUS, said_share

if TYPE_CHECKING:
    from prelabel.decide import DecisionRule
    from prelabel.project import Project
    from prelabel.records import Annotation, Routed, Value
    from prelabel.settings import DecideConfig
    from prelabel.tasks import Task
    from prelabel.votes import Ballot, Evidence
    from prelabel.voting import Params

Key = tuple[float, str]
"""How sure the cheap annotators are of an item, and a hash of its id, which breaks ties."""

NOBODY: Key = (-2.0, "")
ALL: Key = (2.0, "")

NO_LABEL = -1.0
"""Stands for how sure they are where they have no label in common: such an item comes first."""


def fit_escalation(evidence: Evidence, config: DecideConfig, chosen: Sequence[str]) -> Params:
    """Return the parameters of a vote among all but the strong annotator, and who is asked when.

    ``chosen`` are annotators' ids. Raises ``InputError`` where the strong one is not among them, or
    is alone, and for an aggregator that learns from gold.
    """
    assert config.escalate is not None
    to = _strong(evidence, config.escalate.to, chosen)
    cheap = [name for name in chosen if name != to]
    if len(cheap) < config.min_votes:
        raise InputError(
            f"decide: min_votes: {config.min_votes}, but where {config.escalate.to!r} is not asked "
            f"there are {len(cheap)} votes at most; write `min_votes: {len(cheap)}`"
        )
    params = _fit_votes(evidence, config, cheap)
    cut = cut_of(keys(evidence, cheap, params).values(), config.escalate.share)
    found = {"to": to, "name": config.escalate.to, "share": config.escalate.share}
    return params | {"escalation": found | {"cut": list(cut)}}


def _strong(evidence: Evidence, name: str, chosen: Sequence[str]) -> str:
    found = [one for one in chosen if evidence.names[one] == name]
    if not found:
        known = ", ".join(evidence.names[one] for one in chosen)
        raise InputError(f"decide: escalate: {name!r} has no annotations; there are: {known}")
    if len(chosen) < 2:
        raise InputError(f"decide: escalate: {name!r} is alone; label with a cheap one first")
    return found[0]


def _fit_votes(evidence: Evidence, config: DecideConfig, cheap: Sequence[str]) -> Params:
    from prelabel.fitting import UNLEARNED, aggregator, fit_aggregator

    method = aggregator(config, evidence.task, several=False, gold=0)
    if method not in UNLEARNED:
        raise InputError(
            f"decide: escalate: who is asked must not hang on gold, and aggregate: {method} learns "
            "from it; take it out"
        )
    return fit_aggregator(evidence, config, cheap, method, ())[0]


def keys(evidence: Evidence, cheap: Collection[str], params: Params) -> dict[str, Key]:
    """Return for each item that a cheap annotator has annotated when it is its turn, lowest first.

    ``cheap`` are ids; ``params`` those of their vote.
    """
    return {
        item: key(evidence, item, cheap, params)
        for item, given in evidence.items.items()
        if any(a.annotator in cheap for a in given)
    }


def key(evidence: Evidence, item_id: str, cheap: Collection[str], params: Params) -> Key:
    """Return the turn of one item; it does not hang on the other items."""
    ballot = restrict(evidence.ballot(item_id), list(cheap))
    own = [a for a in evidence.items[item_id] if a.annotator in ballot.votes]
    return round(sureness(ballot, own, params, evidence.task), 9), content_hash(item_id)


def sureness(ballot: Ballot, own: Sequence[Annotation], params: Params, task: Task) -> float:
    """Return how sure annotators are of their consensus, from 0 to 1; -1 where they have none.

    The mean of what each gives the consensus, the least over the units: the probability in its
    label distribution; without one, where it agrees, how often it repeated itself or else how sure
    it says it is, or else 1; where it does not agree, 0.
    """
    found = apply_majority(ballot, params, task)
    if found.label is None:
        return NO_LABEL
    given = dict(task.align({**ballot.votes, CONSENSUS: task.votes(found.label)}))
    winners = given.pop(CONSENSUS)
    said = {a.annotator: _said(a) for a in own}

    def belief(name: str, unit: str, value: Value) -> float:
        row = ballot.distributions.get(name, {}).get(unit)
        if row:
            return row.get(value, 0.0)
        vote = given[name].get(unit)
        agrees = vote is not None and task.agrees(unit, vote, value)
        return said[name] if agrees else 0.0

    names = sorted(given)
    least = [fsum(belief(n, unit, v) for n in names) / len(names) for unit, v in winners.items()]
    return min(least, default=fsum(said[n] for n in names) / len(names))


def _said(annotation: Annotation) -> float:
    for name in ("consistency", "confidence"):
        said = said_share(annotation.extras.get(name))
        if said is not None:
            return said
    return 1.0


def cut_of(found: Iterable[Key], share: float) -> Key:
    """Return the last key that is asked about, with ``share`` of the items as the budget."""
    ordered = sorted(found)
    n = int(share * len(ordered) + 1e-9)
    if n == len(ordered):
        return ALL
    return ordered[n - 1] if n else NOBODY


def seen(evidence: Evidence, rule: DecisionRule) -> Evidence:
    """Return the evidence without what the strong annotator said where it is not asked."""
    to = rule.params["escalation"]["to"]

    def heard(item: str, given: Sequence[Annotation]) -> Sequence[Annotation]:
        if all(a.annotator != to for a in given) or asked(evidence, rule, item):
            return given
        return [a for a in given if a.annotator != to]

    items = {item: heard(item, given) for item, given in evidence.items.items()}
    return replace(evidence, items=items)


def asked(evidence: Evidence, rule: DecisionRule, item_id: str) -> bool:
    """Say whether the strong annotator is asked about an item."""
    found = rule.params["escalation"]
    cheap = [name for name in rule.annotators if name != found["to"]]
    return key(evidence, item_id, cheap, rule.params) <= tuple(found["cut"])


WAITS = "waits for "


def waiting(evidence: Evidence, rule: DecisionRule, item_id: str) -> list[str]:
    """Say that an item waits for the strong annotator: until then it is not like those of gold."""
    found = rule.params.get("escalation")
    if found is None or any(a.annotator == found["to"] for a in evidence.items[item_id]):
        return []
    return (
        [f"{WAITS}{found['name']}: the others are not sure enough"]
        if asked(evidence, rule, item_id)
        else []
    )


def waiting_note(rule: DecisionRule, routed: Iterable[Routed]) -> str:
    """Say how many items still wait, while the promise is about all; empty where none does."""
    n = sum(any(why.startswith(WAITS) for why in one.reasons) for one in routed)
    if not n:
        return ""
    to = rule.params["escalation"]["name"]
    return (
        f"{n} items wait for {to}; what is promised is promised once it has labeled them "
        f"(`prelabel label -a {to} --escalate …`)"
    )


def due(rule: DecisionRule, own: Sequence[Annotation]) -> int:
    """Return how many annotations an item is to have: of a strong one only where there is one."""
    to = rule.params.get("escalation", {}).get("to")
    return len(rule.annotators) - (to is not None and all(a.annotator != to for a in own))


def last_word(ballot: Ballot, params: Mapping[str, Any], task: Task) -> Consensus:
    """Return the strong annotator's label where it has one, else the consensus of the others.

    Agreement is the share of all annotators with that label, the least over the units.
    """
    to = params["escalation"]["to"]
    if to not in ballot.votes:
        return apply_majority(ballot, params, task)
    votes = task.align(ballot.votes)
    shares = {}
    for unit, value in votes[to].items():
        given = [own[unit] for own in votes.values() if unit in own]
        shares[unit] = sum(task.agrees(unit, vote, value) for vote in given) / len(given)
    least = min(shares.values(), default=1.0)
    label = task.from_votes(votes[to])
    return Consensus(ballot.item_id, label, least, len(votes), (), shares)


def escalated(project: Project, cheap: Sequence[str], share: float) -> list[str]:
    """Return the ids of the items to ask a strong annotator about, the least sure first.

    ``cheap`` names the annotators that have labeled all items, ``share`` is how much of the items
    to ask about. Nothing of it hangs on gold. Raises ``InputError`` where they have not labeled
    everything yet.
    """
    from prelabel.api import evidence_of

    if not cheap:
        raise InputError("escalate: name the annotators that labeled everything, with --after")
    if not 0 <= share <= 1:
        raise InputError(f"escalate: must be a share from 0 to 1, such as 0.3; got {share:g}")
    evidence = evidence_of(project, cheap)
    labelable = (item.id for item in project.items() if project.task.views(item))
    left = sum(len(evidence.items[item]) < len(evidence.names) for item in labelable)
    if left:
        raise InputError(
            f"escalate: {left} of {len(evidence.items)} items are not labeled by all of "
            f"{', '.join(cheap)}; run `prelabel label` with them first"
        )
    params = _fit_votes(evidence, project.config.decide, list(evidence.names))
    found = keys(evidence, list(evidence.names), params)
    cut = cut_of(found.values(), share)
    return [item for item in sorted(found, key=found.__getitem__) if found[item] <= cut]
