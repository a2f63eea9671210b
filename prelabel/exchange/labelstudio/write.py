"""A project's labeling config, and its items as pre-labeled tasks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from prelabel.errors import InputError
from prelabel.exchange.files import replacing
from prelabel.exchange.labelstudio.controls import CONTROL, NOT_XML, Control, controls_of
from prelabel.exchange.labelstudio.regions import (
    Span,
    given_spans,
    region_value,
    relation_results,
    text_field,
)
from prelabel.exchange.tables import jsonable
from prelabel.records import Adjudication, Annotation, Item, Label, Routed, content_hash

if TYPE_CHECKING:
    from prelabel.tasks import Task

CONSENSUS = "prelabel-consensus"
"""The model version under which the consensus stands."""

GIVEN = "prelabel-given"
"""The model version of a prediction that holds an item's given spans and nothing else."""

ID, META, SPANS = "prelabel_id", "prelabel_meta", "prelabel_given"
"""Where a task's data has the item's id, metadata and given spans."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields, images and answers of a project stand in Label Studio."""

    task: Task
    texts: Mapping[str, str]
    images: Mapping[str, str]
    controls: Mapping[str, Control]

    @property
    def given(self) -> str:
        """The field with given spans, which is not shown; empty if there is none."""
        return self.task.guideline.given if self.task.name == "relations" else ""

    @property
    def shown(self) -> str:
        """The tag that answers refer to."""
        if self.task.name in {"spans", "relations"}:
            return self.texts[text_field(self.texts)]
        return next(iter([*self.images.values(), *self.texts.values()]))


def config(
    task: Task, *, fields: Sequence[str], images: Sequence[str] = (), items: Iterable[Item] = ()
) -> str:
    """Return the labeling config (XML) that shows ``fields`` and ``images`` and asks for labels.

    Args:
        task: the task.
        fields: the items' text fields.
        images: the names of their images.
        items: relations only: all items, for the labels of their given spans.

    Raises:
        InputError: a label or field cannot be said in such a config.

    """
    layout = _layout(task, fields, images, items)
    lines = ["<View>"]
    titled = len(layout.texts) + len(layout.images) > 1
    for tag, keys in (("Image", layout.images), ("Text", layout.texts)):
        for name, key in keys.items():
            if titled:
                lines.append(f"  <Header value={quoteattr(_title(layout, name))}/>")
            lines.append(f'  <{tag} name="{key}" value="${key}"/>')
    for control in layout.controls.values():
        lines += control.xml(layout.shown)
    if task.name == "relations":
        lines.append('  <Relations choice="multiple">')
        lines += [f"    <Relation value={quoteattr(n)}/>" for n in task.guideline.label_names]
        lines.append("  </Relations>")
    return "\n".join([*lines, "</View>"]) + "\n"


def tasks(
    items: Iterable[Item],
    *,
    task: Task,
    fields: Sequence[str],
    routed: Mapping[str, Routed],
    annotations: Mapping[str, Sequence[Annotation]],
    names: Mapping[str, str],
    images: Sequence[str] = (),
    settled: Mapping[str, Adjudication] = MappingProxyType({}),
) -> Iterator[dict[str, Any]]:
    """Yield one Label Studio task an item, pre-labeled; the same facts give the same bytes.

    The first prediction is the consensus, its score the agreement; then one for each annotator
    that labeled the item, its score what the annotator said of its label, null if nothing. An item
    with given spans that nobody labeled has a prediction with these alone: people relate them. What
    people settled is an annotation beside the predictions.

    Args:
        items: what to export.
        task: the task.
        fields: the fields that `config` was given.
        routed: the consensus, by item id.
        annotations: by item id; of one annotator the last counts.
        names: display names, by annotator fingerprint.
        images: the images that `config` was given.
        settled: what people settled, by item id.

    Raises:
        InputError: a field's name is taken, two annotators have one name, or given spans are not
            in their item's text.

    """
    layout = _layout(task, fields, images)
    for item in items:
        sources = {image.name: image.source for image in item.images}
        data: dict[str, Any] = {key: item.fields.get(n, "") for n, key in layout.texts.items()}
        data |= {key: sources.get(name, "") for name, key in layout.images.items()}
        data[ID] = item.id
        if item.meta:
            data[META] = jsonable(item.meta)
        spans = given_spans(item, layout.given) if layout.given else []
        if spans:
            data[SPANS] = spans
        said = _said(item, task, routed.get(item.id), annotations.get(item.id, ()), names)
        predictions = [
            _prediction(version, score, _results(layout, item.id, version, label, spans))
            for version, label, score in said
        ]
        if spans and not predictions:
            given = _results(layout, item.id, GIVEN, [], spans)
            predictions = [_prediction(GIVEN, None, given)]
        made = {"data": data, "predictions": predictions}
        final = settled.get(item.id)
        if final is not None and final.label is not None:
            result = _results(layout, item.id, f"settled by {final.author}", final.label, spans)
            made["annotations"] = [{"result": result, "was_cancelled": False}]
        yield made


def write_tasks(path: Path, exported: Iterable[Mapping[str, Any]]) -> int:
    """Write tasks as the JSON file that Label Studio imports; return how many.

    Raises:
        InputError: the file cannot be written there.

    """
    count = 0
    with replacing(path) as stream:
        for task in exported:
            stream.write(b",\n" if count else b"[\n")
            stream.write(json.dumps(task, ensure_ascii=False, allow_nan=False).encode())
            count += 1
        stream.write(b"\n]\n" if count else b"[]\n")
    return count


def _layout(
    task: Task, fields: Sequence[str], images: Sequence[str], items: Iterable[Item] = ()
) -> _Layout:
    if not fields and not images:
        raise InputError("Label Studio: no fields to show; name the items' text field")
    if task.name == "pairwise" and len(fields) < 2:
        raise InputError("Label Studio: a comparison needs two text fields; name both")
    entities: dict[str, None] = {}
    hidden = ""
    if task.name == "relations":
        hidden = task.guideline.given
        for label in task.guideline.labels:
            entities |= dict.fromkeys((*label.head, *label.tail))
        found = {span["label"] for item in items for span in given_spans(item, hidden)}
        entities |= dict.fromkeys(sorted(found))
    shown = [name for name in fields if name != hidden]
    keys = _data_keys([*images, *shown])
    return _Layout(
        task,
        {name: keys[name] for name in shown},
        {name: keys[name] for name in images},
        controls_of(task, entities=list(entities)),
    )


def _data_keys(names: Sequence[str]) -> dict[str, str]:
    """Return by field the key of its text in a task; Label Studio's variables are plain names."""
    for name in names:
        if name in {ID, META, SPANS} or name.startswith(CONTROL) or names.count(name) > 1:
            raise InputError(f"Label Studio: field {name!r} has a name in use; rename the field")
        if NOT_XML.search(name):
            raise InputError(f"Label Studio: field {name!r} has a control character; rename it")
    keys: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        key = name if _PLAIN_NAME.fullmatch(name) else f"field_{number}"
        while key != name and key in names:
            key += "_"
        keys[name] = key
    return keys


def _title(layout: _Layout, name: str) -> str:
    """Return the header of a field; the texts of a comparison say which of the two they are."""
    compared = list(layout.texts)[-2:] if layout.task.name == "pairwise" else []
    return f"{'AB'[compared.index(name)]}: {name}" if name in compared else name


def _said(
    item: Item,
    task: Task,
    routed: Routed | None,
    annotations: Sequence[Annotation],
    names: Mapping[str, str],
) -> Iterator[tuple[str, Label, float | None]]:
    """Yield who says what of an item, and how sure."""
    if routed is not None and routed.consensus.label is not None:
        yield CONSENSUS, routed.consensus.label, routed.consensus.agreement
    versions = {CONSENSUS, GIVEN}
    latest = {one.annotator: one for one in sorted(annotations, key=lambda one: one.created)}
    # Not in the order in which they came: that differs from run to run.
    for fingerprint in [*names, *sorted(latest.keys() - names.keys())]:
        annotation = latest.get(fingerprint)
        if annotation is None:
            continue
        version = names.get(fingerprint, fingerprint)
        if version in versions:
            raise InputError(
                f"Label Studio: item {item.id!r} has two annotators named {version!r}; rename one"
            )
        versions.add(version)
        if annotation.outcome == "labeled":
            yield version, annotation.label, _own_probability(annotation, task)


def _own_probability(annotation: Annotation, task: Task) -> float | None:
    """Return the probability that an annotator gave its label: the least over the label's units."""
    if not annotation.distribution:
        return None
    votes = task.votes(annotation.label)
    shares = [
        row.get(votes[unit]) if unit in votes else None
        for unit, row in annotation.distribution.items()
    ]
    known = [share for share in shares if share is not None]
    return min(known) if len(known) == len(shares) else None


def _prediction(version: str, score: float | None, results: list[dict[str, Any]]) -> dict[str, Any]:
    if score is not None:
        score = min(1.0, max(0.0, float(score))) if math.isfinite(score) else None
    return {"model_version": version, "score": score, "result": results}


def _results(
    layout: _Layout, item_id: str, version: str, label: Label, spans: Sequence[Span]
) -> list[dict[str, Any]]:
    """Return the results for a label; none for an empty one: a result must hold a value."""
    kind = layout.task.name
    if kind in {"spans", "relations"}:
        control = layout.controls[""]
        listed = spans if kind == "relations" else label
        values = [(control, region_value(span)) for span in listed]
    else:
        answers = label if kind == "extraction" else {"": label}
        values = [
            (control, value)
            for field, control in layout.controls.items()
            if field in answers and (value := control.value(answers[field])) is not None
        ]
    found: list[dict[str, Any]] = [
        {
            "id": content_hash([item_id, version, control.name, value]),
            "from_name": control.name,
            "to_name": layout.shown,
            "type": control.type,
            "value": value,
        }
        for control, value in values
    ]
    if kind == "relations":
        ids = {span["id"]: result["id"] for span, result in zip(spans, found, strict=True)}
        found += relation_results(label, ids)
    return found
