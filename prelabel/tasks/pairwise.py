"""Pairwise preference: which of two texts is better, always asked in both orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from prelabel.errors import InputError
from prelabel.guideline import fold
from prelabel.records import Distribution, Item, Label
from prelabel.tasks import InconsistentError, Reading
from prelabel.tasks.single_choice import SingleChoice

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line

A, B, TIE = "A", "B", "tie"


class Pairwise(SingleChoice):
    """``A`` or ``B``, the last two text fields of an item in their order, or ``tie``.

    An annotator is shown each pair twice, the second time with the two texts exchanged, and with
    them the last two of several pictures. Where its two answers name different texts there is no
    label: the order decided, not the texts.
    """

    name = "pairwise"
    key = "better"

    def __init__(self, guideline: Guideline) -> None:
        super().__init__(guideline, (A, B) if guideline.tie is None else (A, B, TIE))

    def named(self, raw: str) -> str | None:
        """Return ``A``, ``B`` or ``tie``; the plain words mean what they say, whatever aliases."""
        return self._by_spelling.get(fold(raw))

    @cached_property
    def _by_spelling(self) -> Mapping[str, str | None]:
        """Label by folded name or alias; None where an alias is claimed twice."""
        names = {fold(label): label for label in self.labels}
        found: dict[str, str | None] = {}
        for label in self.guideline.labels:
            if name := names.get(fold(label.name)):
                for alias in {fold(alias) for alias in label.aliases}:
                    found[alias] = None if alias in found else name
        return found | names

    def views(self, item: Item) -> Sequence[Item]:
        """Return the item, and the item with its two texts exchanged.

        Raises ``InputError`` for an item of fewer than two texts.
        """
        return item, exchanged(item)

    def unite(self, readings: Sequence[Reading]) -> Reading:
        """Return the label that both orders agree on, and the mean of what they believe.

        ``extras["views"]`` has both answers in terms of what was shown first and second. Raises
        ``InconsistentError`` where they name different texts, or a tie in one order only.
        """
        first, second = readings
        extras = {"views": [first.label, second.label]}
        turned = turn(second.label)
        if first.label != turned:
            error = InconsistentError(contradiction(first.label, turned))
            error.extras = extras
            raise error
        return Reading(first.label, extras, _mean(first.distribution, second.distribution))


def exchanged(item: Item) -> Item:
    """Return an item with the texts of its last two fields exchanged; the names stay in place.

    Of two or more pictures, the last two are exchanged, too.
    """
    if len(item.fields) < 2:
        raise InputError(
            f"item {item.id!r}: has {len(item.fields)} text where two are compared; name both "
            "columns in prelabel.yaml, such as `text: [request, reply_a, reply_b]`"
        )
    a, b = list(item.fields)[-2:]
    fields = dict(item.fields) | {a: item.fields[b], b: item.fields[a]}
    images = (*item.images[:-2], *reversed(item.images[-2:]))
    return replace(item, fields=fields, images=images)


def turn(label: Label) -> Label:
    """Return a label of the exchanged texts as one of the texts in their own order."""
    return {A: B, B: A}.get(label, label)


def contradiction(first: Label, second: Label) -> str:
    """Say in one line how the verdicts of the two orders differ, both in the item's own terms."""
    place = "first" if first == A else "second"
    why = "a tie in one order only" if TIE in (first, second) else f"shown {place} each time"
    return f"A first: {first}, B first: {second} ({why})"


def _mean(first: Distribution | None, second: Distribution | None) -> Distribution | None:
    """Average two distributions, the second one turned; None where one order has none."""
    if not first or not second or not first.get("") or not second.get(""):
        return None
    one, two = first[""], {turn(value): p for value, p in second[""].items()}
    return {"": {value: (one[value] + two.get(value, 0.0)) / 2 for value in one}}


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield what is wrong with the labels and examples of a comparison."""
    from prelabel.guideline_fields import Finding

    known = [A, B] if guideline.tie is None else [A, B, TIE]
    for index, label in enumerate(guideline.labels):
        if label.name not in known:
            remedy = "write `tie:` to allow ties" if label.name == TIE else "take it out"
            yield Finding(
                line("labels", index, "name"),
                "error",
                f"label {label.name!r} is not one of {', '.join(known)}, what a comparison can "
                f"say; {remedy}",
            )
    for index, example in enumerate(guideline.examples):
        if len(example.shown) < 2:
            yield Finding(
                line("examples", index),
                "error",
                "a comparison needs an example with two texts; write both under 'fields:'",
            )
