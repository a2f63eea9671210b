"""What lies behind a score: slices, mistakes, prevalence shift, what it took, the human ceiling."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from prelabel.against_gold import CONSENSUS
from prelabel.errors import InputError
from prelabel.estimate import wilson
from prelabel.mistakes import COLUMNS, Mistake, mistakes, self_confidence
from prelabel.shift import Shift, shifts
from prelabel.slices import SliceScore, cuts_of, main_figure, slice_scores
from prelabel.throughput import Throughput, throughput, usage_table

if TYPE_CHECKING:
    from prelabel.human_ceiling import Ceiling
    from prelabel.project import Project
    from prelabel.records import Consensus, Label
    from prelabel.tasks import Task
    from prelabel.votes import Evidence

    Labels = Mapping[str, Mapping[str, Label]]
    Shown = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class ScoreDetails:
    """What lies behind the scores of a project.

    ``slices`` are of the metadata columns asked for, ``metric`` names their main figure.
    ``mistakes`` are those asked for of ``wrong`` in all, the surest first. ``shifts`` compare gold
    with the pool by each annotator's labels; ``throughput`` says what its annotations took.
    ``ceiling`` is None where fewer than two people have labels.
    """

    metric: str
    slices: tuple[SliceScore, ...]
    mistakes: tuple[Mistake, ...] = field(repr=False)
    wrong: int
    shifts: tuple[Shift, ...]
    throughput: tuple[Throughput, ...]
    ceiling: Ceiling | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"shifts": [one.to_dict() for one in self.shifts]}


def score_details(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    slices: Sequence[str] = (),
    errors: int | None = 20,
    split: str | None = None,
    seed: int = 0,
) -> ScoreDetails:
    """Return what lies behind the scores of annotators and of their consensus.

    ``slices`` are metadata columns, ``errors`` is how many mistakes to list at most, None for all.
    Items that an annotator's prompts used as examples do not count for it. Raises ``InputError``
    without gold, and for a column that no item has.
    """
    from prelabel.api import evidence_of
    from prelabel.votes import missing_gold

    scored = project.scoring_gold(split)
    if not scored:
        raise InputError("no gold to score against; name a file under `gold:` in prelabel.yaml")
    gold = {g.item_id: g.label for g in scored}
    cuts = cuts_of(project.items(), gold, slices)
    evidence = evidence_of(project, annotators)
    task = evidence.task
    shown = {evidence.names[key]: items for key, items in evidence.shown().items()}
    labels = evidence.labels()
    found = judge(labels, gold, shown, task)
    consensus = consensus_of(project, evidence)
    together, also_shown = with_consensus(labels, shown, consensus)
    everyone = judge(together, gold, also_shown, task)
    listed = _mistakes(project, evidence, found, consensus)
    metric, figure = main_figure(task, seed)
    accuracy = {
        str(name): wilson(int(rows["right"].sum()), len(rows))
        for name, rows in found.groupby("annotator")
    }
    return ScoreDetails(
        metric,
        slice_scores(everyone, cuts, figure),
        tuple(listed[:errors]),
        len(listed),
        tuple(shifts(together, gold, also_shown, task, seed)),
        tuple(throughput(usage_table(evidence), accuracy)),
        ceiling_of_people(project, annotators, seed),
        (
            *evidence.notes,
            *project.gold_notes(),
            *missing_gold(evidence, scored),
            *(one.note for one in cuts.values() if one.note),
        ),
    )


def write_mistakes(found: ScoreDetails, to: Path) -> int:
    """Write the mistakes as a table and return how many; its format goes by the file's ending."""
    from prelabel.exchange.tables import write_rows

    return write_rows(to, (one.to_dict() for one in found.mistakes), COLUMNS)


def judge(labels: Labels, gold: Mapping[str, Label], shown: Shown, task: Task) -> pd.DataFrame:
    """Return a row a labeled gold item: item, annotator, gold, given (labels), right.

    ``labels`` are by annotator and item, ``gold`` by item; items in ``shown`` (by annotator) were
    examples in its prompts and are left out.
    """
    rows = [
        (item, name, right, own[item], task.right(right, own[item]))
        for name, own in labels.items()
        for item, right in gold.items()
        if item in own and item not in shown.get(name, ())
    ]
    return pd.DataFrame(rows, columns=["item", "annotator", "gold", "given", "right"])


def consensus_of(project: Project, evidence: Evidence) -> dict[str, Consensus]:
    """Return the consensus of each item; of one annotator alone there is none.

    That of an item that the aggregator learned from is as one gives it that did not.
    """
    from prelabel.config import changed
    from prelabel.fitting import fit_rule, held_out

    if len(evidence.names) < 2:
        return {}
    learn = project.fitting_gold(project.config.decide.split)
    decide = changed(project.config.decide, {"promise": None})  # the consensus is the same
    rule = fit_rule(evidence, decide, gold=learn)
    unseen = held_out(evidence, rule, learn)
    evidence = rule.seen(evidence)
    return {
        item: unseen[item][0]
        if item in unseen
        else rule.consensus(evidence.ballot(item), evidence.task)
        for item in evidence.items
    }


def with_consensus(
    labels: Labels, shown: Shown, consensus: Mapping[str, Consensus]
) -> tuple[Labels, Shown]:
    """Return the labels with those of the consensus, which saw what any of its annotators did."""
    if not consensus:
        return labels, shown
    own = {item: one.label for item, one in consensus.items() if one.label is not None}
    seen = {item for items in shown.values() for item in items}
    return {**labels, CONSENSUS: own}, {**shown, CONSENSUS: seen}


def _mistakes(
    project: Project,
    evidence: Evidence,
    judged: pd.DataFrame,
    consensus: Mapping[str, Consensus],
) -> list[Mistake]:
    wrong = set(judged.loc[~judged["right"].astype(bool), "item"])
    annotations = {
        (evidence.names[a.annotator], item): a for item in wrong for a in evidence.items[item]
    }
    task = evidence.task
    return mistakes(
        judged,
        task.right,
        confidence={
            key: self_confidence(a.label, a.distribution, task)
            for key, a in annotations.items()
            if a.outcome == "labeled"
        },
        rationale={key: a.rationale for key, a in annotations.items()},
        consensus=consensus,
        texts={
            item.id: "\n".join(item.fields.values()) for item in project.items() if item.id in wrong
        },
    )


def ceiling_of_people(
    project: Project, annotators: Sequence[str] = (), seed: int = 0
) -> Ceiling | None:
    """Return the human ceiling with the other annotators beside it, all or those named.

    None where fewer than two people have labels.
    """
    from prelabel.human_ceiling import ceiling
    from prelabel.ledger import Ledger

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        people = [row["name"] for row in ledger.annotators() if row["kind"] == "person"]
    if len(people) < 2:
        return None
    found = ceiling(project, seed=seed)
    beside = tuple(one for one in found.beside if not annotators or one.name in annotators)
    return None if found.people.value is None else replace(found, beside=beside)
