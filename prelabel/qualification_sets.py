"""The sets that an annotator is asked in ``qualify``: drawn from gold, written, answered, taken."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prelabel.errors import InputError
from prelabel.qualification_log import Answer, Drawn, Record, Taken, append, read_record
from prelabel.records import Label, content_hash

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Annotation, Item
    from prelabel.settings import AnnotatorConfig

UNFINISHED = ("outage", "rate_limited", "timeout", "budget")
"""Failures that say nothing of an annotator: the set waits until it was really asked."""


@dataclass(frozen=True)
class Subject:
    """Who is asked: an LLM, an annotator whose labels are ``recorded``, or a person by a sheet.

    ``identity`` tells an LLM's settings apart; others have none. ``recorded`` is the id in the
    ledger.
    """

    name: str
    identity: str = ""
    config: AnnotatorConfig | None = None
    recorded: str = ""

    @property
    def by_sheet(self) -> bool:
        """Whether this is a person who fills in sheets."""
        return self.config is None and not self.recorded


def subject_of(project: Project, name: str, sheet: Path | None) -> Subject:
    """Return who a name stands for; with a ``sheet`` it is a person. Raises ``InputError``."""
    from prelabel.annotate import annotator_id, compiler_of
    from prelabel.ledger import Ledger
    from prelabel.review.store import check_name

    configs = {config.name: config for config in project.config.annotators}
    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        rows = [r for r in ledger.annotators() if r["name"] == name and r["kind"] != "llm"]
    if sheet and (name in configs or any(row["kind"] != "person" for row in rows)):
        raise InputError(f"qualify: {name!r} is no person; leave --sheet out")
    if name in configs:
        identity = annotator_id(configs[name], compiler_of(project, configs[name]))
        return Subject(name, identity, configs[name])
    if rows and sheet is None:
        return Subject(name, recorded=rows[-1]["id"])
    if sheet is None and not read_record(project).of(name):
        raise InputError(
            f"qualify: no annotator {name!r} here; for a person write --sheet {name}-1.csv, "
            "which is written to be filled in"
        )
    check_name(name)
    return Subject(name)


def due_of(
    record: Record, subject: Subject, guideline: str, *, again: bool
) -> Drawn | Literal[False] | None:
    """Return the set that waits to be taken; None where one has to be drawn.

    False where the last test was failed, and no other is asked for.
    """
    own = [
        one
        for one in record.of(subject.name)
        if (one.identity, one.guideline) == (subject.identity, guideline)
    ]
    if own and own[-1].name not in record.taken:
        return own[-1]
    failed = bool(own) and own[-1].kind == "test" and not record.passed(own[-1])
    return False if failed and not again else None


@dataclass(frozen=True)
class Wanted:
    """How large sets are, where they are drawn from, and what is to be shown."""

    threshold: float
    practice: int
    test: int
    split: str | None
    seed: int


def draw_set(project: Project, record: Record, subject: Subject, wanted: Wanted) -> Drawn:
    """Draw the next set at random, and record it before anybody sees it."""
    own = record.of(subject.name)
    practiced = any(one.kind == "practice" and one.name in record.taken for one in own)
    size = wanted.test if practiced else wanted.practice
    pool = _pool(project, record, subject, wanted.split)
    after = 0 if practiced else wanted.test
    if len(pool) < size + after:
        what = f"a test takes {size}" if practiced else f"practice and test take {size + after}"
        raise InputError(
            f"qualify: {len(pool)} gold items are left that {subject.name!r} was not asked about, "
            f"and {what}; add gold, or ask for fewer with --practice and --test"
        )
    order = sorted(pool)
    random.Random(f"{wanted.seed} {subject.name} {len(own)}").shuffle(order)  # noqa: S311
    made = Drawn(
        name="",
        kind="test" if practiced else "practice",
        annotator=subject.name,
        identity=subject.identity,
        guideline=project.guideline.hash,
        threshold=wanted.threshold,
        attempt=record.attempt(subject.name) if practiced else 0,
        seed=wanted.seed,
        created=time.time(),
        items=tuple((item, pool[item].hash) for item in order[:size]),
    )
    made = replace(made, name=content_hash(asdict(made)))
    append(project, made)
    return made


def _pool(project: Project, record: Record, subject: Subject, split: str | None) -> dict[str, Item]:
    """Return the gold items that say something of this annotator.

    Not those that it was asked before, that the guideline or its prompts show, or whose gold label
    is its own; of an annotator whose labels are recorded those that it labeled.
    """
    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to qualify on; name a file under `gold:` in prelabel.yaml")
    left = {g.item_id for g in gold if g.author.casefold() != subject.name.casefold()}
    left -= {item for one in record.of(subject.name) for item, _ in one.items}
    if subject.config is not None:
        left -= {shot.item_id or "" for shot in project.gold_shots(subject.config.shots)}
    elif subject.recorded:
        left &= _annotations(project, subject.recorded).keys()
    return {item.id: item for item in project.items() if item.id in left}


def _annotations(project: Project, identity: str) -> dict[str, Annotation]:
    """Return what an annotator says now, by item, of items that have not changed."""
    from prelabel.ledger import Ledger

    now = {item.id: item.hash for item in project.items()}
    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        given = list(ledger.current([identity], project.guideline.hash))
    return {one.item_id: one for one in given if now.get(one.item_id) == one.item_hash}


def answers_of(
    project: Project, subject: Subject, due: Drawn, max_cost: float | None
) -> Mapping[str, tuple[str, Label]]:
    """Return outcome and label of each item of a set; an LLM labels those that lack one."""
    from prelabel.run import label

    items = {item for item, _ in due.items}
    if subject.config is not None:
        label(project, [subject.name], only=items, max_cost=max_cost, trial=True)
    said = _annotations(project, subject.recorded or subject.identity)
    lacking = [i for i in items if i not in said or said[i].failure in UNFINISHED]
    if lacking:
        raise InputError(
            f"qualify: {len(lacking)} of {len(items)} items have no annotation by "
            f"{subject.name!r} yet, such as {min(lacking)!r}; label them, then run this again"
        )
    return {item: (said[item].outcome, said[item].label) for item in items}


def take(project: Project, due: Drawn, said: Mapping[str, tuple[str, Label]]) -> None:
    """Record a set's answers, each beside gold's label. Raises ``InputError`` for changed items."""
    gold = {g.item_id: g.label for g in project.gold}
    hashes = {item.id: item.hash for item in project.items()}
    answers = []
    for item, text in due.items:
        if hashes.get(item) != text or item not in gold:
            raise InputError(
                f"qualify: item {item!r} has changed since it was drawn, or has no gold any more; "
                "put it back as it was"
            )
        outcome, given = said[item]
        right = given is not None and project.task.right(gold[item], given)
        answers.append(Answer(item, gold[item], given, outcome, right))
    append(project, Taken(due.name, time.time(), tuple(answers)))


def write_sheet(project: Project, due: Drawn, path: Path) -> Path:
    """Write a set as a blind sheet, and return where."""
    from prelabel.exchange.tables import write_rows
    from prelabel.sheets import blind_rows

    wanted = {name for name, _ in due.items}
    items = {item.id: item for item in project.items() if item.id in wanted}
    columns, rows = blind_rows([items[name] for name, _ in due.items])
    write_rows(path, [row | {"audit": due.name} for row in rows], [*columns, "audit"])
    return path


def take_sheet(project: Project, record: Record, subject: Subject, sheet: Path) -> None:
    """Record what a filled sheet says. Raises ``InputError`` where it is not the one asked for."""
    from prelabel.sheets import read_filled

    filled = {row.item: row for row in read_filled(project, sheet)}
    first = next(iter(filled.values()))
    due = record.drawn.get(first.audit)
    if due is None or due.annotator != subject.name:
        raise InputError(
            f"{first.where}: no sheet that was written for {subject.name!r} (column 'audit' says "
            f"{first.audit!r}); name a new file to have one written"
        )
    asked = [item for item, _ in due.items]
    for row in filled.values():
        if row.audit != due.name or row.item not in asked:
            raise InputError(f"{row.where}: item {row.item!r} is of another sheet; take it out")
    said = {i: ("labeled", filled[i].label) if i in filled else ("abstained", None) for i in asked}
    if (taken := record.taken.get(due.name)) is not None:
        if any(one.given != said[one.item][1] for one in taken.answers):
            raise InputError(
                f"{sheet}: was read before, with other labels; a set is taken once, so name a new "
                "file to have the next one written"
            )
        return
    if due.guideline != project.guideline.hash:
        raise InputError(
            f"{sheet}: was written under guideline {due.guideline}, and the project's is "
            f"{project.guideline.hash}; name a new file to have a sheet under this one written"
        )
    if (empty := len(asked) - len(filled)) and not project.guideline.abstain:
        raise InputError(f"{sheet}: {empty} of {len(asked)} rows have no label; fill in all")
    take(project, due, said)
