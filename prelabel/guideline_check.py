"""Find the mistakes in a guideline that would cost labels, each with its line and its remedy."""

from __future__ import annotations

import difflib
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prelabel.guideline import (
    ABSTAIN,
    Guideline,
    Question,
    fold,
    read_with_lines,
)
from prelabel.guideline_fields import (
    BY_LABEL,
    LABELED,
    NAMING,
    Finding,
    Line,
    error,
    labels_of,
    own_fields,
    warning,
)
from prelabel.guideline_tree import (
    Ref,
    ends,
    final,
    names_in,
    nested_in,
    questions_of,
    reached_by,
)
from prelabel.guideline_yaml import DocumentError, Where, line_of
from prelabel.records import Item
from prelabel.tasks import TASKS, OffListError, check_task, make_task

if TYPE_CHECKING:
    from pathlib import Path

MIN_EXAMPLES = 3
"""With fewer examples a label, annotators guess at its borders."""

MAX_DEFINITION_WORDS = 120
"""A longer definition holds rules that are better kept as edge cases."""


def check(path: str | Path) -> list[Finding]:
    """Return what is wrong with a guideline file, in file order; empty if nothing is.

    A document that cannot be loaded gives one error. Raises InputError only for a file that cannot
    be read.
    """
    try:
        guideline, lines = read_with_lines(path)
    except DocumentError as broken:
        return [Finding(broken.line, "error", broken.message)]
    line: Line = partial(line_of, lines)
    findings = [*_head(guideline, line)]
    for rule in (
        own_fields,
        _spellings,
        _definitions,
        _examples,
        _counter_examples,
        _references,
        _tree,
        _rulings,
    ):
        findings += rule(guideline, line)
    if guideline.task in TASKS:
        findings += check_task(guideline, line)
        if not any(finding.level == "error" for finding in findings):
            findings += _worked(guideline, line)
    return sorted(findings, key=lambda finding: finding.line)


def _head(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check what stands above the labels, and how many labels there are."""
    if guideline.task not in TASKS:
        known = ", ".join(TASKS)
        yield error(line("task"), f"task {guideline.task!r} is not known; write one of: {known}")
    if not guideline.purpose:
        yield warning(line("purpose"), "no purpose; say why these labels are made, and for whom")
    if not guideline.question:
        yield warning(line("question"), "no question; write the one question a label answers")
    if not guideline.labels and guideline.task in LABELED:
        yield error(line("labels"), "no labels; write them under 'labels:'")
    elif len(guideline.labels) == 1 and guideline.task == "classification":
        yield error(line("labels"), "only one label; classification needs at least two")


def _worked(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that the answer of each worked example is one that the task allows."""
    if guideline.task not in BY_LABEL and (n := len(guideline.examples)) < MIN_EXAMPLES:
        yield warning(
            line("examples"),
            f"{n or 'no'} worked example{'s' * (n != 1)} under 'examples:'; "
            f"give at least {MIN_EXAMPLES}",
        )
    task = make_task(guideline)
    for index, example in enumerate(guideline.examples):
        try:
            task.match(example.answer, Item("example", example.shown))
        except OffListError as refused:
            yield error(line("examples", index, "answer"), f"{refused}; mend the answer")


@dataclass(frozen=True, slots=True)
class _Spelling:
    """A name or alias where it stands."""

    text: str
    label: int
    where: Where
    line: int

    @property
    def is_name(self) -> bool:
        return self.where[-1] == "name"


def _all_spellings(guideline: Guideline, line: Line) -> Iterator[_Spelling]:
    for index, label in enumerate(guideline.labels):
        where: Where = ("labels", index, "name")
        yield _Spelling(label.name, index, where, line(*where))
        for k, alias in enumerate(label.aliases):
            where = ("labels", index, "aliases", k)
            yield _Spelling(alias, index, where, line(*where))


def _spellings(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that each name and alias means one label, and none means abstaining."""
    if guideline.task == "hierarchical":  # a name may stand in several branches
        return
    first: dict[str, _Spelling] = {}
    for this in _all_spellings(guideline, line):
        if guideline.abstain is not None and fold(this.text) == ABSTAIN:
            yield error(
                this.line,
                f"{this.text!r} stands for abstaining, which this guideline allows; "
                "rename the label, or remove 'abstain:'",
            )
        other = first.setdefault(fold(this.text), this)
        if other is this:
            continue
        seen = f"(first on line {other.line})"
        if this.label == other.label:
            yield warning(this.line, f"alias {this.text!r} is accepted already {seen}; remove it")
        elif this.is_name and other.is_name:
            yield error(
                this.line, f"label {this.text!r} is defined twice {seen}; keep one definition"
            )
        else:
            owner = guideline.labels[other.label].name
            what = "label" if this.is_name else "alias"
            yield error(
                this.line,
                f"{what} {this.text!r} is taken by label {owner!r} {seen}; keep it in one place",
            )


def _definitions(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check each label's definition and number of examples."""
    for where, label in labels_of(guideline):
        here = line(*where, "definition")
        words = len(label.definition.split())
        if not words and guideline.task in LABELED:
            yield error(here, f"label {label.name!r} has no definition; say what it means")
        if words > MAX_DEFINITION_WORDS:
            yield warning(
                here,
                f"the definition of {label.name!r} has {words} words (at most "
                f"{MAX_DEFINITION_WORDS}); move special rules to edge_cases",
            )
        own = guideline.task in BY_LABEL and not label.labels
        if own and (count := len(label.examples)) < MIN_EXAMPLES:
            yield warning(
                line(*where, "name"),
                f"label {label.name!r} has {count or 'no'} example{'s' * (count != 1)}; "
                f"give it at least {MIN_EXAMPLES}",
            )


def _examples(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that a text shown as an example has the same labels wherever it stands."""
    first: dict[str, tuple[frozenset[str], str, int]] = {}
    for where, label in labels_of(guideline):
        for k, example in enumerate(label.examples):
            here = line(*where, "examples", k)
            labels = frozenset((label.name,) if example.labels is None else example.labels)
            if label.name not in labels:
                yield error(
                    line(*where, "examples", k, "labels"),
                    f"an example of {label.name!r} has other labels only; add {label.name!r}",
                )
            text = " ".join(unicodedata.normalize("NFC", example.text).split())
            labels0, name0, line0 = first.setdefault(text, (labels, label.name, here))
            if line0 == here:
                continue
            what = f"example {_short(text)} is given twice (first on line {line0}"
            if labels != labels0:
                remedy = (
                    "write all its 'labels' at both"
                    if guideline.task == "multi-label"
                    else "keep it under one label"
                )
                yield error(here, f"{what}, under {name0!r}) with different labels; {remedy}")
            elif name0 == label.name:
                yield warning(here, f"{what}); write another one")


def _counter_examples(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that each counter-example says what it is instead."""
    for place, label in labels_of(guideline):
        for k, counter in enumerate(label.counter_examples):
            where = (*place, "counter_examples", k, "label")
            if counter.label is None:
                yield warning(
                    line(*where),
                    f"counter-example {_short(counter.text)} does not say what it is instead; "
                    "add its 'label:'",
                )
            elif label.name in names_in(counter.label):
                yield error(
                    line(*where),
                    f"a counter-example of {label.name!r} has this very label; "
                    "write the label it has instead, or make it an example",
                )


def _references(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that labels named outside the label set's own entries exist."""
    names = {label.name for _, label in labels_of(guideline)}
    if guideline.task not in NAMING:
        return
    for where, ref in _all_references(guideline):
        if isinstance(ref, tuple) and guideline.task == "classification":
            yield error(
                line(*where), "a list of labels, but the task is classification; name one label"
            )
        decided = where[0] in {"edge_cases", "decision_tree", "rulings"}
        for k, name in enumerate(names_in(ref)):
            if name in names or (decided and name == ABSTAIN and guideline.abstain is not None):
                continue
            yield error(
                line(*where, k), f"{name!r} is not a label's name; {_meant(guideline, name)}"
            )


def _all_references(guideline: Guideline) -> Iterator[tuple[Where, Ref]]:
    """Yield each place that names labels."""
    yield from _label_references(guideline)
    for index, case in enumerate(guideline.edge_cases):
        yield ("edge_cases", index, "then"), case.then
    for where, question in questions_of(guideline.decision_tree, ("decision_tree",)):
        for answer in ("yes", "no"):
            branch = getattr(question, answer)
            if branch is not None and not nested_in(branch):
                yield (*where, answer), branch
    for index, ruling in enumerate(guideline.rulings):
        yield ("rulings", index, "label"), ruling.label


def _label_references(guideline: Guideline) -> Iterator[tuple[Where, Ref]]:
    """Yield each place within the label set that names labels."""
    for index, label in enumerate(guideline.labels):
        for k, example in enumerate(label.examples):
            if example.labels is not None:
                yield ("labels", index, "examples", k, "labels"), example.labels
        for k, counter in enumerate(label.counter_examples):
            if counter.label is not None:
                yield ("labels", index, "counter_examples", k, "label"), counter.label


def _meant(guideline: Guideline, name: str) -> str:
    """Say which label a wrong name may mean."""
    if (label := guideline.match(name)) is not None:
        return f"write {label!r}"
    near = difflib.get_close_matches(name, guideline.label_names, n=1)
    return f"did you mean {near[0]!r}?" if near else "add it to the labels, or name one of them"


def _tree(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that the tree reaches all labels, and for classification ends in one on every path.

    In multi-label every question is asked, so only the labels reached are checked.
    """
    tree = guideline.decision_tree
    if not tree or guideline.task not in NAMING:
        return
    single = guideline.task == "classification"
    reached = set(reached_by(tree, single=single))
    if missing := [repr(name) for name in guideline.label_names if name not in reached]:
        yield warning(
            line("decision_tree"),
            f"the decision tree never reaches {', '.join(missing)}; add a question for it",
        )
    if not single:
        return
    if not ends(tree):
        yield warning(
            line("decision_tree", len(tree) - 1),
            "the decision tree can end without a label; give its last question a 'no:'",
        )
    previous: dict[Where, tuple[int, Question]] = {}
    for where, question in questions_of(tree, ("decision_tree",)):
        here, (line0, before) = line(*where), previous.get(where[:-1], (0, None))
        if before is not None and final(before):
            yield warning(
                here,
                f"this question is never asked: the one on line {line0} ends both ways; "
                "remove one of its answers or this question",
            )
        previous[where[:-1]] = (here, question)


def _rulings(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that a ruling can be cited by its id."""
    first: dict[str, int] = {}
    for index, ruling in enumerate(guideline.rulings):
        here = line("rulings", index, "id")
        if (line0 := first.setdefault(ruling.id, here)) != here:
            yield error(
                here, f"ruling {ruling.id!r} is there twice (first on line {line0}); rename one"
            )


def _short(text: str) -> str:
    """Quote the beginning of a text, enough to find it."""
    return repr(textwrap.shorten(text, 40, placeholder=" …"))
