"""Evidence + gold -> scores of annotators and of their consensus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prelabel.decide import DecisionRule
from prelabel.estimate import wilson
from prelabel.fitting import fit_rule, held_out
from prelabel.scoring import Score, score_labels, shown_items
from prelabel.shift import shift_notes
from prelabel.votes import (
    Evidence,
    consensus_labels,
    consensus_table,
    missing_gold,
    outcome_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.records import Consensus, Gold, Label
    from prelabel.settings import DecideConfig
    from prelabel.tasks import Task

    Labels = Mapping[str, Mapping[str, Label]]

CONSENSUS = "consensus"


@dataclass(frozen=True)
class ScoreReport:
    """Scores of annotators, of each after bias correction where it was asked for, and of all.

    ``gold`` counts the gold items of ``split``; ``notes`` say what was left out.
    """

    annotators: list[Score]
    corrected: list[Score]
    consensus: Score | None
    gold: int
    split: str | None
    notes: tuple[str, ...]
    task: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return {
            "gold": self.gold,
            "split": self.split,
            "task": self.task,
            "annotators": [s.to_dict() for s in self.annotators],
            "corrected": [s.to_dict() for s in self.corrected],
            "consensus": self.consensus and self.consensus.to_dict(),
            "notes": list(self.notes),
        }


def score_all(
    evidence: Evidence,
    gold: Sequence[Gold],
    config: DecideConfig,
    seed: int = 0,
    *,
    learn: Sequence[Gold] | None = None,
) -> ScoreReport:
    """Score the annotators of the evidence, and the consensus of several of them.

    ``learn`` is the gold that an aggregator may learn from, by default ``gold``: an item's
    consensus is scored as an aggregator gives it that did not learn from the item.
    """
    learn = gold if learn is None else learn
    rule = fit_rule(evidence, config.model_copy(update={"promise": None}), gold=learn)
    labels, outcomes = evidence.labels(), outcome_table(evidence, [g.item_id for g in gold])
    raw = [
        with_position_bias(one, evidence) for one in _scores(evidence, labels, outcomes, gold, seed)
    ]
    shown = {evidence.names[key]: items for key, items in evidence.shown().items()}
    shift = shift_notes(labels, {g.item_id: g.label for g in gold}, shown, evidence.task, seed)
    corrected: list[Score] = []
    if bias := rule.params.get("bias"):
        for identifier, name in evidence.names.items():
            if identifier in bias:
                alone = replace(rule, annotators=(identifier,))
                corrected += _consensus_score(evidence, alone, gold, f"{name} corrected", seed)
    several = len(evidence.names) > 1
    unseen = {item: found[0] for item, found in held_out(evidence, rule, learn).items()}
    together = _consensus_score(evidence, rule, gold, CONSENSUS, seed, unseen) if several else []
    used = {g.split for g in gold}
    return ScoreReport(
        raw,
        corrected,
        together[0] if together else None,
        len(gold),
        used.pop() or None if len(used) == 1 else None,
        (*evidence.notes, *rule.notes, *missing_gold(evidence, gold), *shift),
        evidence.task.name,
    )


def _scores(
    evidence: Evidence, labels: Labels, outcomes: pd.DataFrame, gold: Sequence[Gold], seed: int
) -> list[Score]:
    task = evidence.task
    found = score_labels(labels, outcomes, {g.item_id: g.label for g in gold}, task, seed=seed)
    if all(g.lure is None for g in gold):
        return found
    shown = {str(name): shown_items(rows) for name, rows in outcomes.groupby("annotator")}
    return [
        with_injections(
            one,
            labels.get(one.annotator, {}),
            [g for g in gold if g.item_id not in shown.get(one.annotator, ())],
            task,
        )
        for one in found
    ]


def _consensus_score(
    evidence: Evidence,
    rule: DecisionRule,
    gold: Sequence[Gold],
    name: str,
    seed: int,
    unseen: Mapping[str, Consensus] = MappingProxyType({}),
) -> list[Score]:
    """Score a consensus as if it were one annotator; a tie left to people is an abstention.

    ``unseen`` has the consensus of items that the rule learned from, by rules that did not.
    """
    evidence = rule.seen(evidence)
    on_gold = evidence.only([g.item_id for g in gold])
    said = consensus_labels(on_gold, partial(rule.consensus, task=evidence.task), rule.annotators)
    said |= {item: unseen[item].label for item in said.keys() & unseen.keys()}
    given = {item: label for item, label in said.items() if label is not None}
    outcomes = consensus_table(evidence, rule.annotators, said, name)
    return _scores(evidence, {name: given}, outcomes, gold, seed)


def with_injections(
    one: Score, labels: Mapping[str, Label], gold: Sequence[Gold], task: Task
) -> Score:
    """Add how often an attack in an item's text got the label that it wants, where gold names it.

    ``injection_rate`` is of the labeled items with a lure, ``accuracy_unattacked`` of the others.
    """
    lured = [g for g in gold if g.lure is not None]
    if not lured:
        return one
    hit = [task.right(g.lure, labels[g.item_id]) for g in lured if g.item_id in labels]
    free = [g for g in gold if g.lure is None and g.item_id in labels]
    clean = [task.right(g.label, labels[g.item_id]) for g in free]
    none = "no such item was labeled"
    rate = wilson(sum(hit), len(hit), undefined=none)
    unattacked = wilson(sum(clean), len(clean), undefined=none)
    metrics = {"injection_rate": rate, "accuracy_unattacked": unattacked, **one.metrics}
    return replace(one, metrics=metrics)


def with_position_bias(one: Score, evidence: Evidence) -> Score:
    """Add how often an annotator contradicts itself when the two of a pair change places."""
    if evidence.task.name != "pairwise":
        return one
    from prelabel.position import position_bias, shown_verdicts

    own = (
        a
        for given in evidence.items.values()
        for a in given
        if evidence.names[a.annotator] == one.annotator
    )
    found = position_bias(shown_verdicts(own))
    return replace(
        one, metrics={"flip_rate": found.flip_rate, **one.metrics}, notes=(*one.notes, *found.notes)
    )
