"""The parts of a guideline document; ``guideline`` puts them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

ABSTAIN = "abstain"
"""The word for abstaining: no label may be called this while the guideline allows it."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _shape(value: Any) -> str | None:
    """Say which form of a label or branch a value has."""
    if isinstance(value, str):
        return "label"
    if isinstance(value, list | tuple):
        nested = any(isinstance(entry, dict | BaseModel) for entry in value)
        return "questions" if nested else "labels"
    return None


LabelRef = Annotated[
    Annotated[Text, Tag("label")] | Annotated[tuple[Text, ...], Tag("labels")],
    Discriminator(
        _shape,
        custom_error_type="shape",
        custom_error_message="must be a label or a list of labels",
    ),
]
"""A label's name, or for multi-label the names of all labels (none: an empty list)."""

Branch = Annotated[
    Annotated[Text, Tag("label")]
    | Annotated[tuple[Text, ...], Tag("labels")]
    | Annotated[tuple["Question", ...], Tag("questions")],
    Discriminator(
        _shape,
        custom_error_type="shape",
        custom_error_message="must be a label, a list of labels, or a list of questions",
    ),
]
"""Where an answer leads: to a label, to labels, or to more questions."""


class Part(BaseModel):
    """A part of the document: it cannot change, and knows all its fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True
    )


class Example(Part):
    """A text that has the label."""

    text: Text
    why: str = ""
    """Why it has this label (optional)."""
    labels: tuple[Text, ...] | None = None
    """Multi-label only: all labels of this text; without it just the one it stands under."""


class CounterExample(Part):
    """A text that seems to have the label and does not."""

    text: Text
    label: LabelRef | None = None
    """What it is instead."""
    why: str = ""


class LabelDefinition(Part):
    """One label of the label set."""

    name: Text
    definition: str
    """What the label means, in a few sentences."""
    aliases: tuple[Text, ...] = ()
    """Other accepted spellings of the label."""
    examples: tuple[Example, ...] = ()
    """Three to five texts that have the label."""
    counter_examples: tuple[CounterExample, ...] = ()
    labels: tuple[LabelDefinition, ...] = ()
    """Hierarchical only: the labels below this one."""
    head: tuple[Text, ...] = ()
    """Relations only: the span labels that may stand first; any if empty."""
    tail: tuple[Text, ...] = ()
    """Relations only: the span labels that may stand second; any if empty."""


def walk(
    labels: Iterable[LabelDefinition], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], LabelDefinition]]:
    """Yield every label with the names that lead to it, its own last; those below others, too."""
    for label in labels:
        path = (*above, label.name)
        yield path, label
        yield from walk(label.labels, path)


def leaves(
    labels: Iterable[LabelDefinition],
) -> Iterator[tuple[tuple[str, ...], LabelDefinition]]:
    """Yield the labels that have none below them, as `walk` does."""
    return ((path, label) for path, label in walk(labels) if not label.labels)


class WorkedExample(Part):
    """An item with its whole answer, for tasks whose answer is more than one label."""

    text: str = ""
    """The item's text, or in its place:"""
    fields: dict[str, Text] = Field(default_factory=dict)
    """The item's fields by name."""
    answer: Any
    """The label, written as in a gold file."""
    why: str = ""

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        """Refuse an example of nothing."""
        if bool(self.text) == bool(self.fields):
            raise ValueError("must have a text, or fields, and not both")
        return self

    @property
    def shown(self) -> dict[str, str]:
        """What an annotator sees."""
        return dict(self.fields) or {"text": self.text}


class Scale(Part):
    """The scale of a rating."""

    min: float
    max: float
    step: float | None = Field(default=1, gt=0)
    """From one value to the next; ``none`` allows every number from min to max."""
    tolerance: float = Field(default=0, ge=0)
    """How far apart two ratings may be and still count as the same."""
    level: Literal["ordinal", "interval"] = "ordinal"
    """Whether only the order of the values means something, or their distances too."""
    anchors: dict[str, Text] = Field(default_factory=dict)
    """What values stand for."""

    @field_validator("step", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """Read ``none``."""
        return None if isinstance(value, str) and value.casefold() == "none" else value

    @model_validator(mode="after")
    def _has_width(self) -> Self:
        """Refuse a scale of one value or none, and one that its steps do not divide."""
        if not self.min < self.max:
            raise ValueError(f"must have a max above its min, got {self.min:g} to {self.max:g}")
        steps = (self.max - self.min) / (self.step or self.max - self.min)
        if abs(steps - round(steps)) > 1e-6 or steps > 1000:
            raise ValueError("must have 1 to 1,000 whole steps from min to max")
        return self


Normalization = Literal["case", "space", "punctuation", "articles", "accents"]
"""What counts for nothing when two texts are compared."""


class FieldDefinition(Part):
    """Extraction: one field that is looked for in an item."""

    name: Text
    type: Literal["string", "number", "date", "enum", "list"] = "string"
    definition: str = ""
    values: tuple[Text, ...] = ()
    """Of an enum, or of a list whose entries are closed."""
    required: bool = False
    normalize: tuple[Normalization, ...] = ()
    """Of a string, or of a list's entries."""


class EdgeCase(Part):
    """A hard case decided once for all."""

    when: Text
    then: LabelRef
    """The label of such an item; for multi-label a list, empty for none; for tasks without a
    label set what to answer, in words."""
    why: str = ""


class Question(Part):
    """One question of the decision tree."""

    ask: Text
    yes: Branch
    no: Branch | None = None
    """Without it the next question is asked."""


class Mistake(Part):
    """What annotators get wrong, and what is right."""

    mistake: Text
    correction: Text


class Ruling(Part):
    """An adjudication kept as case law."""

    id: Text
    text: Text
    """The item it was decided on."""
    label: LabelRef
    why: str = ""
