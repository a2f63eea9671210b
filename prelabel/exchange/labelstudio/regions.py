"""Regions: spans over a ``Text`` tag, and relations between them, as results and back."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prelabel.errors import InputError
from prelabel.records import Item

Span = dict[str, Any]
"""``{"start", "end", "text", "label"}``, and for a given span ``id``; offsets in code points."""

NO_LABEL = "span"
"""What a given span without a label is called."""


def text_field(fields: Iterable[str], given: str = "") -> str:
    """Return the name of the field that spans stand in: ``text``, or else the first."""
    texts = [name for name in fields if name != given]
    if not texts:
        raise InputError("Label Studio: no text field for spans; name the items' text field")
    return "text" if "text" in texts else texts[0]


def given_spans(item: Item, name: str) -> list[Span]:
    """Return the spans that an item comes with, as its field ``name`` lists them in JSON.

    Raises ``InputError`` where they have no place in the text, or where two cannot be told apart.
    """
    text = item.fields[text_field(item.fields, name)]
    try:
        listed = json.loads(item.fields.get(name, ""))
        spans = [_given(entry, text) for entry in listed]
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"Label Studio: item {item.id!r}: field {name!r} is no JSON list of spans with id, "
            "start and end in the text; write them there"
        ) from None
    places: dict[tuple[int, int, str], str] = {}
    for span in spans:
        first = places.setdefault((span["start"], span["end"], span["label"]), span["id"])
        if first != span["id"]:
            raise InputError(
                f"Label Studio: item {item.id!r}: given spans {first!r} and {span['id']!r} have "
                "one place and label, so that nobody could tell them apart; keep one"
            )
    return spans


def _given(entry: Mapping[str, Any], text: str) -> Span:
    start, end = entry["start"], entry["end"]
    covered = text[start:end]
    if not 0 <= start < end <= len(text) or entry.get("text", covered) != covered:
        raise ValueError
    label = str(entry.get("label") or NO_LABEL)
    name = unicodedata.normalize("NFC", str(entry["id"])).strip()  # as relations name it
    return {"id": name, "start": start, "end": end, "text": covered, "label": label}


def region_value(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of the result for a span."""
    return {
        "start": span["start"],
        "end": span["end"],
        "text": span["text"],
        "labels": [span["label"]],
    }


def relation_results(
    relations: Iterable[Mapping[str, str]], ids: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the results for relations, ``ids`` being the results' ids of the spans.

    All labels of one pair stand in one result: the editor drops a second one as a duplicate.
    """
    pairs: dict[tuple[str, str], list[str]] = {}
    for one in relations:
        pairs.setdefault((one["head"], one["tail"]), []).append(one["label"])
    for (head, tail), labels in pairs.items():
        yield {
            "from_id": ids[head],
            "to_id": ids[tail],
            "type": "relation",
            "direction": "right",
            "labels": labels,
        }


# Reading


def read_spans(
    results: Sequence[Mapping[str, Any]], data: Mapping[str, Any], place: str
) -> dict[str, list[Span]]:
    """Return the spans of ``Labels`` results by the result's id, a span for each label.

    A span whose covered text is not where its offsets say keeps the text, so that the task refuses
    it. Raises ``InputError`` for a result that is not one over a text of the task.
    """
    found = [_region(result, data, place) for result in results]
    if not _fit(found):
        converted = [_converted(*each) for each in found]
        if _fit(converted):
            found = converted
    spans: dict[str, list[Span]] = {}
    for result, (value, text) in zip(results, found, strict=True):
        start, end, covered = value["start"], value["end"], value.get("text")
        if covered is None or _same(text[start:end], covered):
            covered = text[start:end]
        spans.setdefault(str(result.get("id")), []).extend(
            {"start": start, "end": end, "text": covered, "label": label}
            for label in value["labels"]
        )
    return spans


def _region(
    result: Mapping[str, Any], data: Mapping[str, Any], place: str
) -> tuple[dict[str, Any], str]:
    value, text = result.get("value"), data.get(str(result.get("to_name")))
    if not isinstance(text, str):
        raise InputError(
            f"{place}: its spans are on tag {result.get('to_name')!r}, and the task's data has no "
            "text of this name; import tasks that prelabel exported"
        )
    if (
        not isinstance(value, dict)
        or not all(type(value.get(key)) is int and value[key] >= 0 for key in ("start", "end"))
        or not isinstance(value.get("labels"), list)
        or not isinstance(value.get("text"), str | None)
    ):
        raise InputError(f"{place}: has a span without start, end and labels; export it again")
    return value, text


def _fit(regions: Iterable[tuple[Mapping[str, Any], str]]) -> bool:
    return all(
        value.get("text") is None or _same(text[value["start"] : value["end"]], value["text"])
        for value, text in regions
    )


def _converted(value: Mapping[str, Any], text: str) -> tuple[dict[str, Any], str]:
    """Read the offsets as UTF-16 units; kept as they are where they cannot be."""
    start, end = from_utf16(text, value["start"]), from_utf16(text, value["end"])
    if start is None or end is None:
        return dict(value), text
    return {**value, "start": start, "end": end}, text


def from_utf16(text: str, units: int) -> int | None:
    """Return how many code points the first UTF-16 units of a text are; None within one."""
    coded = text.encode("utf-16-le", "surrogatepass")
    if 2 * units > len(coded):
        return None
    try:
        return len(coded[: 2 * units].decode("utf-16-le"))
    except UnicodeDecodeError:
        return None


def _same(covered: str, said: str) -> bool:
    """Compare but for white space; the editor writes a line end as a backslash and an n."""
    return _plain(covered) == _plain(said)


def _plain(text: str) -> str:
    return re.sub(r"(\\n|\s)+", " ", text).strip()


def read_relations(
    results: Iterable[Mapping[str, Any]],
    spans: Mapping[str, Sequence[Span]],
    given: Iterable[Mapping[str, Any]],
    place: str,
) -> list[dict[str, Any]]:
    """Return the relations between given spans; ``spans`` are those of the results by id.

    A relation that goes both ways counts twice. One without a label has the label None, and one of
    a span that was not given names its place: the task refuses both.
    """
    by_label = {(one["start"], one["end"], one["label"]): str(one["id"]) for one in given}
    by_place: dict[tuple[int, int], set[str]] = {}
    for (start, end, _), name in by_label.items():
        by_place.setdefault((start, end), set()).add(name)

    def name_of(result_id: Any) -> str:
        known = spans.get(str(result_id))
        if not known:
            raise InputError(f"{place}: a relation's span is missing; export it again")
        start, end = known[0]["start"], known[0]["end"]
        exact = [by_label[key] for s in known if (key := (start, end, s["label"])) in by_label]
        there = exact or list(by_place.get((start, end), ()))
        return there[0] if len(there) == 1 else f"{start} to {end}"

    found: list[dict[str, Any]] = []
    for result in results:
        ends = name_of(result.get("from_id")), name_of(result.get("to_id"))
        turned = {"left": [ends[::-1]], "bi": [ends, ends[::-1]]}
        found += [
            {"head": head, "label": label, "tail": tail}
            for head, tail in turned.get(str(result.get("direction")), [ends])
            for label in result.get("labels") or [None]
        ]
    return found
