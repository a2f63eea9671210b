"""The qualifications of a project on disk: which gold was asked of whom, and what was answered.

``qualifications.jsonl`` has one JSON object a line: a ``set``, gold items drawn for an annotator,
or ``taken``, its answers. A set is drawn once and taken once; nothing in it can be changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from prelabel.errors import InputError
from prelabel.journal import append_journal, read_journal
from prelabel.qualification import Verdict, decided
from prelabel.records import Label

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.settings import AnnotatorConfig

FILE = "qualifications.jsonl"
Kind = Literal["practice", "test"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Gold items drawn for an annotator under a guideline.

    ``identity`` tells an LLM's settings apart; it is empty for people. ``attempt`` counts the tests
    since the last one passed, from 1; it is 0 for practice. ``items`` are ids and hashes.
    """

    name: str
    kind: Kind
    annotator: str
    identity: str
    guideline: str
    threshold: float
    attempt: int
    seed: int
    created: float
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One item of a set: gold's label and the annotator's, None where it gave none."""

    item: str
    gold: Label
    given: Label
    outcome: str
    right: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What an annotator answered to a set."""

    name: str
    created: float
    answers: tuple[Answer, ...]

    @property
    def right(self) -> int:
        """How many items have gold's label."""
        return sum(one.right for one in self.answers)


@dataclass
class Record:
    """All sets in the order in which they were drawn, and what was answered, by the set's name."""

    drawn: dict[str, Drawn] = field(default_factory=dict)
    taken: dict[str, Taken] = field(default_factory=dict)

    def of(self, annotator: str) -> list[Drawn]:
        """Return an annotator's sets, oldest first, whatever its settings and the guideline."""
        return [one for one in self.drawn.values() if one.annotator == annotator]

    def verdict(self, drawn: Drawn) -> Verdict | None:
        """Return what a test says; None for practice, and for a test that is not taken yet."""
        taken = self.taken.get(drawn.name)
        if taken is None or drawn.kind != "test":
            return None
        return decided(taken.right, len(taken.answers), drawn.attempt, drawn.threshold)

    def passed(self, drawn: Drawn) -> bool:
        """Say whether a set is a test that was passed."""
        found = self.verdict(drawn)
        return found is not None and found.qualified

    def attempt(self, annotator: str) -> int:
        """Return the number of an annotator's next test: all since the last one passed count."""
        count = 1
        for one in self.of(annotator):
            if one.kind == "test":
                count = 1 if self.passed(one) else count + 1
        return count

    def qualification(
        self, annotator: str, identity: str, guideline: str, threshold: float
    ) -> Drawn | None:
        """Return the latest test passed by which an annotator may label; None without one."""
        for one in reversed(self.of(annotator)):
            bound = (one.identity, one.guideline) == (identity, guideline)
            if bound and one.threshold >= threshold and self.passed(one):
                return one
        return None


def read_record(project: Project) -> Record:
    """Return the qualifications of a project. Raises ``InputError`` for a damaged file."""
    record = Record()
    read_journal(project.state / FILE, partial(_take, record), "the qualifications")
    return record


def _take(record: Record, data: dict[str, Any]) -> None:
    kind = data.pop("fact")
    if kind == "set":
        items = tuple((item, text) for item, text in data.pop("items"))
        record.drawn[data["name"]] = Drawn(**data, items=items)
    elif kind == "taken":
        answers = tuple(Answer(**one) for one in data.pop("answers"))
        record.taken.setdefault(data["name"], Taken(**data, answers=answers))  # the first counts
    else:
        raise ValueError(kind)


def append(project: Project, fact: Drawn | Taken) -> None:
    """Add a fact; it is on disk when this returns."""
    kind = "set" if isinstance(fact, Drawn) else "taken"
    append_journal(project.state / FILE, [{"fact": kind} | asdict(fact)])


def need_qualified(project: Project, configs: Sequence[AnnotatorConfig]) -> None:
    """Raise ``InputError`` for an annotator that has not shown what the project asks for."""
    from prelabel.annotate import annotator_id, compiler_of

    for config in configs if project.config.run.require_qualified is not None else ():
        identity = annotator_id(config, compiler_of(project, config))
        if why := unqualified(project, config.name, identity):
            raise InputError(f"annotator {config.name!r}: {why}")


def unqualified(project: Project, annotator: str, identity: str = "") -> str | None:
    """Return why an annotator may not label here; None where it may."""
    threshold = project.config.run.require_qualified
    if threshold is None:
        return None
    record, guideline = read_record(project), project.guideline.hash
    if record.qualification(annotator, identity, guideline, threshold):
        return None
    return (
        f"not qualified for {threshold:g} under this guideline (run: require_qualified); "
        f"see `prelabel qualify {annotator}`"
    )
