"""Annotations -> evidence: the current annotations of each item, and long tables of votes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from prelabel.annotate import annotator_id, compiler_of
from prelabel.errors import InputError
from prelabel.records import Annotation, Distribution, Gold, Label, Votes

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.ledger import Ledger
    from prelabel.project import Project
    from prelabel.tasks import Task


@dataclass(frozen=True)
class Ballot:
    """One item's votes and label distributions, by annotator."""

    item_id: str
    votes: Mapping[str, Votes]
    distributions: Mapping[str, Distribution] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """The annotations that count now, by item, in the order of the items.

    ``names`` maps an annotator's id to its name, in the order in which they were declared. Every
    item is there, also one without annotations. ``notes`` says what was left out, and why.
    """

    task: Task
    guideline_hash: str
    items: Mapping[str, Sequence[Annotation]]
    names: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def ballot(self, item_id: str) -> Ballot:
        """Return an item's votes, not aligned yet; a failure or an abstention is no vote."""
        labeled = [a for a in self.items[item_id] if a.outcome == "labeled"]
        return Ballot(
            item_id,
            {a.annotator: self.task.votes(a.label) for a in labeled},
            {a.annotator: a.distribution for a in labeled if a.distribution},
        )

    def aligned(self, item_id: str) -> Ballot:
        """Return an item's votes, made comparable."""
        ballot = self.ballot(item_id)
        return replace(ballot, votes=self.task.align(ballot.votes))

    def aligned_labels(self) -> dict[str, dict[str, Label]]:
        """Return the labels as `labels` does, those that count as equal in one spelling."""
        found: dict[str, dict[str, Label]] = {name: {} for name in self.names.values()}
        for item in self.items:
            for annotator, votes in self.aligned(item).votes.items():
                found[self.names[annotator]][item] = self.task.from_votes(votes)
        return found

    def labels(self) -> dict[str, dict[str, Label]]:
        """Return ``{annotator's name: {item: label}}`` of all that is labeled."""
        found: dict[str, dict[str, Label]] = {name: {} for name in self.names.values()}
        for given in self.items.values():
            for a in given:
                if a.outcome == "labeled":
                    found[self.names[a.annotator]][a.item_id] = a.label
        return found


def gather(project: Project, ledger: Ledger, annotators: Sequence[str] = ()) -> Evidence:
    """Collect the annotations under the project's guideline, of the annotators named or of all.

    An annotation counts if it was made under this guideline, with the annotator's present
    settings, on the item's present text. Raises ``InputError`` where there is none.
    """
    names, notes = current_annotators(project, ledger, annotators)
    guideline_hash = project.guideline.hash
    hashes = {item.id: item.hash for item in project.items()}
    items: dict[str, list[Annotation]] = {identifier: [] for identifier in hashes}
    stale = 0
    for annotation in ledger.current(list(names), guideline_hash):
        if hashes.get(annotation.item_id) == annotation.item_hash:
            items[annotation.item_id].append(annotation)
        else:
            stale += 1
    if stale:
        notes.append(f"{stale} annotations left out: their items are gone or have another text now")
    other = sum(n for key, n in ledger.hashes().items() if key != guideline_hash)
    if other:
        notes.append(f"{other} annotations left out: made under another guideline")
    if not any(items.values()):
        why = "; ".join(notes)
        raise InputError(
            "no annotations to work with; run `prelabel label`, or `prelabel import` recorded ones"
            + (f" ({why})" if why else "")
        )
    return Evidence(project.task, guideline_hash, items, names, tuple(notes))


def current_annotators(
    project: Project, ledger: Ledger, wanted: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Return ``{id: name}`` of the annotators that count, and notes on those that do not."""
    recorded = ledger.annotators()
    names: dict[str, str] = {}
    notes = []
    for config in project.config.annotators:
        identifier = annotator_id(config, compiler_of(project, config))
        earlier = [r for r in recorded if r["name"] == config.name and r["id"] != identifier]
        if any(r["id"] == identifier for r in recorded):
            names[identifier] = config.name
        elif earlier:
            notes.append(f"annotator {config.name!r} has other settings now; label again with it")
    names |= {r["id"]: r["name"] for r in recorded if r["kind"] != "llm"}
    for name in wanted:
        if name not in names.values():
            known = ", ".join(names.values()) or "none"
            raise InputError(
                "; ".join([f"annotator {name!r} has no annotations; there are: {known}", *notes])
            )
    if wanted:
        names = {key: name for key, name in names.items() if name in wanted}
    return names, notes


def vote_table(evidence: Evidence) -> pd.DataFrame:
    """Return columns item, annotator, unit, value: a row a vote, made comparable item by item."""
    import pandas as pd

    rows = [
        (item, evidence.names[annotator], unit, value)
        for item in evidence.items
        for annotator, votes in evidence.aligned(item).votes.items()
        for unit, value in votes.items()
    ]
    return pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])


def outcome_table(evidence: Evidence) -> pd.DataFrame:
    """Return a row an annotation: item, annotator, outcome, failure, cost, latency, shown."""
    import pandas as pd

    rows = [
        (
            a.item_id,
            evidence.names[a.annotator],
            a.outcome,
            a.failure,
            a.usage.cost,
            a.latency if a.usage.calls else float("nan"),
            a.shown,
        )
        for a in _each(evidence)
    ]
    columns = ["item", "annotator", "outcome", "failure", "cost", "latency", "shown"]
    return pd.DataFrame(rows, columns=columns).astype({"cost": float})


def gold_table(task: Task, gold: Iterable[Gold]) -> pd.DataFrame:
    """Return columns item, unit, value: gold as votes."""
    import pandas as pd

    rows = [(g.item_id, unit, v) for g in gold for unit, v in task.votes(g.label).items()]
    return pd.DataFrame(rows, columns=["item", "unit", "value"])


def missing_gold(evidence: Evidence, gold: Iterable[Gold]) -> tuple[str, ...]:
    """Say in one note that gold is of items that the project lacks: it scores nobody."""
    missing = [g.item_id for g in gold if g.item_id not in evidence.items]
    if not missing:
        return ()
    are = "label is" if len(missing) == 1 else "labels are"
    return (
        f"{len(missing)} gold {are} of items that are not in the project, the first {missing[0]!r}",
    )


def _each(evidence: Evidence) -> Iterable[Annotation]:
    for given in evidence.items.values():
        yield from given
