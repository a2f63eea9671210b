"""The decision tree of a guideline: which questions it asks, and where its answers lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prelabel.guideline_parts import Question
from prelabel.guideline_yaml import Where

Ref = str | tuple[str, ...]


def names_in(ref: Ref) -> tuple[str, ...]:
    """Return the labels that a place names."""
    return (ref,) if isinstance(ref, str) else ref


def questions_of(
    questions: Sequence[Question], where: Where
) -> Iterator[tuple[tuple[str | int, ...], Question]]:
    """Yield every question of the tree with its place, parents first."""
    for index, question in enumerate(questions):
        yield (*where, index), question
        for answer in ("yes", "no"):
            yield from questions_of(nested_in(getattr(question, answer)), (*where, index, answer))


def nested_in(branch: object) -> tuple[Question, ...]:
    """Return the questions a branch leads to; none if it is a leaf or absent."""
    entries = branch if isinstance(branch, tuple) else ()
    return tuple(entry for entry in entries if isinstance(entry, Question))


def ends(branch: object) -> bool:
    """Say whether every path through a branch ends in a label."""
    nested = nested_in(branch)
    return any(map(final, nested)) if nested else branch is not None


def final(question: Question) -> bool:
    """Say whether no question after this one is ever asked."""
    return ends(question.yes) and ends(question.no)


def reached_by(questions: Sequence[Question], *, single: bool) -> Iterator[str]:
    """Yield the labels that can be reached; with one label an item, the first end is final."""
    for question in questions:
        for branch in (question.yes, question.no):
            if nested := nested_in(branch):
                yield from reached_by(nested, single=single)
            elif branch is not None:
                yield from names_in(branch)  # type: ignore[arg-type]  # not nested: label or labels
        if single and final(question):
            return
