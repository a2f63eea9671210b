"""Attribute extraction: typed fields of an item, each a vote of its own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from prelabel.guideline import ABSTAIN, fold
from prelabel.normalize import as_date, as_number, normalize
from prelabel.records import Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import UNWRITABLE, WHY_UNWRITABLE, answer_model, need_json, stay

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line
    from prelabel.guideline_parts import FieldDefinition
    from prelabel.measures import Measures
    from prelabel.splitting import Part

ABSENT = ""
"""The vote of an annotator that finds no value for a field."""

RATIONALE = "rationale"

KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
"""The names that every provider takes in a JSON schema; Anthropic and Bedrock take no others."""


class Extraction(Task):
    """``{field: value}`` in the guideline's order, without the fields that have no value.

    A number is an int or a float, a date YYYY-MM-DD, a list sorted and without repeats. A field
    without a value is ``""`` among the votes; a list is JSON text there.
    """

    name = "extraction"
    level: Level = "nominal"
    splits = True

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        self.fields: dict[str, FieldDefinition] = {f.name: f for f in guideline.fields}

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with every field, those that may have no value nullable."""
        # A name may be none in Python, or one of pydantic's own.
        fields: dict[str, Any] = {
            f"field_{at}": (Annotated[Any, WithJsonSchema(_schema(field))], Field(alias=name))
            for at, (name, field) in enumerate(self.fields.items())
        }
        return answer_model(fields, rationale=rationale, abstain=bool(self.guideline.abstain))

    def read(self, answer: BaseModel, item: Item) -> Reading:
        """Return the fields that have a value; a part of a long item may lack required ones."""
        stay(answer, self.guideline)
        given = {name: getattr(answer, f"field_{at}") for at, name in enumerate(self.fields)}
        label = self._normalised(given)
        if "part" not in item.meta:
            self._require(label)
        return Reading(label)

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return the fields of a recorded object or of its JSON text."""
        found = need_json(raw) if isinstance(raw, str) else raw
        if not isinstance(found, Mapping):
            raise OffListError(f"{shorten(raw)} is not an object of fields")
        names = {fold(name): name for name in self.fields}
        given: dict[str, Any] = {}
        for key, value in found.items():
            name = key if key in self.fields else names.get(fold(str(key)))
            if name is None and key in {RATIONALE, ABSTAIN} and value is not True:
                continue
            if name is None or name in given:
                known = ", ".join(self.fields)
                why = "is there twice" if name else f"is not one of the fields: {known}"
                raise OffListError(f"{shorten(key)} {why}")
            given[name] = value
        label = self._normalised(given)
        self._require(label)
        return label

    def _normalised(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the normalised values of the fields that have one."""
        found = {}
        for name, field in self.fields.items():
            try:
                value = read_value(field, given.get(name))
            except ValueError as error:
                raise OffListError(f"field {name!r}: {error}") from None
            if value is not None:
                found[name] = value
        return found

    def _require(self, label: Mapping[str, Any]) -> None:
        lacking = [n for n, field in self.fields.items() if field.required and n not in label]
        if lacking:
            named = ", ".join(map(repr, lacking))
            raise OffListError(f"no value for {named}, which every {self.guideline.item} has")

    def answer(self, label: Label) -> dict[str, Any]:
        """Return every field, null or an empty list where there is no value."""
        full: dict[str, Any] = {ABSTAIN: False} if self.guideline.abstain else {}
        for name, field in self.fields.items():
            full[name] = label.get(name, [] if field.type == "list" else None)
        return full

    def units(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(self.fields)

    def values(self, unit: str = "") -> tuple[Value, ...] | None:
        """Return an enum's values and ``""`` for none; None for a field of any other type."""
        field = self.fields.get(unit)
        return (*field.values, ABSENT) if field and field.type == "enum" else None

    def votes(self, label: Label) -> Votes:
        """Return a vote for every field; ``""`` where there is no value."""
        return {name: _dump(label.get(name, ABSENT)) for name in self.fields}

    def from_votes(self, votes: Votes) -> Label:
        """Return the fields that have a value; one that was left open has none."""
        label = {}
        for name, field in self.fields.items():
            value = votes.get(name, ABSENT)
            if value != ABSENT:
                label[name] = json.loads(str(value)) if field.type == "list" else value
        return label

    def align(self, votes: Mapping[str, Votes]) -> Mapping[str, Votes]:
        """Give texts that are equal by their field's rules one spelling, the most frequent."""
        labels = {annotator: self.from_votes(given) for annotator, given in votes.items()}
        for name, field in self.fields.items():
            if field.type not in {"string", "list"} or field.values:
                continue
            texts = (text for label in labels.values() for text in _texts(label.get(name)))
            spelling = _spellings(texts, field)
            for label in labels.values():
                if name in label:
                    label[name] = _respell(label[name], spelling)
        return {
            annotator: {u: vote for u, vote in self.votes(label).items() if u in votes[annotator]}
            for annotator, label in labels.items()
        }

    def overlap(self, a: Label, b: Label) -> tuple[float, float]:
        """Return the number of fields with equal values, or with none in both, and of fields."""
        equal = [same(field, a.get(name), b.get(name)) for name, field in self.fields.items()]
        return sum(equal), len(equal)

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether all fields are equal after normalisation."""
        equal, fields = self.overlap(gold, given)
        return equal == fields

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Compare field by field; values are equal if they are after normalisation.

        ``field_accuracy`` counts a field without a value in both as right, ``field_f1`` counts
        values only: a wrong value is both one too many and one missed.
        """
        from prelabel.measures import Measures, counted, mean

        pairs = list(zip(gold, given, strict=True))
        equal = [
            [same(field, a.get(name), b.get(name)) for name, field in self.fields.items()]
            for a, b in pairs
        ]
        support = [[name in a for name in self.fields] for a, _ in pairs]
        predicted = [[name in b for name in self.fields] for _, b in pairs]
        hits = [
            [s and e for s, e in zip(has, row, strict=True)]
            for has, row in zip(support, equal, strict=True)
        ]
        found, labels = counted(self.units(), support, predicted, hits, seed)
        accuracy = mean([sum(row) / len(row) for row in equal], seed)
        metrics = {"field_accuracy": accuracy, "field_f1": found["f1"]}
        return Measures([all(row) for row in equal], metrics, labels)

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:  # noqa: ARG002
        """Return the value that most parts give, the earlier one of a tie; of lists, all entries.

        A part that gives none has no say. Raises ``OffListError`` where no part has a value that
        is required.
        """
        label = {}
        for name, field in self.fields.items():
            values = [reading.label[name] for reading in readings if name in reading.label]
            if field.type == "list":
                values = [_distinct((text for value in values for text in value), field)]
            if values and values[0] != []:
                keys = [_key(field, value) for value in values]
                label[name] = values[keys.index(max(keys, key=keys.count))]
        self._require(label)
        return Reading(label)


def read_value(field: FieldDefinition, raw: Any) -> Any:
    """Return a field's value as it is stored; None where ``raw`` says that there is none.

    None is null, an empty text or list, and the word ``null`` unless it is one of the values.
    Raises ``ValueError`` with a reason for what is not of the field's type.
    """
    if raw is None or (isinstance(raw, str) and (not raw.strip() or _is_null(field, raw))):
        return None
    if field.type == "list":
        return _read_list(field, raw) or None
    try:
        return _read_scalar(field, raw)
    except ValueError as error:
        raise ValueError(f"{shorten(raw)} {error}") from None


def _is_null(field: FieldDefinition, raw: str) -> bool:
    return raw == "null" and raw not in field.values


def _read_scalar(field: FieldDefinition, raw: Any) -> Value:
    if field.type == "number":
        return as_number(raw)
    if field.type == "date":
        return as_date(raw)
    if not isinstance(raw, str):
        raise ValueError("is not a text")  # noqa: TRY004  # one error for all that is refused
    if UNWRITABLE.search(raw):
        raise ValueError(WHY_UNWRITABLE)
    if not field.values:
        return normalize(raw, ())
    for value in field.values:
        if fold(value) == fold(raw):
            return value
    raise ValueError(f"is not one of: {', '.join(field.values)}")


def _read_list(field: FieldDefinition, raw: Any) -> list[str]:
    if isinstance(raw, str):
        raw = need_json(raw) if raw.lstrip().startswith("[") else [raw]
    if not isinstance(raw, list | tuple):
        raise ValueError(f"{shorten(raw)} is not a list of texts")  # noqa: TRY004
    texts = []
    for entry in raw:
        try:
            texts.append(str(_read_scalar(field.model_copy(update={"type": "string"}), entry)))
        except ValueError as error:
            raise ValueError(f"{shorten(entry)} {error}") from None
    return _distinct((text for text in texts if text), field)


def _distinct(texts: Iterable[str], field: FieldDefinition) -> list[str]:
    """Return texts sorted; of those that are equal by the field's rules, the first spelling."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(normalize(text, field.normalize), text)
    return sorted(first.values())


def same(field: FieldDefinition, a: Any, b: Any) -> bool:
    """Say whether two values of a field are equal by its rules; None is equal to None alone."""
    return bool(_key(field, a) == _key(field, b))


def _key(field: FieldDefinition, value: Any) -> Any:
    """Return what makes a value equal to others."""
    if isinstance(value, str):
        return normalize(value, field.normalize if field.type == "string" else ())
    if isinstance(value, list):
        return frozenset(normalize(text, field.normalize) for text in value)
    return value


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _spellings(texts: Iterable[str], field: FieldDefinition) -> dict[str, str]:
    """Map each spelling to the most frequent one of those equal to it; ties: the smallest."""
    counts = Counter(texts)
    groups: dict[str, list[str]] = {}
    for text in counts:
        groups.setdefault(normalize(text, field.normalize), []).append(text)
    best = {key: min(group, key=lambda t: (-counts[t], t)) for key, group in groups.items()}
    return {text: best[key] for key, group in groups.items() for text in group}


def _respell(value: Any, spelling: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return sorted(spelling[text] for text in value)
    return spelling[value]


def _dump(value: Any) -> Value:
    vote: Value = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
    return vote


def _schema(field: FieldDefinition) -> dict[str, Any]:
    """Return the JSON Schema of a field, of the kind that strict modes take."""
    if field.type == "list":
        entry = {"type": "string"} | ({"enum": list(field.values)} if field.values else {})
        return {"type": "array", "items": entry}
    kind = "number" if field.type == "number" else "string"
    found: dict[str, Any] = {"type": kind if field.required else [kind, "null"]}
    if field.type == "enum":
        found["enum"] = [*field.values, *([] if field.required else [None])]
    if field.type == "date":
        found["description"] = "YYYY-MM-DD"
    return found


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield what is wrong with the fields."""
    from prelabel.guideline_fields import Finding

    if not guideline.fields:
        yield Finding(line("fields"), "error", "no fields; write what is looked for in an item")
    first: dict[str, int] = {}
    for index, field in enumerate(guideline.fields):
        here = line("fields", index, "name")
        if (line0 := first.setdefault(fold(field.name), here)) != here:
            why = f"field {field.name!r} is there twice (first on line {line0}); rename one"
            yield Finding(here, "error", why)
        if field.name in {RATIONALE, ABSTAIN}:
            why = f"a field cannot be called {field.name!r}, which answers use; rename it"
            yield Finding(here, "error", why)
        if not KEY.fullmatch(field.name):
            why = (
                f"field {field.name!r}: some providers take no name with other characters than "
                "a-z, A-Z, 0-9, '_', '.' and '-', or longer than 64; rename it, and put the "
                "wording into its definition"
            )
            yield Finding(here, "warning", why)
        if not field.definition:
            why = f"field {field.name!r} has no definition; say what belongs in it"
            yield Finding(here, "warning", why)
        for key, why in _misfits(field):
            yield Finding(line("fields", index, key), "error", why)


def _misfits(field: FieldDefinition) -> Iterator[tuple[str, str]]:
    """Yield what a field declares that does not go with its type."""
    closed = field.type == "enum"
    if closed and not field.values:
        yield "type", f"enum {field.name!r} has no values; write its values, or make it a string"
    if field.values and field.type not in {"enum", "list"}:
        why = f"field {field.name!r} is a {field.type} with values; make it an enum"
        yield "values", why
    folded = Counter(map(fold, field.values))
    for value in field.values:
        if folded.pop(fold(value), 0) > 1:
            yield "values", f"field {field.name!r} has the value {value!r} twice; keep one"
    if field.normalize and (field.values or field.type not in {"string", "list"}):
        why = f"field {field.name!r}: only strings and open lists are normalised; take it out"
        yield "normalize", why
