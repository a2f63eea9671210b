"""What each command does, as a function: project in, result out. The command line adds only print.

Every function takes a ``Project``; all raise ``InputError`` with one line where input is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from prelabel.audited_errors import stopped
from prelabel.config import changed
from prelabel.decide import DecisionRule, load_rule
from prelabel.errors import InputError
from prelabel.escalation import waiting_note
from prelabel.exchange.files import replacing
from prelabel.fitting import Fitted, fit_all
from prelabel.importing import import_annotations
from prelabel.ledger import Ledger
from prelabel.precedents import against_rulings
from prelabel.records import Adjudication, Item, Routed
from prelabel.routing import RANDOM_AUDIT, route_all, sent_to_review
from prelabel.run import label, label_async
from prelabel.votes import Evidence, gather, mixed_people

if TYPE_CHECKING:
    from prelabel.against_gold import ScoreReport
    from prelabel.estimate import Estimate
    from prelabel.project import Project
    from prelabel.ranking import Ranking
    from prelabel.reliability import Agreement
    from prelabel.tasks import Task

__all__ = [
    "agreement",
    "candidates",
    "export",
    "fit",
    "import_annotations",
    "label",
    "label_async",
    "rank",
    "route",
    "score",
]


def evidence_of(project: Project, annotators: Sequence[str] = ()) -> Evidence:
    """Return the annotations that count now."""
    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        return gather(project, ledger, annotators)


def score(
    project: Project, annotators: Sequence[str] = (), *, split: str | None = None, seed: int = 0
) -> ScoreReport:
    """Score annotators and their consensus against gold.

    ``split`` names a part of the gold; by default ``test`` if there is one, else all. Where the
    project aggregates label distributions, each annotator is scored after bias correction, too.
    """
    from prelabel.against_gold import score_all

    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to score against; name a file under `gold:` in prelabel.yaml")
    decide, learn = project.config.decide, project.fitting_gold(project.config.decide.split)
    evidence = evidence_of(project, annotators)
    evidence = replace(evidence, notes=(*evidence.notes, *project.gold_notes()))
    found = score_all(evidence, gold, decide, seed, learn=learn)
    return replace(found, notes=(*found.notes, *mixed_people(project, evidence, "the consensus")))


def agreement(
    project: Project, annotators: Sequence[str] = (), *, cluster: str = "cluster", seed: int = 0
) -> Agreement:
    """Measure how far annotators agree with each other; says nothing about being right.

    Where items have the metadata column ``cluster``, such as their document, whole clusters are
    resampled for the intervals.
    """
    from prelabel.overlaps import agreement_of

    evidence = evidence_of(project, annotators)
    items = [item for item in project.items() if evidence.items[item.id]]
    clusters = {
        item.id: item.meta[cluster] for item in items if item.meta.get(cluster) not in (None, "")
    } or None
    lengths = span_lengths(evidence.task, items)
    found = agreement_of(evidence, clusters=clusters, lengths=lengths, seed=seed)
    return replace(found, notes=(*found.notes, *mixed_people(project, evidence, "the agreement")))


def span_lengths(task: Task, items: Sequence[Item]) -> dict[str, int] | None:
    """Return the length of the text that spans stand in, by item; None for other tasks."""
    if task.name != "spans":
        return None
    from prelabel.tasks.spans import text_of

    return {item.id: len(text_of(item)) for item in items}


def rank(project: Project, columns: Sequence[str], annotators: Sequence[str] = ()) -> Ranking:
    """Rank the contestants of pairwise labels by the consensus, or by one annotator's labels.

    ``columns`` are the two metadata columns that name whose text A and B are. Raises ``InputError``
    for another task, and where the games cannot be ranked.
    """
    from prelabel.ranking import games
    from prelabel.ranking import rank as strengths

    if project.task.name != "pairwise":
        raise InputError(f"rank is for pairwise labels, and the task is {project.task.name}")
    if len(columns) != 2:
        raise InputError("rank needs the two metadata columns of the contestants, such as a,b")
    evidence = evidence_of(project, annotators)
    rule = fitted(project, evidence).rule
    evidence = rule.seen(evidence)
    labels = {
        item: rule.consensus(evidence.ballot(item), project.task).label for item in evidence.items
    }
    return strengths(games(project.items(), labels, *columns))


def candidates(
    project: Project, ks: Sequence[int | str] = (5, 10, 20)
) -> dict[str, dict[int, Estimate]]:
    """Return how often gold's label is among the k labels most similar to an item.

    Labels are known by the guideline alone, and where there is gold of another split than the one
    scored, by these items, too. Raises ``InputError`` without gold.
    """
    from prelabel.preselection import Preselector, recall
    from prelabel.prompts import CHOSEN_BY_NAME
    from prelabel.settings import ShotsConfig

    if project.task.name not in CHOSEN_BY_NAME:
        raise InputError(
            f"candidates are for {', '.join(CHOSEN_BY_NAME)} only; the task is {project.task.name}"
        )
    try:
        wanted = sorted({int(k) for k in ks})
    except ValueError:
        wanted = []
    if not wanted or wanted[0] < 1:
        given = ", ".join(map(str, ks)) or "none"
        raise InputError(f"k: {given}; give whole numbers of 1 or more, such as 5,10")
    gold = {g.item_id: g.label for g in project.scoring_gold()}
    if not gold:
        raise InputError("no gold to measure on; name a file under `gold:` in prelabel.yaml")
    told = [
        ("\n".join(item.fields.values()), gold[item.id])
        for item in project.items()
        if item.id in gold
    ]
    pool = [s for s in project.gold_shots(ShotsConfig(source="gold")) if s.item_id not in gold]
    ways = {"guideline": (), "guideline and gold": pool} if pool else {"guideline": ()}
    return {
        name: recall(Preselector(project.guideline, shots, max(wanted)), told, wanted)
        for name, shots in ways.items()
    }


@dataclass(frozen=True)
class FittedRule(Fitted):
    """A fitted rule, what was found on the way to it, and the file that it is frozen to."""

    path: Path = Path()


def fit(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    to: Path | None = None,
    **settings: Any,
) -> FittedRule:
    """Fit the decision rule on what is labeled and on gold, and freeze it to a file.

    ``settings`` stand in place of those under ``decide:`` in the project, such as ``promise``,
    ``target`` and ``delta``.
    """
    found = fitted(project, evidence_of(project, annotators), settings)
    path = to or project.state / "rules" / f"rule-{found.rule.hash}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(found.rule.to_json().encode())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; choose another place with --to") from None
    return FittedRule(found.rule, found.choice, found.confidence, path)


def fitted(
    project: Project, evidence: Evidence, settings: Mapping[str, Any] = MappingProxyType({})
) -> Fitted:
    """Fit the rule that the project asks for, with some settings in place of its own."""
    decide = changed(project.config.decide, settings)
    return fit_all(evidence, decide, gold=project.fitting_gold(decide.split), items=project.items())


@dataclass(frozen=True)
class Routes:
    """The rule's word on every item, and the rule.

    ``costs`` is what a wrong label costs, by label; others cost 1. ``stopped`` says why audits
    have ended the rule, where they have.
    """

    items: dict[str, Routed]
    rule: DecisionRule
    evidence: Evidence
    costs: Mapping[str, float] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def accepted(self) -> list[Routed]:
        """The items that need no review."""
        return [r for r in self.items.values() if r.accepted]

    @property
    def queue(self) -> list[Routed]:
        """The items for people: random audits, then those first whose review is worth most.

        An audit says something of all accepted labels only if it is done whole.
        """
        found = self._by_value(r for r in self.items.values() if not r.accepted)
        return sorted(found, key=lambda r: RANDOM_AUDIT not in r.reasons)

    def worth(self, routed: Routed) -> float:
        """Return what a review is expected to save: P(label is wrong) x what a wrong one costs.

        Without a fitted confidence the share of votes stands in for P(right). An item without a
        label is worth as much as one that is surely wrong.
        """
        found = routed.consensus
        sure = found.agreement if found.confidence is None else found.confidence
        if found.label is None or sure is None:
            return max([1.0, *self.costs.values()])
        of = found.label if isinstance(found.label, list) else [found.label]
        return (1 - sure) * max([self.costs.get(str(label), 1.0) for label in of], default=1.0)

    def best_reviews(self, n: int) -> list[Routed]:
        """Return the ``n`` items, accepted or not, whose review is worth most."""
        return self._by_value(self.items.values())[:n]

    def _by_value(self, some: Iterable[Routed]) -> list[Routed]:
        return sorted(some, key=lambda r: (-self.worth(r), r.item_id))


def route(project: Project, annotators: Sequence[str] = (), *, rule: Path | None = None) -> Routes:
    """Accept items or send them to review, by a frozen rule or by one fitted now."""
    evidence = evidence_of(project, annotators)
    chosen = load_rule(rule) if rule else fitted(project, evidence).rule
    routed = against_rulings(project, route_all(evidence, chosen, project.items()))
    if left := waiting_note(chosen, routed.values()):
        evidence = replace(evidence, notes=(*evidence.notes, left))
    if why := stopped(project, chosen.hash):
        routed = {item: sent_to_review(one, why) for item, one in routed.items()}
    return Routes(routed, chosen, evidence, project.config.decide.costs, why)


def export(
    project: Project,
    to: Path,
    *,
    rule: Path | None = None,
    format: Literal["table", "label-studio"] = "table",  # noqa: A002
    only: Literal["all", "accepted", "review"] = "all",
) -> int:
    """Write items with labels and where they came from; return how many.

    A table's format goes by its ending: .jsonl, .csv, .tsv or .parquet. For Label Studio the tasks
    go to ``to``, and the labeling config beside it, ending in .xml.
    """
    from prelabel.exchange.export import (
        export_columns,
        export_rows,
        said_of_itself,
        several_units,
    )
    from prelabel.exchange.tables import write_rows
    from prelabel.review import decisions

    routes, settled = route(project, rule=rule), decisions(project)
    done = {item for item, one in routes.items.items() if one.accepted} | settled.keys()
    items = [
        item
        for item in project.items()
        if only == "all" or (item.id in done) == (only == "accepted")
    ]
    names = dict(routes.evidence.names)
    if format == "label-studio":
        return _export_label_studio(project, to, items, routes, settled)
    meta = sorted({name for item in items for name in item.meta})
    provenance = {"guideline_hash": routes.evidence.guideline_hash, "rule_hash": routes.rule.hash}
    rows = export_rows(items, routes.items, routes.evidence.items, names, provenance, settled)
    by_unit = several_units(routes.items.values())
    of_itself = said_of_itself(routes.evidence.items, names)
    columns = export_columns(
        project.config.items.columns, names, meta, by_unit=by_unit, of_itself=of_itself
    )
    return write_rows(to, rows, columns)


def _export_label_studio(
    project: Project,
    to: Path,
    items: list[Item],
    routes: Routes,
    settled: Mapping[str, Adjudication],
) -> int:
    from prelabel.exchange.files import replacing
    from prelabel.exchange.labelstudio import config, tasks, write_tasks

    settings = project.config.items
    shown: dict[str, Any] = {"fields": settings.columns, "images": settings.images}
    xml = config(project.task, **shown, items=items)
    evidence = routes.evidence
    found = tasks(
        items,
        task=project.task,
        **shown,
        routed=routes.items,
        annotations=evidence.items,
        names=evidence.names,
        settled=settled,
    )
    count = write_tasks(to, found)
    with replacing(to.with_suffix(".xml")) as file:
        file.write(xml.encode())
    return count


def to_json(value: Any) -> str:
    """Write a result for ``--json``."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
