"""Annotations -> evidence: the current annotations of each item, and long tables of votes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prelabel.annotate import annotator_id, compiler_of
from prelabel.errors import InputError
from prelabel.records import Annotation, Consensus, Distribution, Gold, Label, Votes

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.columns import Annotations, Columns
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

    @cached_property
    def annotations(self) -> Annotations:
        """The annotations as columns."""
        from prelabel.columns import Annotations, held_annotations

        return self.items if isinstance(self.items, Annotations) else held_annotations(self.items)

    @property
    def columns(self) -> Columns:
        """The annotations as columns of numbers, for what is computed of all of them."""
        return self.annotations.columns

    def only(self, items: Collection[str]) -> Evidence:
        """Return the evidence on some items."""
        return replace(self, items=self.annotations.only(items))

    def ballot(self, item_id: str) -> Ballot:
        """Return an item's votes, not aligned yet; a failure or an abstention is no vote."""
        own, columns = self.annotations, self.columns
        labeled = [
            (row, columns.annotators[columns.annotator[row]])
            for row in own.rows(item_id)
            if columns.label[row] >= 0
        ]
        votes = {name: self.task.votes(columns.labels[columns.label[row]]) for row, name in labeled}
        beliefs = {name: own.distribution(row) for row, name in labeled}
        return Ballot(item_id, votes, {name: found for name, found in beliefs.items() if found})

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
        columns = self.columns
        found: dict[str, dict[str, Label]] = {name: {} for name in self.names.values()}
        for annotator in columns.annotators:
            own = columns.by([annotator])
            own = own.of(own.label >= 0)
            items = map(columns.items.__getitem__, own.item.tolist())
            labels = map(columns.labels.__getitem__, own.label.tolist())
            found[self.names[annotator]] |= zip(items, labels, strict=True)
        return found

    def voted(self, annotators: Collection[str]) -> int:
        """Return how many items some annotators, by id, have a label of."""
        own = self.columns.by(annotators)
        return len(set(own.item[own.label >= 0].tolist()))

    def units(self) -> list[str]:
        """Return the units that votes have when they are made comparable, as they first occur."""
        from prelabel.tasks import Task

        if type(self.task).align is Task.align:  # comparable as they are
            labels = dict.fromkeys(self.columns.label.tolist())
            given: Iterable[Votes] = (
                self.task.votes(self.columns.labels[label]) for label in labels if label >= 0
            )
        else:
            given = (votes for item in self.items for votes in self.aligned(item).votes.values())
        return list(dict.fromkeys(unit for votes in given for unit in votes))

    def shown(self) -> dict[str, set[str]]:
        """Return the gold items that the prompts of each annotator, by id, had as examples."""
        columns = self.columns
        found: dict[str, set[str]] = {name: set() for name in self.names}
        for at, name in enumerate(columns.annotators):
            used = set(columns.shown[columns.annotator == at].tolist())
            found[name] = {item for shown in used for item in columns.examples[shown]}
        return found


def gather(project: Project, ledger: Ledger, annotators: Sequence[str] = ()) -> Evidence:
    """Collect the annotations under the project's guideline, of the annotators named or of all.

    An annotation counts if it was made under this guideline, with the annotator's present
    settings, on the item's present text. Raises ``InputError`` where there is none.
    """
    from prelabel.columns import read_annotations

    names, notes = current_annotators(project, ledger, annotators)
    guideline_hash = project.guideline.hash
    with _uncollected():
        hashes = {item.id: item.hash for item in project.items()}
        items, stale = read_annotations(ledger, list(names), guideline_hash, hashes)
    if stale:
        notes.append(f"{stale} annotations left out: their items are gone or have another text now")
    other = sum(n for key, n in ledger.hashes().items() if key != guideline_hash)
    if other:
        notes.append(f"{other} annotations left out: made under another guideline")
    notes += carried_notes(project, ledger, list(names))
    if not len(items.columns.n):
        why = "; ".join(notes)
        raise InputError(
            "no annotations to work with; run `prelabel label`, or `prelabel import` recorded ones"
            + (f" ({why})" if why else "")
        )
    return Evidence(project.task, guideline_hash, items, names, tuple(notes))


def carried_notes(project: Project, ledger: Ledger, annotators: Sequence[str]) -> list[str]:
    """Say which annotations that count were made under another guideline, and on whose word."""
    from prelabel.guideline_log import read_log

    present = project.guideline.hash
    words = [one for one in read_log(project).carried if one.new == present]
    if not words:
        return []
    by = "; ".join(dict.fromkeys(f"{one.author}: {one.reason}" for one in words))
    return [
        f"{n} annotations were made under guideline {old[:8]} and carried over to this one ({by})"
        for old, n in sorted(ledger.carried(annotators, present).items())
    ]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold off the garbage collector: of millions of rows none is garbage, and looking is slow."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


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

    from prelabel.tasks import Task

    if type(evidence.task).align is Task.align:  # comparable as they are
        return _votes_as_given(evidence)
    rows = [
        (item, evidence.names[annotator], unit, value)
        for item in evidence.items
        for annotator, votes in evidence.aligned(item).votes.items()
        for unit, value in votes.items()
    ]
    return pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])


def _votes_as_given(evidence: Evidence) -> pd.DataFrame:
    """Take each distinct label apart once."""
    import numpy as np
    import pandas as pd

    columns = evidence.columns
    own = columns.of(columns.label >= 0)
    votes = [list(evidence.task.votes(label).items()) for label in columns.labels]
    width = np.array([len(one) for one in votes], dtype=np.int64)
    start = np.cumsum(width) - width
    many = width[own.label]
    first = np.cumsum(many) - many
    vote = np.arange(many.sum()) + np.repeat(start[own.label] - first, many)
    every = [pair for one in votes for pair in one]
    return pd.DataFrame(
        {
            "item": _texts(columns.items, np.repeat(own.item, many)),
            "annotator": _texts(_names(evidence), np.repeat(own.annotator, many)),
            "unit": _texts([unit for unit, _ in every], vote),
            "value": _texts([value for _, value in every], vote),
        }
    )


def outcome_table(evidence: Evidence, items: Collection[str] | None = None) -> pd.DataFrame:
    """Return a row an annotation: item, annotator, outcome, failure, cost, latency, shown.

    ``shown`` has the items that any of the annotator's prompts had as examples. ``items`` limits
    the rows to some.
    """
    import numpy as np
    import pandas as pd

    columns = evidence.columns if items is None else evidence.only(items).columns
    shown = evidence.shown()
    return pd.DataFrame(
        {
            "item": _texts(columns.items, columns.item),
            "annotator": _texts(_names(evidence), columns.annotator),
            "outcome": _texts(columns.outcomes, columns.outcome),
            "failure": _texts([*columns.failures, None], columns.failure),  # -1 is the last
            "cost": columns.cost,
            "latency": np.where(columns.called, columns.latency, np.nan),
            "shown": _tuples(
                [tuple(sorted(shown[name])) for name in columns.annotators], columns.annotator
            ),
        }
    )


def consensus_table(
    evidence: Evidence, annotators: Collection[str], labels: Mapping[str, Label], name: str
) -> pd.DataFrame:
    """Return the outcomes of a consensus as `outcome_table` does, of the items of ``labels``.

    A label of None is an abstention. An item's cost and latency are those of all its annotations
    by ``annotators`` (ids); shown is all that any of these was ever shown.
    """
    import numpy as np
    import pandas as pd

    own = evidence.columns.by(annotators).only(labels)
    shown = tuple(sorted(item for a in annotators for item in evidence.shown().get(a, ())))
    n = len(own.items)
    called = np.bincount(own.item[own.called], minlength=n) > 0
    seconds = np.bincount(own.item, np.where(own.called, own.latency, 0.0), n)
    return pd.DataFrame(
        {
            "item": own.items,
            "annotator": name,
            "outcome": ["abstained" if labels[i] is None else "labeled" for i in own.items],
            "failure": None,
            "cost": np.bincount(own.item, own.cost, n),
            "latency": np.where(called, seconds, np.nan),
            "shown": _tuples([shown], np.zeros(n, dtype=np.int32)),
        }
    )


def consensus_labels(
    evidence: Evidence, decide: Callable[[Ballot], Consensus], annotators: Collection[str]
) -> dict[str, Label]:
    """Return the consensus label of each item that one of ``annotators`` (ids) annotated, or None.

    Items that were voted on alike, and have no distributions, are decided once.
    """
    from prelabel.columns import alike

    own = evidence.columns.by(annotators)
    found: dict[str, Label] = dict.fromkeys(own.named(own.item))
    believing = set(own.named(own.item[own.believes]))
    for items in alike(own):
        told = [item for item in items if item in believing]
        silent = [item for item in items if item not in believing]
        if silent:
            found |= dict.fromkeys(silent, decide(evidence.ballot(silent[0])).label)
        found |= {item: decide(evidence.ballot(item)).label for item in told}
    return found


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


def mixed_people(project: Project, evidence: Evidence, what: str) -> tuple[str, ...]:
    """Say in one note that ``what`` is of people and others together, where it is."""
    from prelabel.ledger import Ledger

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        people = {row["id"] for row in ledger.annotators() if row["kind"] == "person"}
    there = sum(identifier in people for identifier in evidence.names)
    if not 0 < there < len(evidence.names):
        return ()
    are = "is a person" if there == 1 else "are people"
    said = f"{there} of {len(evidence.names)} annotators {are}: {what} is of them and the others"
    return (f"{said} together; name some with --annotator to have theirs",)


def _names(evidence: Evidence) -> list[str]:
    return [evidence.names[annotator] for annotator in evidence.columns.annotators]


def _texts(values: Sequence[Any], places: Any) -> Any:
    import pandas as pd

    return pd.Index(values).take(places)


def _tuples(values: Sequence[tuple[str, ...]], places: Any) -> Any:
    import numpy as np

    found = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        found[at] = value
    return found[places]
