"""The Task protocol: a task type is what an LLM must return, and how a label becomes votes.

Everything after annotation (agreement, aggregation, scoring, routing) sees votes only, so a new
task type is one small file here and works with every aggregator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from prelabel.errors import InputError
from prelabel.records import Distribution, Label, Value, Votes

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.guideline import Guideline

Level = Literal["nominal", "ordinal", "interval"]


class OffListError(ValueError):
    """An answer is well formed but outside what the guideline allows."""


class AbstainedError(Exception):
    """The annotator used the way out that the guideline offers."""


class Task(Protocol):
    """A type of labeling under one guideline."""

    name: str
    level: Level
    guideline: Guideline

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return the model of an annotator's answer, its JSON Schema naming the allowed values."""

    def read(self, answer: BaseModel) -> Label:
        """Return the label in a parsed answer.

        Raises ``OffListError`` or ``AbstainedError``.
        """

    def match(self, raw: Any) -> Label:
        """Return the label that a recorded value or a gold cell stands for.

        Matching is exact after Unicode NFC, trimming and case folding, against names and
        aliases. Raises ``OffListError``.
        """

    def answer(self, label: Label) -> dict[str, Any]:
        """Return the JSON object an annotator should have answered for ``label``."""

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return what an answer's tokens and their alternatives say of each unit.

        ``tokens`` is the ``logprobs.content`` of a chat completion; empty where they say nothing.
        """

    def values(self) -> tuple[Value, ...]:
        """Return the declared values of a unit."""

    def votes(self, label: Label) -> Votes:
        """Take a label apart into categorical units."""

    def from_votes(self, votes: Votes) -> Label:
        """Put a label together again; the inverse of ``votes``."""


def make_task(guideline: Guideline) -> Task:
    """Return the task a guideline declares. Raises ``InputError`` for an unknown one."""
    from prelabel.tasks.classification import Classification
    from prelabel.tasks.multi_label import MultiLabel

    match guideline.task:
        case "classification":
            return Classification(guideline)
        case "multi-label":
            return MultiLabel(guideline)
    raise InputError(
        f"guideline {guideline.name!r}: unknown task {guideline.task!r}; "
        f"use one of: {', '.join(TASKS)}"
    )


TASKS = ("classification", "multi-label")


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
