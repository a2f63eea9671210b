"""The Task protocol: a task type is what an LLM must return, and how a label becomes votes.

Everything after annotation (agreement, aggregation, routing) sees votes only, so a new task type
is one small file here and works with every aggregator. Most methods have a default, that of a
task whose answer is one value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from prelabel.errors import InputError
from prelabel.records import Distribution, Item, Label, Value, Votes

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line
    from prelabel.measures import Measures
    from prelabel.splitting import Part

Level = Literal["nominal", "ordinal", "interval"]


class OffListError(ValueError):
    """An answer is well formed but outside what the guideline allows."""


class AbstainedError(Exception):
    """The annotator used the way out that the guideline offers."""


class InconsistentError(Exception):
    """Several answers about one item contradict each other, so that none can be taken."""

    extras: Mapping[str, Any] = MappingProxyType({})
    """What is kept of them, as in ``Reading``."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says: a label, and what else is worth keeping of it.

    ``extras`` is plain JSON. ``ungrounded`` lists what the answer names but the item lacks, each
    ``{"text", "label", "why"}``: it is left out of the label and must not go unseen.
    """

    label: Label
    extras: Mapping[str, Any] = field(default_factory=dict)
    distribution: Distribution | None = None


class Task(Protocol):
    """A type of labeling under one guideline."""

    name: str
    level: Level
    guideline: Guideline
    needs_item: bool = False
    """Whether a label can be matched only with the item it is of, as spans are."""
    splits: bool = False
    """Whether a long item can be labeled in parts: then ``merge`` is there."""

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return the model of an annotator's answer, its JSON Schema naming the allowed values."""

    def read(self, answer: BaseModel, item: Item) -> Reading:
        """Return what a parsed answer says of ``item``.

        Raises ``OffListError`` or ``AbstainedError``.
        """

    def match(self, raw: Any, item: Item | None = None) -> Label:
        """Return the label that a recorded value or a gold cell stands for.

        ``raw`` is a text or what JSON can hold. Names are matched exactly after Unicode NFC,
        trimming and case folding, against names and aliases. Raises ``OffListError``.
        """

    def answer(self, label: Label) -> dict[str, Any]:
        """Return the JSON object an annotator should have answered for ``label``."""

    def worked(self, label: Label, item: Item) -> dict[str, Any]:
        """Return the answer that an example shows for ``item``; `answer` where that is all."""
        del item
        return self.answer(label)

    def votes(self, label: Label) -> Votes:
        """Take a label apart into categorical units."""

    def from_votes(self, votes: Votes) -> Label:
        """Put a label together again; the inverse of ``votes``.

        Units may be missing where a tie was left open; None where nothing can be made of the rest.
        """

    def values(self, unit: str = "") -> tuple[Value, ...] | None:
        """Return the declared values of a unit; None where any value may occur."""

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return what an answer's tokens and their alternatives say of each unit.

        ``tokens`` is the ``logprobs.content`` of a chat completion; empty where they say nothing.
        """
        del tokens
        return {}

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether a label is gold's, as the task counts it."""
        return bool(gold == given)

    def agrees(self, unit: str, a: Value, b: Value) -> bool:
        """Say whether two values of a unit count as the same."""
        del unit
        return a == b

    def align(self, votes: Mapping[str, Votes]) -> Mapping[str, Votes]:
        """Make several annotators' votes on one item comparable, unit by unit.

        Units that one label has and another lacks get the value of absence; values that count as
        equal get one spelling. Idempotent, and the order of annotators does not matter.
        """
        return votes

    def views(self, item: Item) -> Sequence[Item]:
        """Return the forms in which an item is asked about, one call each: most tasks, one."""
        return (item,)

    def unite(self, readings: Sequence[Reading]) -> Reading:
        """Make one of the readings of an item's views. Raises ``InconsistentError``."""
        return readings[0]

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:
        """Make one of the readings of a long item's parts, where the task ``splits``."""
        raise NotImplementedError


@runtime_checkable
class Measured(Protocol):
    """A task with measures of its own, because its labels are more than right or wrong."""

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Compare an annotator's labels with gold's, both in the same order of items."""

    def overlap(self, a: Label, b: Label) -> tuple[float, float]:
        """Return how much of two labels agrees, and of how much: (2, 3) for two thirds.

        Summed over items, the ratio is the agreement of two annotators; (0, 0) where both say
        that there is nothing.
        """

    def units(self) -> tuple[str, ...]:
        """Return the declared units, those that alpha is computed for; empty if they are open."""


_MODULES = {
    "classification": "Classification",
    "multi-label": "MultiLabel",
    "hierarchical": "Hierarchical",
    "spans": "Spans",
    "rating": "Rating",
    "pairwise": "Pairwise",
    "extraction": "Extraction",
    "matching": "Matching",
    "relations": "Relations",
    "text": "Text",
}
TASKS = tuple(_MODULES)


def _module(name: str) -> Any:
    return import_module(f"prelabel.tasks.{name.replace('-', '_')}")


def make_task(guideline: Guideline) -> Task:
    """Return the task a guideline declares. Raises ``InputError`` for an unknown one."""
    if guideline.task not in _MODULES:
        raise InputError(
            f"guideline {guideline.name!r}: unknown task {guideline.task!r}; "
            f"use one of: {', '.join(TASKS)}"
        )
    task: Task = getattr(_module(guideline.task), _MODULES[guideline.task])(guideline)
    return task


def check_task(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield what is wrong with the fields that are the task's own."""
    check = getattr(_module(guideline.task), "check", None)
    if check:
        yield from check(guideline, line)


def shorten(raw: Any, width: int = 80) -> str:
    """Quote a raw value for a message, cut to ``width`` characters."""
    text = repr(raw)
    return text if len(text) <= width else text[: width - 1] + "…"


def dump_distribution(distribution: Distribution) -> dict[str, list[list[Any]]]:
    """Return a distribution as JSON: values keep their type, ``{unit: [[value, p], …]}``."""
    return {
        unit: [[value, round(p, 6)] for value, p in row.items()]
        for unit, row in distribution.items()
    }


def load_distribution(data: Mapping[str, list[list[Any]]]) -> Distribution:
    """Read what ``dump_distribution`` wrote."""
    return {unit: {value: float(p) for value, p in row} for unit, row in data.items()}
