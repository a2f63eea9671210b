"""The tags that ask for a label, and what they hold: one table for writing and reading."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from prelabel.errors import InputError
from prelabel.records import content_hash

if TYPE_CHECKING:
    from prelabel.guideline import FieldDefinition, Guideline, LabelDefinition, Scale
    from prelabel.tasks import Task

CONTROL = "prelabel_label"
"""Name of the tag that holds the label; in extraction ``_`` and the field follow."""

MOST_STARS = 10

_KEYS = {  # tag -> where its value stands; the first three hold lists
    "Choices": "choices",
    "Taxonomy": "taxonomy",
    "TextArea": "text",
    "Labels": "labels",
    "Rating": "rating",
    "Number": "number",
    "DateTime": "datetime",
}
_LISTED = ("Choices", "Taxonomy", "TextArea")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
_VARIABLE = re.compile(r"\$\w")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Options = tuple[tuple[str, Any], ...]
"""Names, each with the names below it."""


@dataclass(frozen=True, slots=True)
class Control:
    """A tag that people answer with. ``many``: its answer is a list, empty without a result."""

    name: str
    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    options: Options = ()
    many: bool = False
    title: str = ""

    @property
    def type(self) -> str:
        """The type of its results."""
        return self.tag.lower()

    def xml(self, shown: str) -> Iterator[str]:
        """Yield its lines in a config, referring to the tag ``shown``."""
        if self.title:
            yield f"  <Header value={quoteattr(self.title)}/>"
        given = {"name": self.name, "toName": shown, **self.attributes}
        head = " ".join([self.tag, *(f"{key}={quoteattr(text)}" for key, text in given.items())])
        if not self.options:
            yield f"  <{head}/>"
            return
        yield f"  <{head}>"
        yield from _option_lines("Label" if self.tag == "Labels" else "Choice", self.options, 4)
        yield f"  </{self.tag}>"

    def value(self, answer: Any) -> dict[str, Any] | None:
        """Return the value that holds an answer; None for none at all."""
        if self.many and not answer:
            return None
        if self.tag in _LISTED:  # a text may be several accepted ones
            listed = self.many or (self.tag == "TextArea" and not isinstance(answer, str))
            answer = list(answer) if listed else [answer]
        return {_KEYS[self.tag]: answer}

    def answer(self, values: Iterable[Any], place: str) -> Any:
        """Return the answer that results' values hold; without ``many`` None where there is none.

        Several answers where one is wanted are a list, for the task to refuse.
        """
        found: list[Any] = []
        for value in values:
            given = value.get(_KEYS[self.tag]) if isinstance(value, dict) else None
            if self.tag == "TextArea" and isinstance(given, str):  # as older versions write it
                given = [given]
            if given is None or (self.tag in _LISTED and not isinstance(given, list)):
                raise InputError(
                    f"{place}: its {self.type} are not as Label Studio writes them; export it again"
                )
            found += given if self.tag in _LISTED else [given]
        if self.many:
            return found
        return found[0] if len(found) == 1 else found or None


def controls_of(
    task: Task, name: str = CONTROL, entities: Sequence[str] = ()
) -> dict[str, Control]:
    """Return the tags of a task: in extraction by field, else one under ``""``.

    ``entities`` are the labels of given spans. Raises ``InputError`` for a label or value that
    cannot stand in a config.
    """
    guideline = task.guideline
    found = _controls(task.name, guideline, name, entities)
    for control in found.values():
        for said in [control.title, *names_in(control.options)]:
            check_name(said)
    return found


def _controls(
    task: str, guideline: Guideline, name: str, entities: Sequence[str]
) -> dict[str, Control]:
    if task == "extraction":
        return {f.name: _field_control(f, name) for f in guideline.fields}
    if task == "hierarchical":
        leaves_only = {"leafsOnly": "true", "required": "true"}
        return {"": Control(name, "Taxonomy", leaves_only, _tree(guideline.labels))}
    if task == "text":
        return {"": _text_area(name, required=True, rows="3")}
    if task == "rating":
        assert guideline.scale is not None
        return {"": _scale_control(guideline.scale, name)}
    if task in {"spans", "relations"}:
        labels = guideline.label_names if task == "spans" else entities
        return {"": Control(name, "Labels", {}, _flat(labels), many=True)}
    labels = {
        "pairwise": ("A", "B") if guideline.tie is None else ("A", "B", "tie"),
        "matching": ("match", "no_match"),
    }.get(task, guideline.label_names)
    return {"": _choices(name, labels, many=task == "multi-label")}


def _field_control(field: FieldDefinition, name: str) -> Control:
    """Return the tag of an extraction's field; its name does not depend on the other fields."""
    plain = _PLAIN_NAME.fullmatch(field.name)
    own = f"{name}_{field.name if plain else content_hash(field.name)[:8]}"
    required = {"required": "true" if field.required else "false"}
    many = field.type == "list"
    if field.values:
        return _choices(own, field.values, many=many, title=field.name, required=field.required)
    if field.type == "number":
        return Control(own, "Number", required, title=field.name)
    if field.type == "date":
        return Control(own, "DateTime", {"only": "date", **required}, title=field.name)
    return _text_area(own, required=field.required, rows="1", many=many, title=field.name)


def _choices(
    name: str,
    labels: Sequence[str],
    *,
    many: bool,
    title: str = "",
    required: bool | None = None,
) -> Control:
    attributes = {
        "choice": "multiple" if many else "single",
        "required": "true" if (not many if required is None else required) else "false",
        "showInline": "true",
    }
    return Control(name, "Choices", attributes, _flat(labels), many, title)


def _text_area(
    name: str, *, required: bool, rows: str, many: bool = False, title: str = ""
) -> Control:
    attributes = {"editable": "true", "rows": rows, "required": "true" if required else "false"}
    if not many:
        attributes["maxSubmissions"] = "1"
    return Control(name, "TextArea", attributes, (), many, title)


def _scale_control(scale: Scale, name: str) -> Control:
    stars = scale.min == scale.step == 1 and scale.max <= MOST_STARS
    if stars:
        return Control(name, "Rating", {"maxRating": _text(scale.max), "required": "true"})
    attributes = {"min": _text(scale.min), "max": _text(scale.max), "required": "true"}
    if scale.step and _is_exact(scale.min, scale.max, scale.step):
        attributes["step"] = _text(scale.step)
    return Control(name, "Number", attributes)


def _is_exact(least: float, most: float, step: float) -> bool:
    """Return whether the editor, which divides floats, accepts every value of the scale."""
    steps = round((most - least) / step)
    values = (float(f"{least + k * step:.12g}") for k in range(steps + 1))
    return all(math.fmod(value - least, step) == 0 for value in values)


def _text(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def _flat(names: Iterable[str]) -> Options:
    return tuple((name, ()) for name in names)


def _tree(labels: Iterable[LabelDefinition]) -> Options:
    return tuple((label.name, _tree(label.labels)) for label in labels)


def names_in(options: Options) -> Iterator[str]:
    """Yield all names of a tree of them."""
    for name, below in options:
        yield name
        yield from names_in(below)


def _option_lines(tag: str, options: Options, indent: int) -> Iterator[str]:
    blanks = " " * indent
    for name, below in options:
        if below:
            yield f"{blanks}<{tag} value={quoteattr(name)}>"
            yield from _option_lines(tag, below, indent + 2)
            yield f"{blanks}</{tag}>"
        else:
            yield f"{blanks}<{tag} value={quoteattr(name)}/>"


def check_name(name: str) -> None:
    """Raise ``InputError`` for a label that cannot stand in a config."""
    if NOT_XML.search(name):
        raise InputError(f"Label Studio: label {name!r} has a control character; rename it")
    if _VARIABLE.search(name):
        raise InputError(
            f"Label Studio: label {name!r} would be read as a variable; rename it without the $"
        )
