"""What changed from one guideline to another, and how far each change reaches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prelabel.guideline_parts import walk
from prelabel.tasks import shorten

if TYPE_CHECKING:
    from prelabel.guideline import Guideline, LabelDefinition

Reach = Literal["all", "some", "none"]

WHOLE = (
    "task", "question", "item", "purpose", "scale", "fields", "decision_tree", "abstain",
    "max_labels", "overlap", "tie", "normalize", "given", "merge",
)  # fmt: skip
"""Fields that speak of every item."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed, as a plain line.

    It reaches ``all`` items, ``none``, or ``some``: those that somebody gave one of ``labels``, and
    those whose text is similar to one of ``texts``.
    """

    what: str
    reach: Reach
    labels: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()


def changes(old: Guideline, new: Guideline) -> list[Change]:
    """Return what changed, in the order of the document; empty where the hash is the same."""
    if old.hash == new.hash:
        return []
    found = [
        Change(f"{field.replace('_', ' ')} changed", "all")
        for field in WHOLE
        if getattr(old, field) != getattr(new, field)
    ]
    found += _labels(old, new)
    names = {*_labels_by_name(old), *_labels_by_name(new)}
    for field, what, of in (
        ("examples", "example", _of_example),
        ("edge_cases", "edge case", _of_case),
        ("common_mistakes", "common mistake", _of_mistake),
        ("rulings", "ruling", _of_ruling),
    ):
        for verb, part in _moved(getattr(old, field), getattr(new, field)):
            said, texts = of(part)
            # what names labels in its words is about the items that have them
            about = _named(" ".join(texts), names) if field in _ABOUT_LABELS else frozenset()
            found.append(Change(f"{what} {verb}: {said}", "some", about, texts))
    return found or [Change("name or order changed", "none")]


_ABOUT_LABELS = ("edge_cases", "common_mistakes")


def _labels_by_name(guideline: Guideline) -> dict[str, LabelDefinition]:
    return {" > ".join(path): label for path, label in walk(guideline.labels)}


def _labels(old: Guideline, new: Guideline) -> Iterator[Change]:
    was, now = _labels_by_name(old), _labels_by_name(new)
    for name in was:
        if name not in now:
            yield Change(f"label {name!r} removed", "some", frozenset({name}))
    for name in now:
        if name not in was:
            yield Change(f"label {name!r} added: any item may have it", "all")
        elif was[name] != now[name]:
            yield from _label(name, was[name], now[name])


def _label(name: str, old: LabelDefinition, new: LabelDefinition) -> Iterator[Change]:
    """Say what changed within one label, leaving those below it to themselves."""
    own = frozenset({name})
    if old.definition != new.definition:
        text = (old.definition, new.definition)
        yield Change(f"label {name!r}: definition changed", "some", own, text)
    for field in ("aliases", "head", "tail"):
        if getattr(old, field) != getattr(new, field):
            yield Change(f"label {name!r}: {field} changed", "some", own)
    for field, what in (("examples", "example"), ("counter_examples", "counter-example")):
        for verb, part in _moved(getattr(old, field), getattr(new, field)):
            other = getattr(part, "label", None) or ()
            named = {other} if isinstance(other, str) else set(other)
            said = f"label {name!r}: {what} {verb}: {shorten(part.text, 60)}"
            yield Change(said, "some", own | named, (part.text,))


def _moved(old: Sequence[Any], new: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a list lost and gained."""
    was, now = (Counter(part.model_dump_json() for part in parts) for parts in (old, new))
    for verb, parts, more in (("removed", old, was - now), ("added", new, now - was)):
        for part in parts:
            key = part.model_dump_json()
            if more[key] > 0:
                more[key] -= 1
                yield verb, part


def _of_example(part: Any) -> tuple[str, tuple[str, ...]]:
    text = "\n".join(part.shown.values())
    return shorten(text, 60), (text,)


def _of_case(part: Any) -> tuple[str, tuple[str, ...]]:
    return shorten(part.when, 60), (part.when, part.why)


def _of_mistake(part: Any) -> tuple[str, tuple[str, ...]]:
    return shorten(part.mistake, 60), (part.mistake, part.correction)


def _of_ruling(part: Any) -> tuple[str, tuple[str, ...]]:
    return f"{part.id}, {shorten(part.text, 60)}", (part.text,)


def _named(text: str, names: set[str]) -> frozenset[str]:
    """Return the labels whose names stand in a text as whole words."""
    return frozenset(
        name
        for name in names
        if re.search(rf"(?<!\w){re.escape(name.rpartition(' > ')[2])}(?!\w)", text, re.IGNORECASE)
    )
