"""Spans: parts of a text with labels; an annotator names them, where they stand is found here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, WithJsonSchema, create_model

from prelabel.errors import InputError
from prelabel.grounding import Mention, Span, ground, hints_of
from prelabel.guideline import ABSTAIN
from prelabel.records import Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import STRICT, answer_model, json_of, one_of, refuse_unwritable, stay

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line
    from prelabel.measures import Measures
    from prelabel.splitting import Part

SHAPES = "[start, end, label] or {start, end, label} or {text, label}"


class Spans(Task):
    """A list of spans in the text's order; a unit a span, True for those who marked it."""

    name = "spans"
    level: Level = "nominal"
    splits = True
    needs_item = True

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        self.labels = guideline.label_names

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``spans``, each with ``text``, ``label`` and ``hint``."""
        name = one_of(self.labels)
        entry: dict[str, Any] = {"text": (str, ...), "label": (name, ...), "hint": (str, ...)}
        span = create_model("Span", __config__=STRICT, **entry)
        # written out where it is used: not every provider follows references
        inline = WithJsonSchema({"type": "array", "items": span.model_json_schema()})
        return answer_model(
            {"spans": (Annotated[list[span], inline], ...)},
            rationale=rationale,
            abstain=bool(self.guideline.abstain),
        )

    def read(self, answer: BaseModel, item: Item) -> Reading:
        """Return the spans found in the item's text; those that are not there are ungrounded.

        Raises ``OffListError`` where a label is not declared, or no span at all is in the text.
        """
        stay(answer, self.guideline)
        given: list[Any] = answer.spans  # type: ignore[attr-defined]
        for span in given:
            refuse_unwritable(span.text)
        mentions = [Mention(span.text, self._name(span.label), span.hint) for span in given]
        spans, ungrounded = ground(text_of(item), mentions, overlap=self.guideline.overlap)
        if mentions and not spans:
            raise OffListError(_not_found(ungrounded))
        return Reading(spans, {"ungrounded": ungrounded} if ungrounded else {})

    def match(self, raw: Any, item: Item | None = None) -> Label:
        """Return the spans of a recorded value or a gold cell, every one of them or none.

        ``raw`` is a list of ``{start, end, label, text}`` (the text may be missing), of
        ``[start, end, label]``, or of ``{text, label, hint}`` (the hint may be missing); such a
        list under ``spans``; JSON text of these; or IOB tags of the tokens in ``item.meta``.
        Without an item only ``{start, end, label, text}`` can be read.
        """
        found = _listed(raw)
        if found and all(isinstance(entry, str) for entry in found):
            entries: list[Any] = self._tagged(found, item)
        else:
            entries = found
        if entries and all(
            isinstance(e, dict) and not {"start", "end"} & e.keys() for e in entries
        ):
            return self._grounded(entries, item)
        return self._checked([self._span(entry, item) for entry in entries])

    def worked(self, label: Label, item: Item) -> dict[str, Any]:
        """Return the answer with hints where a text stands in the item more than once."""
        return self.answer(label, item)

    def answer(self, label: Label, item: Item | None = None) -> dict[str, Any]:
        """Return ``{"spans": [{"text", "label", "hint"}, …]}``.

        The hint is empty where the item is not given, or the text stands in it once only.
        """
        text = text_of(item) if item else ""
        head: dict[str, Any] = {ABSTAIN: False} if self.guideline.abstain else {}
        places = [(span["start"], span["end"]) for span in label]
        hints = hints_of(text, places) if item else [""] * len(places)
        spans = [
            {"text": span["text"], "label": span["label"], "hint": hint}
            for span, hint in zip(label, hints, strict=True)
        ]
        return head | {"spans": spans}

    def values(self, unit: str = "") -> tuple[Value, ...]:  # noqa: ARG002
        """Return True and False."""
        return (True, False)

    def votes(self, label: Label) -> Votes:
        """Return True for each span, its unit the JSON of start, end, label and text."""
        return {
            json.dumps([s["start"], s["end"], s["label"], s["text"]], ensure_ascii=False): True
            for s in label
        }

    def from_votes(self, votes: Votes) -> Label:
        """Return the spans whose unit is True."""
        found = [json.loads(unit) for unit, value in votes.items() if value is True]
        return _sorted(
            {"start": start, "end": end, "text": text, "label": label}
            for start, end, label, text in found
        )

    def align(self, votes: Mapping[str, Votes]) -> Mapping[str, Votes]:
        """Give False to a span that another annotator marked and this one did not."""
        from prelabel.span_scores import filled

        return filled(votes)

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Return exact, partial and type F1 over spans, and exact F1 of each label."""
        from prelabel.span_scores import entity_scores

        return entity_scores(gold, given, self.labels, seed)

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether both have exactly the same spans."""
        return {_key(span) for span in gold} == {_key(span) for span in given}

    def overlap(self, a: Label, b: Label) -> tuple[float, float]:
        """Return ``(2 |A and B|, |A| + |B|)`` of exact spans: their ratio is F1."""
        from prelabel.span_scores import shared

        return shared(a, b)

    def units(self) -> tuple[str, ...]:
        """Return nothing: which spans there may be is not declared."""
        return ()

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:
        """Return the spans of all parts, at their place in the whole text.

        Where parts overlap, a span may be found twice, or cut by the edge of a part: the longer
        one stays.
        """
        found: dict[tuple[int, int, str], tuple[Span, bool]] = {}
        ungrounded = []
        for part, reading in zip(parts, readings, strict=True):
            cut_here = part.field == text_field(part.item)
            shift, length = (part.start, part.end - part.start) if cut_here else (0, -1)
            for span in reading.label:
                at_edge = (span["start"] == 0 < part.start) or (
                    span["end"] == length and part.end < parts[-1].end
                )
                moved = span | {"start": span["start"] + shift, "end": span["end"] + shift}
                found.setdefault(_key(moved), (moved, at_edge and cut_here))
            ungrounded += reading.extras.get("ungrounded", [])
        kept: list[Span] = []
        for span, at_edge in sorted(found.values(), key=lambda f: _longest_first(f[0])):
            if not any(self._clash(longer, span, at_edge) for longer in kept):
                kept.append(span)
        return Reading(_sorted(kept), {"ungrounded": ungrounded} if ungrounded else {})

    def _clash(self, longer: Span, span: Span, at_edge: bool) -> bool:
        """Return whether two spans cannot both stand; where spans may overlap, only if cut."""
        if longer["end"] <= span["start"] or span["end"] <= longer["start"]:
            return False
        return not self.guideline.overlap or (at_edge and longer["label"] == span["label"])

    def _name(self, raw: Any) -> str:
        name = self.guideline.match(raw) if isinstance(raw, str) else None
        if name is None:
            raise OffListError(f"label {shorten(raw)} is not one of: {', '.join(self.labels)}")
        return name

    def _grounded(self, entries: Sequence[Mapping[str, Any]], item: Item | None) -> Label:
        """Return the spans of mentions."""
        mentions = []
        for entry in entries:
            text, hint = entry.get("text"), entry.get("hint", "")
            if not isinstance(text, str) or not isinstance(hint, str):
                raise OffListError(f"{shorten(entry)} is not a span; write {SHAPES}")
            mentions.append(Mention(text, self._name(entry.get("label")), hint))
        if item is None:
            raise OffListError("where a span stands can be found only with its item")
        spans, ungrounded = ground(text_of(item), mentions, overlap=self.guideline.overlap)
        if ungrounded:
            raise OffListError(_not_found(ungrounded))
        return spans

    def _span(self, entry: Any, item: Item | None) -> Span:
        """Return one span of given offsets, checked against the item's text."""
        if isinstance(entry, (list, tuple)) and len(entry) in {3, 4}:
            entry = dict(zip(("start", "end", "label", "text"), entry, strict=False))
        if not isinstance(entry, dict):
            raise OffListError(f"{shorten(entry)} is not a span; write {SHAPES}")
        start, end = _offset(entry.get("start")), _offset(entry.get("end"))
        covered, label = entry.get("text"), self._name(entry.get("label"))
        if start is None or end is None or not (covered is None or isinstance(covered, str)):
            raise OffListError(f"{shorten(entry)} is not a span; write {SHAPES}")
        if item is None:
            if covered is None or len(covered) != end - start or not covered:
                raise OffListError(f"{shorten(entry)} lacks its text, which the item would give")
            return {"start": start, "end": end, "text": covered, "label": label}
        text = text_of(item)
        if not 0 <= start < end <= len(text):
            raise OffListError(f"span {start} to {end} is not within the {len(text)} characters")
        if covered not in {None, text[start:end]}:
            raise OffListError(
                f"span {start} to {end} is {shorten(text[start:end], 40)}, "
                f"not {shorten(covered, 40)}; offsets count characters from 0, end exclusive"
            )
        return {"start": start, "end": end, "text": text[start:end], "label": label}

    def _checked(self, spans: Sequence[Span]) -> Label:
        """Return the spans sorted, each once, if they overlap only where they may."""
        listed = _sorted({_key(span): span for span in spans}.values())
        if not self.guideline.overlap:
            for a, b in pairwise(listed):
                if a["end"] > b["start"]:
                    raise OffListError(
                        f"{shorten(a['text'], 40)} and {shorten(b['text'], 40)} overlap, "
                        "which the guideline does not allow"
                    )
        return listed

    def _tagged(self, tags: Sequence[str], item: Item | None) -> list[tuple[int, int, str]]:
        """Return the spans of IOB tags."""
        from prelabel.exchange.iob import spans_of_tags

        tokens = item.meta.get("tokens") if item else None
        if item is None or not isinstance(tokens, (list, tuple)):
            raise OffListError("tags can be read only with the item's tokens, in column 'tokens'")
        if " ".join(str(token) for token in tokens) != text_of(item):
            raise OffListError("the item's text is not its tokens joined by single spaces")
        try:
            return spans_of_tags(tokens, tags)
        except InputError as error:
            raise OffListError(str(error)) from None


def text_field(item: Item) -> str:
    """Return the name of the field that spans stand in: ``text``, or else the first."""
    return "text" if "text" in item.fields else next(iter(item.fields))


def text_of(item: Item) -> str:
    """Return the text that an item's spans stand in."""
    return item.fields[text_field(item)]


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield what is wrong with a guideline for spans."""
    from prelabel.guideline_fields import Finding

    if guideline.examples and all(example.answer for example in guideline.examples):
        message = "no worked example without spans; add one with 'answer: []'"
        yield Finding(line("examples"), "warning", message)


def _listed(raw: Any) -> list[Any]:
    """Return the list in a recorded value."""
    if isinstance(raw, str):
        found = json_of(raw)
        if found is None:
            raise OffListError(f"{shorten(raw)} is not JSON; write a list of {SHAPES}")
        raw = found
    if isinstance(raw, dict):
        raw = raw.get("spans")
    if not isinstance(raw, (list, tuple)):
        raise OffListError(f"{shorten(raw)} is not a list of spans; write a list of {SHAPES}")
    return list(raw)


def _offset(raw: Any) -> int | None:
    """Return an offset, which a guideline's YAML gives as text."""
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        return int(raw)
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _not_found(ungrounded: Sequence[Mapping[str, str]]) -> str:
    """Say in one line which spans have no place."""
    each = list(dict.fromkeys(f"{shorten(u['text'], 40)}: {u['why']}" for u in ungrounded))
    more = f"; and {len(each) - 3} more" if len(each) > 3 else ""
    return f"{'; '.join(each[:3])}{more}; copy each span's text from the item letter by letter"


def _key(span: Span) -> tuple[int, int, str]:
    return span["start"], span["end"], span["label"]


def _longest_first(span: Span) -> tuple[int, int, str]:
    return span["start"] - span["end"], span["start"], span["label"]


def _sorted(spans: Any) -> list[Span]:
    return sorted(spans, key=_key)
