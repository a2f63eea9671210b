"""qualify(): may this annotator label? Practice on gold with its errors shown, then a test on gold.

Every set is drawn at random from gold that the annotator was not asked about before, recorded
before it is answered, and taken once; see ``qualification`` for the rule that decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prelabel.estimate import Estimate, wilson
from prelabel.qualification import check_sizes
from prelabel.qualification_log import Record, Taken, read_record
from prelabel.qualification_sets import (
    Subject,
    Wanted,
    answers_of,
    draw_set,
    due_of,
    subject_of,
    take,
    take_sheet,
    write_sheet,
)
from prelabel.records import Label

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Item

THRESHOLD = 0.85

Stage = Literal["nothing asked", "asked", "practiced", "failed", "qualified"]


@dataclass(frozen=True, slots=True)
class Shown:
    """An error with the guideline's part on it: definitions, hard cases and similar rulings."""

    item: str
    text: str
    gold: Label
    given: Label
    guideline: tuple[str, ...]


@dataclass(frozen=True)
class Qualification:
    """How an annotator stands under the present guideline, with its present settings.

    ``accuracy`` is of the set taken last: of practice with a 95% interval, of a test with the
    interval that decides. ``attempt`` is the test's number since the last one passed; ``needed``
    the size of the next test that would be passed, were the share seen the true one. ``path`` is
    the sheet that was written to be filled in; ``next`` says what to do.
    """

    annotator: str
    guideline_hash: str
    identity: str
    stage: Stage
    threshold: float
    attempt: int
    set: str
    asked: int
    accuracy: Estimate
    reason: str
    needed: int | None
    errors: tuple[Shown, ...] = field(repr=False)
    next: str
    path: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def qualified(self) -> bool:
        """Whether the annotator may label."""
        return self.stage == "qualified"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"qualified": self.qualified, "path": self.path and str(self.path)}


def qualify(
    project: Project,
    name: str,
    *,
    sheet: Path | None = None,
    threshold: float | None = None,
    practice: int = 50,
    test: int = 100,
    again: bool = False,
    split: str | None = None,
    seed: int = 0,
    max_cost: float | None = None,
) -> Qualification:
    """Take an annotator's next step to labeling: practice on gold first, then a test.

    An LLM labels the items (within ``max_cost``), an imported annotator's labels are there; a
    person gets a blind ``sheet`` that is written where there is no such file, and read once it is
    filled in. ``threshold`` is the accuracy to show, by default what ``run: require_qualified``
    asks for, else that of the set before, else 0.85. ``again`` takes a fresh test after one that
    was failed. Raises ``InputError`` for an unknown annotator, where too little gold is left, and
    for a sheet that is not the one asked for, is not complete, or was read before with other
    labels.
    """
    project.checked_guideline()
    subject = subject_of(project, name, sheet)
    record = read_record(project)
    key = (subject.name, subject.identity, project.guideline.hash)
    aim = _threshold(project, record, name) if threshold is None else threshold
    path = None
    if sheet and sheet.exists():
        take_sheet(project, record, subject, sheet)
    elif not record.qualification(*key, aim) and not (subject.by_sheet and sheet is None):
        due = due_of(record, subject, project.guideline.hash, again=again)
        if due is None:
            check_sizes(aim, practice, test, record.attempt(name))
            wanted = Wanted(aim, practice, test, split, seed)
            due = draw_set(project, record, subject, wanted)
        if due and subject.by_sheet:
            path = write_sheet(project, due, sheet or Path())
        elif due:
            take(project, due, answers_of(project, subject, due, max_cost))
    return _standing(project, read_record(project), subject, aim, path)


def _threshold(project: Project, record: Record, name: str) -> float:
    before = [one.threshold for one in record.of(name)]
    return project.config.run.require_qualified or (before[-1] if before else THRESHOLD)


def _standing(
    project: Project, record: Record, subject: Subject, aim: float, path: Path | None
) -> Qualification:
    """Return how an annotator stands, and what to do next."""
    guideline = project.guideline.hash
    passed = record.qualification(subject.name, subject.identity, guideline, aim)
    own = [
        one
        for one in record.of(subject.name)
        if (one.identity, one.guideline) == (subject.identity, guideline)
    ]
    last = passed or (own[-1] if own else None)
    taken = record.taken.get(last.name) if last else None
    verdict = record.verdict(last) if last else None
    stage: Stage = "nothing asked" if last is None else "asked"
    accuracy, reason = Estimate(None, why="nothing was asked yet"), "no test was taken yet"
    if taken:
        stage, accuracy = "practiced", wilson(taken.right, len(taken.answers))
    if verdict:
        stage = "qualified" if passed else "failed"
        accuracy, reason = verdict.accuracy, verdict.reason
    return Qualification(
        annotator=subject.name,
        guideline_hash=guideline,
        identity=subject.identity,
        stage=stage,
        threshold=last.threshold if last else aim,
        attempt=last.attempt if last else 0,
        set=last.name if last else "",
        asked=len(last.items) if last else 0,
        accuracy=accuracy,
        reason=reason,
        needed=verdict.needed if verdict else None,
        errors=tuple(_errors(project, taken)) if taken else (),
        next=_next(subject, stage, path, verdict.needed if verdict else None),
        path=path,
        notes=tuple(_notes(project, stage)),
    )


def _next(subject: Subject, stage: Stage, path: Path | None, needed: int | None) -> str:
    command = f"prelabel qualify {subject.name}"
    new = " --sheet NEW.csv" if subject.by_sheet else ""
    if stage == "qualified":
        return ""
    if path:
        return f"fill in the column 'label' of {path}, then: {command} --sheet {path}"
    if stage == "asked":
        return f"the set waits for its labels: {command}{' --sheet FILE' if new else ''}"
    if stage == "failed":
        size = f" --test {needed}" if needed else ""
        return f"a fresh test, on other gold: {command} --again{size}{new}"
    return f"{'the test' if stage == 'practiced' else 'practice'}: {command}{new}"


def _notes(project: Project, stage: Stage) -> list[str]:
    if stage == "nothing asked":
        return []
    drawn = [g for g in project.gold if g.chance is not None or g.drawn not in ("", "random")]
    if not drawn:
        return []
    some = f"{len(drawn)} of {len(project.gold)} gold items were not drawn at random"
    return [f"{some}: the accuracy is on gold as it is, not on all items"]


def _errors(project: Project, taken: Taken) -> list[Shown]:
    """Return what was wrong in a set, each with the guideline's part on it."""
    from prelabel.review.beside import Beside

    wrong = {one.item: one for one in taken.answers if not one.right}
    items = [item for item in project.items() if item.id in wrong]
    beside = Beside(project.task)
    return [
        Shown(
            item.id,
            "\n".join(item.fields.values()),
            wrong[item.id].gold,
            wrong[item.id].given,
            tuple(_part(beside, item, (wrong[item.id].gold, wrong[item.id].given))),
        )
        for item in items
    ]


def _part(beside: Any, item: Item, labels: Sequence[Label]) -> list[str]:
    """Return definitions of the labels in question, hard cases on them, and similar rulings."""
    from prelabel.prompts import named
    from prelabel.review.beside import named_in

    names = {name for label in labels for name in named_in(label, beside.task)}
    lines = [f"{one.name}: {one.label.definition}" for one in beside.labels if one.name in names]
    for case in beside.guideline.edge_cases:
        then = {case.then} if isinstance(case.then, str) else set(case.then)
        if then & names:
            lines.append(f"when {case.when}: {named(case.then)}")
    lines += [f"{case.id}: {case.text!r} is {case.label}" for case in beside.cases([], item)]
    return lines
