"""Which labels annotators give in place of which: on gold, and where people settled the item."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from prelabel.records import Label
    from prelabel.tasks import Task

Source = Literal["gold", "review"]
Said = tuple[str, str, "Label", "Label"]
"""Item, annotator, right label, given label."""

MOST_ITEMS = 5


@dataclass(frozen=True, slots=True)
class Confusion:
    """A name that was given where another was right; None where it was left out, or too much.

    ``n`` counts annotations, ``of`` all whose right label has the name ``right`` (of a name given
    too much all that were compared). ``items`` are up to five of them, those first
    that most annotators got wrong so.
    """

    source: Source
    right: str | None
    given: str | None
    n: int
    of: int
    annotators: tuple[str, ...]
    items: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)

    @property
    def said(self) -> str:
        """The confusion in words."""
        if self.right == self.given:
            return f"{self.right!r} is given another value"
        if self.right is None:
            return f"{self.given!r} is given where it is not right"
        if self.given is None:
            return f"{self.right!r} is left out where it is right"
        return f"{self.given!r} is given where {self.right!r} is right"


def confusions(said: Iterable[Said], task: Task, source: Source) -> list[Confusion]:
    """Return what is confused, the most frequent first."""
    items: dict[tuple[str | None, str | None], list[tuple[str, str]]] = defaultdict(list)
    sizes: dict[str | None, int] = defaultdict(int)
    for item, annotator, right, given in said:
        for name in (None, *names_of(right, task)):
            sizes[name] += 1
        if not task.right(right, given):
            for pair in _pairs(right, given, task):
                items[pair].append((item, annotator))
    found = [
        Confusion(
            source,
            *pair,
            len(own),
            sizes[pair[0]],
            tuple(sorted({who for _, who in own})),
            tuple(item for item, _ in Counter(item for item, _ in own).most_common(MOST_ITEMS)),
        )
        for pair, own in items.items()
    ]
    return sorted(found, key=lambda one: (-one.n, one.right or "", one.given or ""))


def _pairs(right: Label, given: Label, task: Task) -> list[tuple[str | None, str | None]]:
    if isinstance(right, dict):
        fields = sorted(right.keys() | given.keys())
        return [(name, name) for name in fields if right.get(name) != given.get(name)]
    missed = sorted(names_of(right, task) - names_of(given, task))
    extra = sorted(names_of(given, task) - names_of(right, task))
    if len(missed) == 1 and len(extra) == 1:
        return [(missed[0], extra[0])]
    return [*((name, None) for name in missed), *((None, name) for name in extra)]


def names_of(label: Label, task: Task) -> set[str]:
    """Return what a label names: labels, values, or the fields of an extraction with their values.

    Spans and relations count by their labels, wherever they stand; free texts name nothing.
    """
    if isinstance(label, dict):
        return {name for name, value in label.items() if value not in (None, "", [])}
    if isinstance(label, list):
        from prelabel.review.beside import named_in

        return set() if task.name == "text" else named_in(label, task)
    return set() if task.name == "text" else {str(label)}
