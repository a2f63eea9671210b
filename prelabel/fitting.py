"""Votes, and gold where there is some -> a decision rule."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from prelabel.aggregate import fit_majority
from prelabel.decide import DecisionRule, restrict
from prelabel.errors import InputError

if TYPE_CHECKING:
    from prelabel.aggregate import Source
    from prelabel.config import DecideConfig
    from prelabel.records import Gold
    from prelabel.tasks import Task
    from prelabel.votes import Evidence
    from prelabel.voting import Params
    from prelabel.weighing import Weighed

UNLEARNED = ("majority", "distribution", "median", "overlap")
"""Aggregators that learn nothing from gold."""

DECLARED = ("classification", "multi-label", "pairwise", "matching")
"""Tasks whose labels are all declared: with gold enough, the aggregator is chosen on it."""


def fit_rule(
    evidence: Evidence,
    config: DecideConfig,
    only: Sequence[str] | None = None,
    *,
    gold: Sequence[Gold] = (),
) -> DecisionRule:
    """Fit a rule on the evidence and on gold. ``only`` limits it to some annotators' ids.

    Raises ``InputError`` for an aggregator that the task or the gold does not allow.
    """
    chosen = list(evidence.names) if only is None else list(only)
    method = aggregator(config, evidence.task, several=len(chosen) > 1, gold=len(gold))
    params, learned_from = fit_aggregator(evidence, config, chosen, method, gold)
    return DecisionRule(
        evidence.task.name,
        evidence.guideline_hash,
        tuple(chosen),
        params,
        config.min_agreement,
        config.min_votes,
        sum(
            any(a.outcome == "labeled" and a.annotator in chosen for a in given)
            for given in evidence.items.values()
        ),
        learned_from,
        time.time(),
    )


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
) -> tuple[Params, int]:
    """Return an aggregator's parameters, and how many gold items it learned from."""
    if method not in UNLEARNED:
        from prelabel.weighing import fit_weights

        choice = fit_weights(evidence, gold, method, only=chosen, ties=config.ties, priority=chosen)
        if choice.method != "majority":
            return choice.params, choice.items
        method = "majority"  # one way to count votes
    ballots = (restrict(evidence.ballot(item), chosen) for item in evidence.items)
    return fit_majority(
        ballots, source=cast("Source", method), ties=config.ties, priority=chosen
    ), 0


def held_out(evidence: Evidence, rule: DecisionRule, gold: Sequence[Gold]) -> Mapping[str, Weighed]:
    """Return the consensus of gold items as a rule gives it that did not learn from them.

    Empty where the rule's aggregator learned nothing from gold.
    """
    if not rule.learned:
        return {}
    from prelabel import weighing

    return weighing.held_out(evidence, gold, rule.params, rule.annotators)
