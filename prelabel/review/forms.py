"""A form for each task: what it shows for a label, and what a person's input says.

A form's content is a mapping of field names to lists of texts, as a browser sends it. ``fill``
makes one of a label; ``read`` makes of one what ``Task.match`` takes. The page is drawn from the
content, so that nothing is lost where the task refuses what was sent.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from prelabel.guideline_parts import FieldDefinition, leaves
from prelabel.tasks import OffListError
from prelabel.tasks.relations import given_spans
from prelabel.tasks.text import accepted

if TYPE_CHECKING:
    from prelabel.records import Item, Label
    from prelabel.tasks import Task
    from prelabel.tasks.rating import Rating

Content = Mapping[str, Sequence[str]]

RESERVED = "cgprsuw"
"""Cause, guideline, previous, ruling, skip, undo, write a note: the same on every page."""

KEYS = string.digits[1:] + "".join(c for c in string.ascii_lowercase if c not in RESERVED)

MOST_BUTTONS = 25
"""A rating with more values is written as a number."""

BLANK_ROWS = 2


class Form(Protocol):
    """A task's form; ``template`` draws it, ``at_once`` says that one key decides."""

    template: str
    at_once: bool

    def fill(self, label: Label) -> Content:
        """Return the content that says ``label``."""

    def read(self, content: Content) -> Any:
        """Return what ``Task.match`` takes. Raises ``OffListError`` for what is not complete."""

    def shows(self, content: Content, item: Item) -> dict[str, Any]:
        """Return what the template draws beside the content."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value to choose: what is sent, what is shown, the keys for it, and what it means."""

    value: str
    text: str
    key: str
    meaning: str = ""
    group: str = ""


def make_form(task: Task) -> Form:
    """Return the form of a task."""
    makers: dict[str, Any] = {
        "classification": OneOf,
        "pairwise": OneOf,
        "matching": OneOf,
        "hierarchical": OneOf,
        "rating": OneOf,
        "multi-label": AnyOf,
        "spans": SpansForm,
        "extraction": FieldsForm,
        "relations": RelationsForm,
        "text": Answer,
    }
    if task.name == "rating":
        declared = cast("Rating", task).declared
        if declared is None or len(declared) > MOST_BUTTONS:
            return Number(cast("Rating", task))
    form: Form = makers[task.name](task)
    return form


def choices(task: Task) -> list[Choice]:
    """Return the values of a task that are chosen from a list, each with a key of its own."""
    meaning = {label.name: label.definition for label in task.guideline.labels}
    if task.name == "rating":
        return _ratings(cast("Rating", task))
    if task.name == "hierarchical":
        paths = _tree(task)
        return [
            Choice(" > ".join(path), path[-1], key, said, " > ".join(path[:-1]))
            for path, key, said in paths
        ]
    if task.name == "pairwise":
        known = {"A": ("A is better", "a"), "B": ("B is better", "b"), "tie": ("A tie", "t")}
        meaning = {"tie": task.guideline.tie or ""} | meaning
    elif task.name == "matching":
        known = {"match": ("Match", "y"), "no_match": ("No match", "n")}
    else:
        names = task.guideline.label_names
        digits = all(len(name) == 1 and name in "0123456789" for name in names)
        own = names if digits else keys(len(names))  # a digit's key is the digit
        known = {name: (name, key) for name, key in zip(names, own, strict=True)}
    return [Choice(name, *known[name], meaning.get(name, "")) for name in known if _has(task, name)]


def _has(task: Task, name: str) -> bool:
    values = task.values()
    return task.name not in ("pairwise", "matching") or values is None or name in values


def keys(count: int) -> list[str]:
    """Return a key for each of ``count`` values: one stroke, or where these do not do, two.

    The first of two is a letter: with so many labels digits are for those likely for the item.
    """
    if count <= len(KEYS):
        return list(KEYS[:count])
    pairs = [a + b for a in KEYS if a.isalpha() for b in KEYS]
    return (pairs + [""] * count)[:count]


def _ratings(task: Rating) -> list[Choice]:
    values = task.declared or ()
    anchors = {task.number(key): text for key, text in task.scale.anchors.items()}
    texts = [f"{value:.10g}" for value in values]
    own = all(len(text) == 1 for text in texts)  # then a digit's key is the digit
    return [
        Choice(text, text, text if own else key, anchors.get(value, ""))
        for value, text, key in zip(values, texts, keys(len(values)), strict=True)
    ]


def _tree(task: Task) -> list[tuple[tuple[str, ...], str, str]]:
    """Return each leaf's path, the keys that lead to it, a stroke a level, and its definition."""
    strokes: dict[tuple[str, ...], str] = {(): ""}
    children: dict[tuple[str, ...], int] = {}
    found = []
    for path, label in leaves(task.guideline.labels):
        for depth in range(1, len(path) + 1):
            if path[:depth] not in strokes:
                above = path[: depth - 1]
                place = children.get(above, 0)
                children[above] = place + 1
                stroke = KEYS[place] if place < len(KEYS) else "?"
                strokes[path[:depth]] = strokes[above] + stroke
        key = strokes[path]
        found.append((path, "" if "?" in key else key, label.definition))
    return found


def first(content: Content, name: str) -> str:
    """Return the first text sent under a name; empty where there is none."""
    return next(iter(content.get(name, ())), "")


class OneOf:
    """One of a list, each a button that decides."""

    template = "choice.html"
    at_once = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.choices = choices(task)

    def fill(self, label: Label) -> Content:
        """Return the label's value."""
        if isinstance(label, list):
            return {"label": [" > ".join(label)]}
        return {"label": [label if isinstance(label, str) else f"{label:.10g}"]}

    def read(self, content: Content) -> Any:
        """Return the value that was chosen."""
        chosen = first(content, "label")
        if not chosen:
            raise OffListError("nothing is chosen; press one of the labels")
        return chosen

    def shows(self, content: Content, item: Item) -> dict[str, Any]:  # noqa: ARG002
        """Return the choices."""
        groups: dict[str, list[Choice]] = {}
        for choice in self.choices:
            groups.setdefault(choice.group, []).append(choice)
        return {
            "choices": self.choices,
            "groups": groups,
            "long": len(self.choices) > len(KEYS) and self.task.name == "classification",
            "chosen": first(content, "label"),
        }


class Number:
    """A number on a scale with many values, or with no steps."""

    template = "number.html"
    at_once = False

    def __init__(self, task: Rating) -> None:
        self.task = task

    def fill(self, label: Label) -> Content:
        """Return the number."""
        return {"label": [repr(label)]}

    def read(self, content: Content) -> Any:
        """Return the number's text."""
        return first(content, "label")

    def shows(self, content: Content, item: Item) -> dict[str, Any]:  # noqa: ARG002
        """Return the scale."""
        return {
            "number": first(content, "label"),
            "scale": self.task.describe(),
            "anchors": self.task.scale.anchors,
        }


class AnyOf:
    """Any number of a list's labels."""

    template = "checks.html"
    at_once = False

    def __init__(self, task: Task) -> None:
        self.task = task
        self.choices = choices(task)

    def fill(self, label: Label) -> Content:
        """Return the labels' names."""
        return {"label": list(label)}

    def read(self, content: Content) -> Any:
        """Return the names that are checked."""
        return list(content.get("label", ()))

    def shows(self, content: Content, item: Item) -> dict[str, Any]:  # noqa: ARG002
        """Return the choices."""
        most = self.task.guideline.max_labels
        return {"choices": self.choices, "chosen": content.get("label", ()), "most": most}


class SpansForm:
    """Parts of the text with labels, kept as JSON in a field that the script fills."""

    template = "spans.html"
    at_once = False

    def __init__(self, task: Task) -> None:
        self.task = task
        self.choices = choices(task)

    def fill(self, label: Label) -> Content:
        """Return the spans as JSON."""
        return {"spans": [json.dumps(label)]}

    def read(self, content: Content) -> Any:
        """Return the JSON; nothing at all is no spans."""
        return first(content, "spans").strip() or "[]"

    def shows(self, content: Content, item: Item) -> dict[str, Any]:
        """Return the labels, and the text that the spans are in."""
        from prelabel.tasks.spans import text_field

        return {
            "choices": self.choices,
            "spans": first(content, "spans") or "[]",
            "field": text_field(item),
            "overlap": self.task.guideline.overlap,
        }


class FieldsForm:
    """A field of the form for each of the guideline's."""

    template = "fields.html"
    at_once = False

    def __init__(self, task: Task) -> None:
        self.fields = [(f"field{n}", field) for n, field in enumerate(task.guideline.fields)]

    def fill(self, label: Label) -> Content:
        """Return the values; of an open list, one a line."""
        return {name: _texts(field, label.get(field.name)) for name, field in self.fields}

    def read(self, content: Content) -> Any:
        """Return the values that are not empty, by the names of the guideline."""
        found: dict[str, Any] = {}
        for name, field in self.fields:
            given = list(content.get(name, ()))
            if field.type == "list" and not field.values:
                given = [line for line in "\n".join(given).splitlines() if line.strip()]
            if given and (field.type == "list" or given[0].strip()):
                found[field.name] = given if field.type == "list" else given[0]
        return found

    def shows(self, content: Content, item: Item) -> dict[str, Any]:  # noqa: ARG002
        """Return the fields with their values."""
        return {"rows": [(name, field, content.get(name, ())) for name, field in self.fields]}


def _texts(field: FieldDefinition, value: Any) -> list[str]:
    if value is None:
        return []
    if field.type == "list":
        return list(value) if field.values else ["\n".join(value)]
    return [value if isinstance(value, str) else repr(value)]


class RelationsForm:
    """Rows of head, relation and tail, each chosen from the given spans and the labels."""

    template = "relations.html"
    at_once = False
    names = ("head", "relation", "tail")

    def __init__(self, task: Task) -> None:
        self.task = task

    def fill(self, label: Label) -> Content:
        """Return a row for each relation."""
        ends = ("head", "label", "tail")
        columns = ([one[end] for one in label] for end in ends)
        return dict(zip(self.names, columns, strict=True))

    def read(self, content: Content) -> Any:
        """Return the rows that are not blank."""
        found = []
        for n, row in enumerate(_rows(content, self.names), 1):
            if all(row):
                found.append(list(row))
            elif any(row):
                raise OffListError(f"row {n} is not complete; choose head, relation and tail")
        return found

    def shows(self, content: Content, item: Item) -> dict[str, Any]:
        """Return the rows, some blank ones, and what can be chosen in them."""
        rows = [row for row in _rows(content, self.names) if any(row)]
        try:
            spans, problem = list(given_spans(item, self.task.guideline.given).values()), ""
        except OffListError as error:
            spans, problem = [], str(error)
        return {
            "rows": rows + [("", "", "")] * BLANK_ROWS,
            "given": spans,
            "problem": problem,
            "labels": self.task.guideline.labels,
        }


def _rows(content: Content, names: Iterable[str]) -> list[tuple[str, ...]]:
    columns = [list(content.get(name, ())) for name in names]
    most = max(map(len, columns))
    return list(zip(*(column + [""] * (most - len(column)) for column in columns), strict=True))


class Answer:
    """A text."""

    template = "text.html"
    at_once = False

    def __init__(self, task: Task) -> None:
        self.task = task

    def fill(self, label: Label) -> Content:
        """Return the answer, the first one where several are accepted."""
        return {"answer": [accepted(label)[0]]}

    def read(self, content: Content) -> Any:
        """Return the text."""
        return first(content, "answer")

    def shows(self, content: Content, item: Item) -> dict[str, Any]:  # noqa: ARG002
        """Return the text."""
        return {"answer": first(content, "answer")}
