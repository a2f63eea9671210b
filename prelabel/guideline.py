"""The guideline document: what people read to label, and what prompts are compiled from.

``guideline_check`` finds its mistakes, ``guideline_show`` renders it and compares two of them.
"""

from __future__ import annotations

import difflib
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator

from prelabel.errors import InputError
from prelabel.guideline_parts import (
    ABSTAIN,
    CounterExample,
    EdgeCase,
    Example,
    FieldDefinition,
    LabelDefinition,
    Mistake,
    Normalization,
    Part,
    Question,
    Ruling,
    Scale,
    Text,
    WorkedExample,
)
from prelabel.guideline_yaml import DocumentError, Lines, Where, parse, resolve
from prelabel.records import content_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ABSTAIN",
    "CounterExample",
    "EdgeCase",
    "Example",
    "FieldDefinition",
    "Guideline",
    "LabelDefinition",
    "Mistake",
    "Question",
    "Ruling",
    "Scale",
    "WorkedExample",
    "fold",
    "json_schema",
    "load_guideline",
]


class Guideline(Part):
    """How to label: purpose, task, label set with examples, and how hard cases are decided."""

    name: Text
    purpose: str = ""
    """Why these labels are made and who uses them."""
    task: Text = Field(json_schema_extra={"examples": ["classification", "spans", "rating"]})
    """The type of labeling, such as classification or multi-label."""
    question: str = ""
    """The one question that a label answers."""
    item: Text = "item"
    """The noun for what is labeled, such as "customer message"."""
    labels: tuple[LabelDefinition, ...] = ()
    scale: Scale | None = None
    """Rating only."""
    fields: tuple[FieldDefinition, ...] = ()
    """Extraction only."""
    examples: tuple[WorkedExample, ...] = ()
    """Items with their whole answers, for tasks whose answer is more than one label."""
    edge_cases: tuple[EdgeCase, ...] = ()
    decision_tree: tuple[Question, ...] = ()
    """Questions asked in order."""
    common_mistakes: tuple[Mistake, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    abstain: str | None = None
    """When annotators may abstain; without it they may not."""
    max_labels: int | None = Field(default=None, ge=1)
    """Multi-label only: the most labels that one item can have."""
    overlap: bool = False
    """Spans only: whether spans may overlap."""
    tie: str | None = None
    """Pairwise only: when neither is better; without it one of them must be."""
    normalize: tuple[Normalization, ...] = ()
    """Text only: what counts for nothing when two answers are compared."""
    given: Text = "spans"
    """Relations only: the item's field that holds the given spans."""
    merge: Literal["most", "first", "mean", "median", "min", "max"] | None = None
    """How the labels of the parts of a long item make one; ``docs/tasks.md`` says which task
    needs it."""

    @field_validator("abstain")
    @classmethod
    def _says_when(cls, value: str | None) -> str | None:
        """Refuse switches: ``abstain: no`` would otherwise allow abstaining "when no"."""
        if value is not None and value.casefold() in {
            "",
            "yes",
            "no",
            "true",
            "false",
            "on",
            "off",
        }:
            raise ValueError("must say when annotators may abstain; to forbid it leave it out")
        return value

    @cached_property
    def hash(self) -> str:
        """Identity by content: 16 hex digits, whatever the comments, key order and formatting.

        Fields left at their default do not count, so that a later version of this package which
        knows more fields gives an old document its old hash.
        """
        return content_hash(self.model_dump(mode="json", exclude_defaults=True))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the label set, in the document's order."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def _by_spelling(self) -> Mapping[str, str | None]:
        """Label by folded spelling; None where two labels claim the same one."""
        found: dict[str, str | None] = {}
        for label in self.labels:
            for spelling in {fold(spelling) for spelling in (label.name, *label.aliases)}:
                found[spelling] = None if spelling in found else label.name
        return found

    def match(self, text: str) -> str | None:
        """Return the label whose name or alias this is, or None.

        Compared whole, after Unicode NFC, trimming and case folding; never by part or
        resemblance. A spelling that two labels claim belongs to neither.
        """
        return self._by_spelling.get(fold(text))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy with changes; what was computed of the old content is not copied along."""
        copied = super().model_copy(update=update, deep=deep)
        for computed in ("hash", "_by_spelling"):
            copied.__dict__.pop(computed, None)
        return copied


def fold(text: str) -> str:
    """Return the form in which labels are compared: NFC, trimmed, case-folded, NFC again."""
    folded = unicodedata.normalize("NFC", text).strip().casefold()
    return unicodedata.normalize("NFC", folded)


def load_guideline(path: str | Path) -> Guideline:
    """Read a guideline.

    Raises InputError with one line, ``path:line: what; what to do``, for a file that cannot be
    read, is not UTF-8 or not YAML, or has unknown, missing, repeated or wrongly shaped fields.
    What the fields say is not judged here: see ``guideline_check.check``.
    """
    try:
        return read_with_lines(path)[0]
    except DocumentError as error:
        raise InputError(f"{path}:{error.line}: {error.message}") from None


def read_with_lines(path: str | Path) -> tuple[Guideline, Lines]:
    """Read a guideline and the line of each of its fields.

    Raises InputError where the file cannot be read, DocumentError where its content is wrong.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path of the guideline") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); check the path") from None
    document, lines = parse(content)
    if not isinstance(document, dict):
        kind = _kind(document)
        raise DocumentError(lines[()], f"the document is {kind}; write fields such as 'name: …'")
    try:
        return Guideline.model_validate(document), lines
    except ValidationError as error:
        errors = [dict(each) for each in error.errors(include_url=False)]
        # A misspelt field is also a missing one, which says less.
        telling = [each for each in errors if each["type"] != "missing"] or errors
        problems = [_explain(each, lines) for each in telling]
        raise min(problems, key=lambda problem: problem.line) from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document, for editors that complete and check while typing."""
    schema = Guideline.model_json_schema()
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "prelabel guideline"}


_FIELDS: dict[str, type[BaseModel]] = {
    "labels": LabelDefinition,
    "examples": Example,
    "scale": Scale,
    "fields": FieldDefinition,
    "counter_examples": CounterExample,
    "edge_cases": EdgeCase,
    "decision_tree": Question,
    "yes": Question,
    "no": Question,
    "common_mistakes": Mistake,
    "rulings": Ruling,
}


def _explain(error: dict[str, Any], lines: Lines) -> DocumentError:
    """Say one of pydantic's complaints with the line and name of the field."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    where = resolve(lines, loc)
    field = _spell(where)
    if kind == "missing" and where != loc:
        message = f"{_spell((*where, loc[-1]))} is missing; write it"
    elif kind == "extra_forbidden":
        message = _unknown(where)
    elif kind in {"missing", "string_too_short"} or value is None:
        message = f"{field} is empty; write it"
    elif kind == "string_type":
        message = f"{field} must be text, not {_kind(value)}; put text in quotes"
    elif kind == "tuple_type":
        message = f"{field} must be a list, not {_kind(value)}; write each entry after '- '"
    elif kind in {"model_type", "model_attributes_type"}:
        fields = ", ".join(_known(where))
        message = f"{field} must have fields, not be {_kind(value)}; the fields are {fields}"
    elif kind.startswith("int") or kind == "greater_than_equal":
        message = f"{field} must be a whole number of 1 or more, got {value!r}"
    elif kind == "string_unicode":
        message = f"{field} has a broken \\u escape; write the character itself"
    elif kind == "value_error":
        message = f"{field} {error['ctx']['error']}"
    else:  # our own messages begin with a verb, pydantic's others with "Input should"
        message = f"{field} {error['msg'].removeprefix('Input ')}"
    return DocumentError(lines[where], message)


def _unknown(where: Where) -> str:
    """Say that the last step of a place is no field, and which one may be meant."""
    known = _known(where[:-1])
    near = difflib.get_close_matches(str(where[-1]), known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(known)}"
    place = f" in {_spell(where[:-1])}" if len(where) > 1 else ""
    return f"unknown field {where[-1]!r}{place}; {remedy}"


def _known(where: Where) -> list[str]:
    """Name the fields that may stand at a place."""
    named = [step for step in where if isinstance(step, str)]
    model = _FIELDS.get(named[-1], Guideline) if named else Guideline
    return list(model.model_fields)


def _spell(where: Where) -> str:
    """Write a place as ``labels[0].examples[2].text``."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in where]
    return "".join(steps).removeprefix(".") or "the document"


def _kind(value: Any) -> str:
    """Name the kind of a YAML value."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else "text"
