"""Relations between spans that are given with each item."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, StrictInt, WithJsonSchema, create_model

from prelabel.errors import InputError
from prelabel.guideline import ABSTAIN, fold
from prelabel.records import Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import (
    answer_model,
    json_of,
    need_json,
    refuse_unwritable,
    stay,
    text_schema,
)

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line
    from prelabel.measures import Measures

HEAD, LABEL, TAIL = "head", "label", "tail"
RELATIONS = "relations"

Triple = tuple[str, str, str]
"""Head, label and tail."""


@dataclass(frozen=True, slots=True)
class GivenSpan:
    """A span that an item comes with; ``label`` is None where the item is not at hand."""

    id: str
    text: str
    label: str | None


class Relations(Task):
    """``[{"head": id, "label": relation, "tail": id}, …]``, sorted, none twice.

    A unit is the JSON text of ``[head, label, tail]``; its value says whether the relation holds.
    """

    name = "relations"
    level: Level = "nominal"
    needs_item = True

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        self.labels = guideline.label_names
        self.ends = {label.name: (label.head, label.tail) for label in guideline.labels}

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``relations``, after a short ``rationale`` where asked for."""
        text = {"type": "string"}
        entry = {
            "type": "object",
            "properties": {HEAD: text, LABEL: text_schema(self.labels), TAIL: text},
            "required": [HEAD, LABEL, TAIL],
            "additionalProperties": False,
        }
        # Ids that are numbers are answered as numbers where the schema is not enforced.
        end = str | StrictInt
        relation = create_model("Relation", head=(end, ...), label=(str, ...), tail=(end, ...))
        schema = WithJsonSchema({"type": "array", "items": entry})
        listed = Annotated[list[relation], schema]
        return answer_model(
            {RELATIONS: (listed, ...)}, rationale=rationale, abstain=bool(self.guideline.abstain)
        )

    def views(self, item: Item) -> Sequence[Item]:
        """Return the item alone, the texts of its spans filled in from their offsets.

        Raises ``InputError`` where its spans cannot be read, or are not where they say.
        """
        name = self.guideline.given
        try:
            spans = given_spans(item, name)
        except ValueError as error:
            raise InputError(f"item {item.id!r}: {error}") from None
        entries = json_of(item.fields[name]) or []
        told = [entry | {"text": spans[_id(entry["id"])].text} for entry in entries]
        if told == entries:
            return (item,)
        shown = json.dumps(told, ensure_ascii=False)
        return (replace(item, fields={**item.fields, name: shown}),)

    def read(self, answer: BaseModel, item: Item) -> Reading:
        """Return the relations between spans of ``item``.

        One with an id that the item lacks, or between spans that the guideline does not join so, is
        left out and listed in ``extras["ungrounded"]``. Raises ``OffListError`` if none is left,
        and for a relation that the guideline lacks.
        """
        stay(answer, self.guideline)
        relations = answer.relations  # type: ignore[attr-defined]
        given = [(str(r.head), r.label, str(r.tail)) for r in relations]
        label, lost = self._ground(given, item)
        if lost and not label:
            raise OffListError("; ".join(f"{each['text']}: {each['why']}" for each in lost))
        return Reading(label, {"ungrounded": lost} if lost else {})

    def match(self, raw: Any, item: Item | None = None) -> Label:
        """Return the relations of a recorded list, or of its JSON text.

        Without ``item`` their ids, and the labels of their spans, cannot be checked.
        """
        found = need_json(raw) if isinstance(raw, str) else raw
        if isinstance(found, Mapping) and RELATIONS in found:
            found = found[RELATIONS]
        if not isinstance(found, list | tuple):
            raise OffListError(f"{shorten(raw)} is not a list of relations")
        label, lost = self._ground([_triple(entry) for entry in found], item)
        if lost:
            raise OffListError("; ".join(f"{each['text']}: {each['why']}" for each in lost))
        return label

    def _ground(
        self, given: Sequence[Triple], item: Item | None
    ) -> tuple[Label, list[dict[str, str]]]:
        """Return the relations that can hold in ``item``, and the others with the reason."""
        spans = given_spans(item, self.guideline.given) if item else None
        found: set[Triple] = set()
        lost = []
        for head, raw, tail in given:
            refuse_unwritable(head + tail)
            name = self.guideline.match(raw)
            if name is None:
                raise OffListError(f"{shorten(raw)} is not one of: {', '.join(self.labels)}")
            first, second = _find(spans, head), _find(spans, tail)
            if first and second:
                why = self._objection(first, name, second)
                triple = (first.id, name, second.id)
            else:
                why = f"the {self.guideline.item} has no span {(tail if first else head)!r}"
                triple = (head, name, tail)
            if why:
                lost.append({"text": " ".join(triple), "label": name, "why": why})
            else:
                found.add(triple)
        return _label(found), lost

    def _objection(self, head: GivenSpan, name: str, tail: GivenSpan) -> str:
        """Say why the guideline does not allow a relation between two spans; "" where it does."""
        if head.id == tail.id:
            return "a span has no relation to itself"
        for role, span, allowed in zip((HEAD, TAIL), (head, tail), self.ends[name], strict=True):
            if allowed and span.label is not None and fold(span.label) not in map(fold, allowed):
                given = span.label or "without a label"
                return f"the {role} must be {' or '.join(allowed)}, and {span.id} is {given}"
        return ""

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{"relations": [{"head": id, "label": name, "tail": id}, …]}``."""
        full: dict[str, Any] = {ABSTAIN: False} if self.guideline.abstain else {}
        return full | {RELATIONS: [dict(relation) for relation in label]}

    def units(self) -> tuple[str, ...]:
        """Return nothing: which relations may be named depends on the item."""
        return ()

    def values(self, unit: str = "") -> tuple[Value, ...]:  # noqa: ARG002
        """Return True and False."""
        return (True, False)

    def votes(self, label: Label) -> Votes:
        """Return True for each relation."""
        return {json.dumps(each, ensure_ascii=False): True for each in _triples(label)}

    def from_votes(self, votes: Votes) -> Label:
        """Return the relations whose unit is True."""
        return _label(json.loads(unit) for unit, holds in votes.items() if holds)

    def align(self, votes: Mapping[str, Votes]) -> Mapping[str, Votes]:
        """Give every relation that one annotator named a vote of each: False of the others."""
        units = sorted({unit for given in votes.values() for unit in given})
        return {
            name: {unit: given.get(unit, False) for unit in units} for name, given in votes.items()
        }

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether both have exactly the same relations."""
        return set(_triples(gold)) == set(_triples(given))

    def overlap(self, a: Label, b: Label) -> tuple[float, float]:
        """Return twice the relations that both have, and all of both: their ratio is F1."""
        return 2 * len(set(_triples(a)) & set(_triples(b))), len(a) + len(b)

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Count relations: right are those with gold's head, label and tail."""
        from prelabel.measures import Measures, counted

        pairs = [(set(_triples(a)), set(_triples(b))) for a, b in zip(gold, given, strict=True)]

        def by_name(found: Iterable[set[Triple]]) -> list[list[int]]:
            return [[sum(each[1] == name for each in one) for name in self.labels] for one in found]

        support, predicted = by_name(a for a, _ in pairs), by_name(b for _, b in pairs)
        hits = by_name(a & b for a, b in pairs)
        found, labels = counted(self.labels, support, predicted, hits, seed)
        metrics = {f"exact_{name}": found[name] for name in ("f1", "precision", "recall")}
        return Measures([a == b for a, b in pairs], metrics, labels)


def given_spans(item: Item, name: str) -> dict[str, GivenSpan]:
    """Return the spans that a field of ``item`` holds as JSON text, by id.

    Raises ``OffListError``, with what to mend, where they cannot be read.
    """
    if name not in item.fields:
        fields = ", ".join(item.fields)
        raise OffListError(f"no field {name!r} with the given spans (there are: {fields}); add it")
    form = '[{"id": "T1", "text": "Ann", "label": "person"}]'
    entries = json_of(item.fields[name])
    if entries is None:
        raise OffListError(f"field {name!r} is not JSON; write spans as {form}")
    spans: dict[str, GivenSpan] = {}
    for entry in entries if isinstance(entries, list) else [None]:
        if not isinstance(entry, dict) or not _is_id(entry.get("id")):
            raise OffListError(f"field {name!r} is no list of spans with ids; write {form}")
        label = entry.get(LABEL)
        text = _covered(entry, item, name)
        span = GivenSpan(_id(entry["id"]), text, "" if label is None else str(label))
        if span.id in spans:
            raise OffListError(f"field {name!r} has the id {span.id!r} twice; give each its own")
        spans[span.id] = span
    return spans


def _covered(entry: Mapping[str, Any], item: Item, name: str) -> str:
    """Return the text of a given span, from its offsets where it has them."""
    said, start, end = entry.get("text"), entry.get("start"), entry.get("end")
    if not (isinstance(start, int) and isinstance(end, int)):
        return "" if said is None else str(said)
    others = [field for field in item.fields if field != name]
    where = "text" if "text" in others else next(iter(others), "")
    text = item.fields.get(where, "")
    if not 0 <= start < end <= len(text):
        raise OffListError(
            f"span {_id(entry['id'])!r}: {start} to {end} is not within the {len(text)} characters "
            f"of {where!r}; mend its offsets"
        )
    if said not in (None, text[start:end]):
        raise OffListError(
            f"span {_id(entry['id'])!r}: {start} to {end} of {where!r} is "
            f"{shorten(text[start:end], 40)}, not {shorten(said, 40)}; mend one of them"
        )
    return text[start:end]


def _find(spans: Mapping[str, GivenSpan] | None, raw: str) -> GivenSpan | None:
    """Return the span with an id, also if only its case differs; any, where none are known."""
    wanted = _id(raw)
    if spans is None:
        return GivenSpan(wanted, "", None)
    if wanted in spans:
        return spans[wanted]
    near = [span for span in spans.values() if fold(span.id) == fold(wanted)]
    return near[0] if len(near) == 1 else None


def _is_id(raw: Any) -> bool:
    return isinstance(raw, str) or (isinstance(raw, int) and not isinstance(raw, bool))


def _id(raw: Any) -> str:
    return unicodedata.normalize("NFC", str(raw)).strip()


def _triple(entry: Any) -> Triple:
    """Return head, label and tail of a recorded relation."""
    if isinstance(entry, Mapping) and {HEAD, LABEL, TAIL} <= set(entry):
        entry = [entry[HEAD], entry[LABEL], entry[TAIL]]
    if not isinstance(entry, list | tuple) or len(entry) != 3:
        raise OffListError(f"{shorten(entry)} is not a relation with head, label and tail")
    head, label, tail = entry
    if not (_is_id(head) and isinstance(label, str) and _is_id(tail)):
        raise OffListError(f"{shorten(entry)}: head, label and tail must be texts")
    return str(head), label, str(tail)


def _label(triples: Iterable[Triple]) -> Label:
    return [dict(zip((HEAD, LABEL, TAIL), each, strict=True)) for each in sorted(triples)]


def _triples(label: Label) -> list[Triple]:
    return [(each[HEAD], each[LABEL], each[TAIL]) for each in label]


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield what is wrong with the ends of relations."""
    from prelabel.guideline_fields import Finding

    known: dict[str, str] = {}
    for example in guideline.examples:
        try:
            spans = given_spans(Item("example", example.shown), guideline.given)
        except OffListError:  # said of its answer already
            continue
        known |= {fold(span.label): span.label for span in spans.values() if span.label}
    for index, label in enumerate(guideline.labels):
        for role, allowed in ((HEAD, label.head), (TAIL, label.tail)):
            for name in allowed:
                if known and fold(name) not in known:
                    yield Finding(
                        line("labels", index, role),
                        "warning",
                        f"no example has a span {name!r}, which {label.name!r} takes as {role}; "
                        f"add one, or write a label that spans have: {', '.join(known.values())}",
                    )
