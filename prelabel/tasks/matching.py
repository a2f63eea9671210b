"""Entity matching: whether two records describe the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError
from prelabel.guideline import fold
from prelabel.records import Item, Label
from prelabel.tasks.single_choice import SingleChoice

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line

MATCH, NO_MATCH = "match", "no_match"

SPELLINGS = {
    MATCH: ("match", "true", "yes", "1"),
    NO_MATCH: ("no_match", "no match", "false", "no", "0"),
}
"""How gold files and recorded answers write the two labels."""


class Matching(SingleChoice):
    """``match`` or ``no_match`` for the records in the last two text fields of an item.

    A record may be an object or plain text. Annotators give a reason, ahead of the label, where
    they are set to ``rationale: true``.
    """

    name = "matching"

    def __init__(self, guideline: Guideline) -> None:
        super().__init__(guideline, (MATCH, NO_MATCH))

    def named(self, raw: str) -> str | None:
        """Return the label that a name, a common spelling of it, or an alias means."""
        return self._by_spelling.get(fold(raw))

    def views(self, item: Item) -> Sequence[Item]:
        """Return the item. Raises ``InputError`` for one of fewer than two records."""
        if len(item.fields) < 2:
            there = ", ".join(item.fields)
            raise InputError(
                f"item {item.id!r}: matching needs two records, and there is {there} only; "
                "name both columns under `items: text:`"
            )
        return (item,)

    def match(self, raw: Any, item: Item | None = None) -> Label:
        """Return the label for a recorded value; true and 1 are match, false and 0 are not."""
        if isinstance(raw, (list, tuple)) and len(raw) == 1:
            raw = raw[0]
        if isinstance(raw, bool) or (isinstance(raw, (int, float)) and raw in (0, 1)):
            raw = str(int(raw))
        return super().match(raw, item)

    @cached_property
    def _by_spelling(self) -> Mapping[str, str | None]:
        """Label by folded spelling; None where an alias is claimed twice."""
        found: dict[str, str | None] = {}
        for label in self.guideline.labels:
            for alias in {fold(alias) for alias in label.aliases}:
                found[alias] = None if alias in found else label.name
        return found | {text: name for name, texts in SPELLINGS.items() for text in texts}


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield the labels that matching does not have, and aliases that mean the other label."""
    from prelabel.guideline_fields import Finding

    meaning = {text: name for name, texts in SPELLINGS.items() for text in texts}
    for index, label in enumerate(guideline.labels):
        if label.name not in SPELLINGS:
            yield Finding(
                line("labels", index, "name"),
                "error",
                f"label {label.name!r} is neither {MATCH!r} nor {NO_MATCH!r}; rename it, and "
                "write other spellings under 'aliases:'",
            )
            continue
        for k, alias in enumerate(label.aliases):
            if meaning.get(fold(alias), label.name) != label.name:
                yield Finding(
                    line("labels", index, "aliases", k),
                    "error",
                    f"alias {alias!r} of {label.name!r} means {meaning[fold(alias)]!r}; remove it",
                )
