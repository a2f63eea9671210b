"""Votes, and gold where there is some -> a decision rule."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from prelabel.aggregate import fit_majority
from prelabel.decide import DecisionRule, restrict
from prelabel.errors import InputError
from prelabel.records import content_hash

if TYPE_CHECKING:
    from prelabel.aggregate import Source
    from prelabel.choosing import Choice
    from prelabel.confidence_report import ConfidenceReport
    from prelabel.records import Gold, Item
    from prelabel.settings import DecideConfig
    from prelabel.tasks import Task
    from prelabel.votes import Evidence
    from prelabel.voting import Params
    from prelabel.weighing import Weighed

UNLEARNED = ("majority", "distribution", "median", "overlap")
"""Aggregators that learn nothing from gold."""

DECLARED = ("classification", "multi-label", "pairwise", "matching")
"""Tasks whose labels are all declared: with gold enough, the aggregator is chosen on it."""


@dataclass(frozen=True)
class Fitted:
    """A rule, and what was found on the way to it.

    ``choice`` tells how the aggregator was chosen, ``confidence`` what each kind of signal is
    worth; None where there was nothing to tell.
    """

    rule: DecisionRule
    choice: Choice | None = None
    confidence: ConfidenceReport | None = None


def fit_all(
    evidence: Evidence,
    config: DecideConfig,
    only: Sequence[str] | None = None,
    *,
    gold: Sequence[Gold] = (),
    items: Iterable[Item] = (),
    seed: int = 0,
) -> Fitted:
    """Fit a rule on the evidence and on gold. ``only`` limits it to some annotators' ids.

    ``items`` are needed for a promise only. Raises ``InputError`` for an aggregator or a promise
    that the task or the gold does not allow.
    """
    chosen = list(evidence.names) if only is None else list(only)
    learn, test = halves(gold) if config.promise and config.strict else (gold, None)
    params, choice = _fit_consensus(evidence, config, chosen, learn)
    rule = DecisionRule(
        evidence.task.name,
        evidence.guideline_hash,
        tuple(chosen),
        params,
        config.min_agreement,
        config.min_votes,
        evidence.voted(chosen),
        choice.items if choice and "problems" in params else 0,
        audit=config.audit,
        created=time.time(),
    )
    if config.promise is None:
        return Fitted(rule, choice)
    from prelabel.promising import with_promise

    evidence = rule.seen(evidence)
    rule, report = with_promise(rule, evidence, config, learn, items, test=test, seed=seed)
    return Fitted(rule, choice, report)


def _fit_consensus(
    evidence: Evidence, config: DecideConfig, chosen: Sequence[str], gold: Sequence[Gold]
) -> tuple[Params, Choice | None]:
    """Return the parameters of a cascade where there is to be one, else of an aggregator."""
    if config.escalate is not None:
        from prelabel.escalation import fit_escalation

        return fit_escalation(evidence, config, chosen), None
    method = aggregator(config, evidence.task, several=len(chosen) > 1, gold=len(gold))
    return fit_aggregator(evidence, config, chosen, method, gold)


def fit_rule(
    evidence: Evidence,
    config: DecideConfig,
    only: Sequence[str] | None = None,
    *,
    gold: Sequence[Gold] = (),
    items: Iterable[Item] = (),
) -> DecisionRule:
    """Fit a rule as `fit_all` does; without escalation where the annotators for it are not there.

    So what some annotators alone are worth can be looked at in a project that has a cascade.
    """
    names = [evidence.names[name] for name in evidence.names if only is None or name in only]
    few = len(names) <= config.min_votes
    if config.escalate and (few or config.escalate.to not in names):
        config = config.model_copy(update={"escalate": None})
    return fit_all(evidence, config, only, gold=gold, items=items).rule


def halves(gold: Sequence[Gold]) -> tuple[list[Gold], list[Gold]]:
    """Part gold in two at random, the same way for the same items in any order."""
    order = sorted(gold, key=lambda g: (content_hash(g.item_id), g.item_id))
    return order[::2], order[1::2]


def aggregator(config: DecideConfig, task: Task, *, several: bool, gold: int) -> str:
    """Return the aggregator asked for, or the task's usual one. Raises ``InputError``."""
    usual = "median" if task.level != "nominal" else "majority"
    if several and gold and task.name in DECLARED:
        usual = "auto"
    only: dict[str, tuple[str, bool]] = {
        "median": ("ratings", task.level != "nominal"),
        "overlap": ("spans", task.name == "spans"),
    }
    what, fits = only.get(config.aggregate or usual, ("", True))
    if not fits:
        raise InputError(
            f"decide: aggregate: {config.aggregate} is for {what} only, and the task is "
            f"{task.name}; use majority"
        )
    return config.aggregate or usual


def fit_aggregator(
    evidence: Evidence,
    config: DecideConfig,
    chosen: Sequence[str],
    method: str,
    gold: Sequence[Gold],
) -> tuple[Params, Choice | None]:
    """Return an aggregator's parameters, and how it was chosen if it was one that learns."""
    choice = None
    if method not in UNLEARNED:
        from prelabel.weighing import fit_weights

        choice = fit_weights(evidence, gold, method, only=chosen, ties=config.ties, priority=chosen)
        if choice.method != "majority":
            return choice.params, choice
        method = "majority"  # one way to count votes
    ballots = (restrict(evidence.ballot(item), chosen) for item in evidence.items)
    source = cast("Source", method)
    params = fit_majority(ballots, source=source, ties=config.ties, priority=chosen)
    return params, choice


def held_out(evidence: Evidence, rule: DecisionRule, gold: Sequence[Gold]) -> Mapping[str, Weighed]:
    """Return the consensus of gold items as a rule gives it that did not learn from them.

    Empty where the rule's aggregator learned nothing from gold.
    """
    if not rule.learned:
        return {}
    from prelabel import weighing

    return weighing.held_out(evidence, gold, rule.params, rule.annotators)
